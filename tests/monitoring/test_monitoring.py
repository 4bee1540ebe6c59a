"""After deployment: false alarms, delays, and the definitions themselves."""

import json

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta
from sklearn.base import clone

from abstain import RiskMonitor, RunningCertificate, WarningLight
from abstain.monitoring import RiskMonitorDisplay, log_evidence


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize(("lost", "seen", "risk"), [(0, 0, 0.05), (3, 20, 0.05), (30, 200, 0.2), (2.5, 11, 0.6)])
def test_evidence_is_a_mixture_of_likelihoods(lost, seen, risk, above):
    a, b = (1, 1 / (2 * risk) - 1 if risk < 0.5 else 1) if above else (1, 2 / risk - 1)
    low, high = (risk, 1) if above else (0, risk)
    prior = beta(a, b)

    def integrand(q):
        return prior.pdf(q) * (q / risk) ** lost * ((1 - q) / (1 - risk)) ** (seen - lost)

    expected = quad(integrand, low, high, epsabs=0, epsrel=1e-10)[0] / quad(prior.pdf, low, high)[0]
    assert log_evidence(lost, seen, risk, above=above) == pytest.approx(np.log(expected), abs=1e-6)


def streams(rng, risk, n_streams=1000, n=3000):
    return rng.random((n_streams, n)) < risk


@pytest.mark.parametrize("risk", [0.02, 0.05, 0.3])
def test_false_alarms_are_rarer_than_alpha_however_often_one_looks(rng, risk):
    lost = np.cumsum(streams(rng, risk), axis=1)
    ever = (log_evidence(lost, np.arange(1, 3001), risk) >= np.log(1 / 0.1)).any(axis=1)
    assert ever.mean() <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / 1000)
    shown = (log_evidence(lost, np.arange(1, 3001), risk, above=False) >= np.log(1 / 0.1)).any(axis=1)
    assert shown.mean() <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / 1000)


def test_losses_between_0_and_1_alarm_no_oftener(rng):
    loss = rng.choice([0.0, 0.1, 0.5], p=[0.8, 0.1, 0.1], size=(1000, 2000))
    ever = (log_evidence(np.cumsum(loss, axis=1), np.arange(1, 2001), 0.06) >= np.log(10)).any(axis=1)
    assert ever.mean() < 0.05


def test_a_risk_that_has_doubled_is_found_soon(rng):
    lost = np.cumsum(streams(rng, 0.1, 200), axis=1)
    beyond = log_evidence(lost, np.arange(1, 3001), 0.05) >= np.log(20)
    delay = np.where(beyond.any(axis=1), beyond.argmax(axis=1) + 1, 3001)
    assert np.median(delay) < 250


def test_one_by_one_is_as_in_blocks(rng):
    accepted, correct = rng.random(300) < 0.7, (rng.random(300) > 0.1).astype(float)
    correct[rng.random(300) < 0.2] = np.nan
    blocks, single = RiskMonitor(0.05), RiskMonitor(0.05)
    for part in np.split(np.arange(300), [10, 200]):
        blocks.update(accepted[part], correct[part])
    for a, c in zip(accepted, correct, strict=True):
        single.update(bool(a), c)
    assert single.state() == pytest.approx(blocks.state(), rel=1e-9)
    labelled = accepted & ~np.isnan(correct)
    assert (blocks.answered_, blocks.labelled_) == (accepted.sum(), labelled.sum())
    assert blocks.risk_ == pytest.approx(1 - correct[labelled].mean())
    assert blocks.evidence_ == pytest.approx(np.exp(log_evidence(blocks.lost_, blocks.labelled_, 0.05)))


def test_labels_that_are_missing_may_be_none():
    assert RiskMonitor().update([True, True, False], [True, None, None]).labelled_ == 1


def test_labels_of_abstentions_do_not_count():
    monitor = RiskMonitor(0.05).update(np.zeros(100, bool), np.zeros(100, bool))
    assert (monitor.answered_, monitor.labelled_, monitor.alarm_) == (0, 0, False)
    assert np.isnan(monitor.risk_)
    assert not monitor.update([], []).alarm_


def test_an_alarm_stays_and_a_state_comes_back():
    monitor = RiskMonitor(0.05).update(np.ones(30, bool), np.zeros(30, bool))
    assert monitor.alarm_
    monitor.update(np.ones(3000, bool), np.ones(3000, bool))
    assert monitor.alarm_
    assert monitor.evidence_ < 1
    other = RiskMonitor.from_state(json.loads(json.dumps(monitor.state())))
    assert other.state() == monitor.state()
    assert other.alarm_
    assert str(other) == str(monitor)
    assert "ALARM" in str(other)
    assert "nothing seen" in str(RiskMonitor())
    assert not hasattr(clone(monitor), "labelled_")


