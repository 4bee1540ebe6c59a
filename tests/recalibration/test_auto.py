"""The calibrator that is taken without choosing: how much of it the guard lets through, and that it rarely hurts."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from abstain.calibration import AutoCalibrator, Temperature
from abstain.calibration.auto import Unchanged


def drawn(n, n_classes, stretch, seed):
    """Logits that are ``stretch`` times the true ones, and labels."""
    rng = np.random.default_rng(seed)
    true = 2 * rng.normal(size=(n, n_classes))
    return stretch * true, (true + rng.gumbel(size=true.shape)).argmax(axis=1)


def log_loss(proba, y):
    return -np.log(proba[np.arange(len(y)), y]).mean()


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("n", [60, 400])
@pytest.mark.parametrize("stretch", [1.0, 1.3, 3.0])
def test_the_share_of_the_mixture_is_its_posterior_probability(n_classes, n, stretch):
    logits, y = drawn(n, n_classes, stretch, seed=n)
    guarded = AutoCalibrator(random_state=0).fit(logits, y)
    mixture = AutoCalibrator(random_state=0, guard=None).fit(logits, y)
    report = guarded.report_
    odds = np.exp(report.mixture.gain * n) / np.exp(1.83)
    posterior = odds / (1 + odds)
    expected = posterior if posterior >= 0.05 and report.mixture.gain > 0 else 0.0
    assert report.share == pytest.approx(expected)
    assert report.chosen == ("mixture" if expected else "unchanged")
    raw = softmax(logits, axis=1)
    pooled = expected * mixture.predict_proba(logits) + (1 - expected) * raw
    np.testing.assert_allclose(guarded.predict_proba(logits), pooled, atol=2e-3)
    assert sum(guarded.weights_.values()) == pytest.approx(1)


def test_outputs_that_are_left_alone_stay_as_they_are():
    logits, y = drawn(2000, 4, 1.0, seed=0)
    model = AutoCalibrator(random_state=0).fit(logits, y)
    assert model.report_.share == 0
    np.testing.assert_allclose(model.transform(logits), log_softmax(logits, axis=1), rtol=1e-12, atol=1e-13)


def test_one_standard_error_is_all_or_nothing():
    shares = set()
    for stretch, seed in [(1.0, 1), (1.05, 2), (3.0, 3)]:
        report = AutoCalibrator(guard="one_standard_error", random_state=0).fit(*drawn(200, 3, stretch, seed)).report_
        assert report.share == float(report.mixture.gain > report.mixture.error)
        shares.add(report.share)
    assert shares == {0.0, 1.0}


@pytest.mark.parametrize(("n", "n_classes"), [(60, 2), (60, 5), (300, 3)])
def test_true_probabilities_are_hardly_harmed_and_false_ones_mended(n, n_classes):
    harm, gain = [], []
    for seed in range(20):
        logits, y = drawn(n + 4000, n_classes, 1.0, seed)
        for stretch, kept in ((1.0, harm), (4.0, gain)):
            model = AutoCalibrator(random_state=0).fit(stretch * logits[:n], y[:n])
            raw = log_loss(softmax(stretch * logits[n:], axis=1), y[n:])
            kept.append(log_loss(model.predict_proba(stretch * logits[n:]), y[n:]) / raw - 1)
    assert np.mean(harm) < 0.01
    assert max(harm) < 0.1
    assert max(gain) < -0.1


def test_half_of_a_mixture_keeps_at_least_half_of_its_gain():
    """The logarithm is concave: what is not proven is not lost, either."""
    logits, y = drawn(120, 3, 1.5, seed=5)
    query, answers = drawn(5000, 3, 1.5, seed=6)
    guarded = AutoCalibrator(members=[Temperature()], random_state=0).fit(logits, y)
    share, raw = guarded.report_.share, log_loss(softmax(query, axis=1), answers)
    assert 0 < share < 1
    wholly = AutoCalibrator(members=[Temperature()], guard=None, random_state=0).fit(logits, y)
    gain = raw - log_loss(wholly.predict_proba(query), answers)
    assert raw - log_loss(guarded.predict_proba(query), answers) >= share * gain


@pytest.mark.parametrize("margin", [30, 200])
@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("seed", range(4))
def test_one_sure_error_is_enough_to_be_less_sure(margin, n_classes, seed):
    """Held out, the error falls to weights that were learnt without any."""
    rng = np.random.default_rng(seed)

    def sure(n, n_errors):
        y = rng.integers(n_classes, size=n)
        logits = 3 * rng.normal(size=(n, n_classes))
        logits[np.arange(n), y] += margin
        wrong = np.arange(n_errors)
        logits[wrong, (y[wrong] + 1) % n_classes] += 2 * margin
        return logits, y

    model = AutoCalibrator(random_state=0).fit(*sure(200, 1))
    query, answers = sure(20_000, 100)
    assert model.report_.chosen == "mixture"
    assert log_loss(model.predict_proba(query), answers) < 0.5 * log_loss(softmax(query, axis=1) + 1e-300, answers)


def test_nothing_is_mixed_in_that_gains_nothing():
    logits, y = drawn(200, 3, 1.0, seed=0)
    model = AutoCalibrator(members=[Unchanged()], random_state=0).fit(logits, y)
    assert model.report_.share == 0
    assert model.report_.chosen == "unchanged"


def test_the_report_says_how_much():
    report = AutoCalibrator(random_state=0).fit(*drawn(120, 3, 1.5, seed=5)).report_
    assert str(report).endswith(f"chosen: mixture, by {report.share:.2f}")
    assert expit(report.mixture.gain * report.n - 1.83) == pytest.approx(report.share)