def test_servers_are_merged(rng):
    accepted, correct = np.ones(400, bool), rng.random(400) > 0.12
    one = RiskMonitor(0.05).update(accepted[:150], correct[:150])
    two = RiskMonitor(0.05).update(accepted[150:], correct[150:])
    whole = RiskMonitor(0.05).update(accepted, correct)
    merged = one.merge(two)
    assert (merged.labelled_, merged.lost_, merged.evidence_) == (400, whole.lost_, whole.evidence_)
    assert RiskMonitor(0.05).merge(RiskMonitor(0.05)).labelled_ == 0
    for other in (RiskMonitor(0.1), RiskMonitor(0.05, alpha=0.01), "monitor"):
        with pytest.raises(ValueError, match="same promise"):
            merged.merge(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accepted": [0.3, 0.9], "correct": [1, 0]}, "swapped with the score"),
        ({"accepted": [True, False], "correct": [1, 0, 1]}, "correct has 3 entries where 2"),
        ({"accepted": [True, False], "correct": [0.5, 1]}, "correct must hold booleans"),
        ({"accepted": [True, False], "loss": [0.5, 2]}, r"loss must lie in \[0, 1\]"),
        ({"accepted": [True]}, "give either correct"),
        ({"accepted": [True], "correct": [1], "loss": [1]}, "give either correct"),
    ],
)
def test_nothing_is_taken_in_where_something_is_wrong(arguments, message):
    monitor = RiskMonitor().update(True, True)
    before = monitor.state()
    with pytest.raises(ValueError, match=message):
        monitor.update(**arguments)
    assert monitor.state() == before


@pytest.mark.parametrize("name", ["risk", "alpha"])
def test_numbers_out_of_range_are_named(name):
    with pytest.raises(ValueError, match=name):
        RiskMonitor(**{name: 1.5}).update(True, True)
    good = RiskMonitor().update(True, True).state()
    with pytest.raises(ValueError, match=name):
        RiskMonitor.from_state(good | {name: 0})


@pytest.mark.parametrize("change", [{"lost_": 5.0}, {"labelled_": -1}, {"highest_": float("nan")}])
def test_a_state_that_cannot_be_is_refused(change):
    good = RiskMonitor().update(True, True).state()
    with pytest.raises(ValueError, match="state"):
        RiskMonitor.from_state(good | change)
    with pytest.raises(ValueError, match="state must hold"):
        RiskMonitor.from_state({"risk": 0.05})


def test_a_running_certificate_finds_the_thresholds_that_hold(rng):
    """P(correct) is the score: the risk beyond a threshold t is (1 - t) / 2."""
    thresholds = np.array([0.5, 0.7, 0.9, 0.98])
    score = rng.random(20_000)
    running = RunningCertificate(thresholds, risk=0.12).update(score, rng.random(20_000) < score)
    np.testing.assert_array_equal(running.certified_, [False, False, True, True])
    np.testing.assert_array_equal(running.broken_, [True, True, False, False])
    assert running.threshold_ == 0.9
    np.testing.assert_array_equal(running.labelled_, [(score >= t).sum() for t in thresholds])


def test_a_running_certificate_by_blocks_and_after_a_change(rng):
    score, correct = rng.random(4000), rng.random(4000) > 0.02
    once = RunningCertificate([0.2, 0.8]).update(score, correct)
    often = RunningCertificate([0.2, 0.8])
    for rows in np.array_split(np.arange(4000), 77):
        often.update(score[rows], correct[rows])
    np.testing.assert_array_equal(once.lost_, often.lost_)
    assert once.threshold_ == often.threshold_ == 0.2
    once.update(score, rng.random(4000) > 0.4)
    assert once.broken_.all()
    assert once.threshold_ == np.inf


def test_wrong_certificates_are_rarer_than_delta(rng):
    """At every threshold the risk is just above the promise: none may be certified, at any time."""
    wrong = 0
    for _ in range(300):
        running = RunningCertificate([0.0, 0.3, 0.6], risk=0.1, delta=0.1)
        wrong += running.update(rng.random(800), rng.random(800) > 0.1001).certified_.any()
    assert wrong / 300 <= 0.1 + 2 * np.sqrt(0.09 / 300)


def test_a_light_is_dark_on_the_same_data_and_lit_on_others(rng):
    lit = [WarningLight(0.7).set_reference(rng.random(500)).check(rng.random(300)).lit for _ in range(300)]
    assert np.mean(lit) <= 0.03
    light = WarningLight(0.7).set_reference(rng.random(500))
    report = light.check(0.8 * rng.random(300))
    assert report.lit
    assert "LIT" in str(report)
    assert light.check(np.full(300, np.nan)).lit


def test_the_picture_says_when_the_alarm_went_off(rng):
    pytest.importorskip("matplotlib", reason="needs matplotlib: pip install '.[plot]'").use("Agg")
    correct = rng.random(600) > np.repeat([0.03, 0.2], 300)
    display = RiskMonitorDisplay.from_predictions(np.ones(600, bool), correct, risk=0.05)
    monitor = RiskMonitor(0.05)
    alarms = [monitor.update(True, bool(right)).alarm_ for right in correct]
    label = alarms.index(True) + 1
    assert display.alarm_at_ == label
    assert f"alarm after {label} labels" in display.ax_.get_title()
    quiet = RiskMonitorDisplay.from_predictions(np.ones(50, bool), np.ones(50, bool), risk=0.05)
    assert quiet.alarm_at_ is None
    assert "no alarm" in quiet.ax_.get_title()
