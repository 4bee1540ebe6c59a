"""Calibration errors against their definitions, the table of them, and the test of calibration."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.metrics import brier_score_loss, log_loss

from abstain.metrics import (
    calibration_report,
    calibration_test,
    classwise_calibration_error,
    debiased_calibration_error,
    expected_calibration_error,
    ks_calibration_error,
    overconfidence_error,
    reliability_curve,
    smooth_calibration_error,
)

FROZEN = json.loads((Path(__file__).parents[1] / "recalibration" / "frozen.json").read_text())


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.fixture
def top_label():
    proba, y = softmax(np.array(FROZEN["multi"]["logits"])), np.array(FROZEN["multi"]["labels"])
    return proba.argmax(axis=1) == y, proba.max(axis=1), FROZEN["multi"]["metrics_top_label"]


def test_errors_equal_those_of_the_references(top_label):
    correct, confidence, frozen = top_label
    width = expected_calibration_error(correct, confidence)
    assert width == pytest.approx(frozen["ece_equal_width_uc"], abs=1e-9)
    assert width == pytest.approx(frozen["ece_equal_width_netcal"], abs=1e-9)
    mass = expected_calibration_error(correct, confidence, strategy="mass")
    assert mass == pytest.approx(frozen["ece_equal_mass_uc"], abs=1e-9)
    squared = debiased_calibration_error(correct, confidence)
    assert squared == pytest.approx(frozen["l2_equal_mass_debiased_uc"], abs=1e-9)
    squared = debiased_calibration_error(correct, confidence, strategy="width")
    assert squared == pytest.approx(frozen["l2_equal_width_debiased_uc"], abs=1e-9)


@pytest.mark.parametrize("n_bins", [5, 15, 40])
def test_errors_equal_those_of_uncertainty_calibration(n_bins, rng):
    package = pytest.importorskip("calibration")
    p = rng.random(3000)
    y = (rng.random(3000) < p**2).astype(int)
    ours = expected_calibration_error(y, p, n_bins=n_bins, strategy="mass")
    assert ours == pytest.approx(package.get_ece_em(p, y, num_bins=n_bins), abs=1e-12)
    ours = debiased_calibration_error(y, p, n_bins=n_bins)
    theirs = package.lower_bound_scaling_ce(
        p, y, p=2, debias=True, num_bins=n_bins, binning_scheme=package.get_equal_bins
    )
    assert ours == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("strategy", ["width", "mass"])
def test_equal_confidences_share_a_bin_and_order_does_not_matter(strategy, rng):
    p = rng.integers(0, 6, 500) / 5
    y = rng.random(500) < p
    order = rng.permutation(500)
    errors = [
        expected_calibration_error(a, b, n_bins=100, strategy=strategy) for a, b in ((y, p), (y[order], p[order]))
    ]
    by_hand = sum((p == v).mean() * abs(v - y[p == v].mean()) for v in np.unique(p))
    np.testing.assert_allclose(errors, by_hand, atol=1e-12)
    confidence, frequency, share = reliability_curve(y, p, n_bins=100, strategy=strategy)
    np.testing.assert_allclose(confidence, np.unique(p), atol=1e-12)
    np.testing.assert_allclose(frequency, [y[p == v].mean() for v in np.unique(p)])
    assert share.sum() == pytest.approx(1)


def test_bins_of_equal_mass_hold_the_same_weight(rng):
    p, weight = rng.random(2000), rng.integers(1, 4, 2000)
    _, _, share = reliability_curve(p < 0.5, p, n_bins=10, strategy="mass", sample_weight=weight)
    np.testing.assert_allclose(share, 0.1, atol=0.004)
    repeated = np.repeat(np.arange(2000), weight)
    kinds = (expected_calibration_error, overconfidence_error, smooth_calibration_error, ks_calibration_error)
    for error in kinds:
        one = error(p < 0.5, p, sample_weight=weight)
        assert one == pytest.approx(error((p < 0.5)[repeated], p[repeated]), abs=1e-9), error


@pytest.mark.parametrize("low", [0.5, np.nextafter(0.5, 1)])
def test_neighbouring_floats_are_in_bins_of_their_own(low):
    """The middle of both is one of them: the smaller where its last digit is even, else the larger."""
    p = np.array([low, low, np.nextafter(low, 1), np.nextafter(low, 1)])
    _, frequency, share = reliability_curve([0, 0, 1, 1], p, n_bins=2, strategy="mass")
    assert (frequency.tolist(), share.tolist()) == ([0, 1], [0.5, 0.5])


def test_overconfidence_by_hand():
    correct, confidence = [1, 0, 0, 1, 1], [0.9, 0.9, 0.9, 0.3, 0.3]
    assert overconfidence_error(correct, confidence, n_bins=10) == pytest.approx(0.6 * 0.9 * (0.9 - 1 / 3))
    assert overconfidence_error([1, 1], [0.4, 0.6]) == 0


def test_ks_error_is_the_largest_gap_over_thresholds(rng):
    p = rng.integers(0, 20, 300) / 19
    y = rng.random(300) < p
    by_hand = max(abs((p - y)[p <= v].sum()) / 300 for v in np.unique(p))
    assert ks_calibration_error(y, p) == pytest.approx(by_hand)


@pytest.mark.parametrize("n_classes", [2, 10])
def test_true_probabilities_of_many_classes_have_a_ks_error_near_zero(n_classes, rng):
    proba = rng.dirichlet(np.ones(n_classes), 20_000)
    y = (proba.cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    for right, p in [(proba.argmax(axis=1) == y, proba.max(axis=1)), *((y == k, proba[:, k]) for k in range(2))]:
        assert ks_calibration_error(right, p) < 2.0 / np.sqrt(20_000)  # 1.6 is exceeded in 1 % of draws at most
        assert ks_calibration_error(right, np.sqrt(p)) > 0.05


@pytest.mark.parametrize("seed", range(3))
def test_smooth_error_is_the_fixed_point_of_its_definition(seed):
    rng = np.random.default_rng(seed)
    p = rng.beta(3, 2, 400)
    y = rng.random(400) < p ** (1 + seed)
    found = smooth_calibration_error(y, p)
    t = (np.arange(4000) + 0.5) / 4000
    smoothed = np.zeros(4000)
    for image in (p, -p, 2 - p):  # reflected at both ends
        smoothed += (np.exp(-0.5 * ((t[:, None] - image) / found) ** 2) @ (y - p)) / 400 / found / np.sqrt(2 * np.pi)
    assert np.abs(smoothed).mean() == pytest.approx(found, abs=2e-3)


def test_smooth_error_is_near_that_of_the_reference(top_label):
    correct, confidence, frozen = top_label
    # its kernel loses mass at 1, where these confidences lie
    assert smooth_calibration_error(correct, confidence) == pytest.approx(frozen["smece"], abs=0.01)


def test_smooth_error_changes_little_when_confidences_do(rng):
    p = rng.random(1000)
    y = rng.random(1000) < p
    moved = np.clip(p + rng.uniform(-1e-3, 1e-3, 1000), 0, 1)
    assert abs(smooth_calibration_error(y, p) - smooth_calibration_error(y, moved)) < 2e-3


@pytest.mark.parametrize(
    "error", [smooth_calibration_error, ks_calibration_error, expected_calibration_error, overconfidence_error]
)
def test_confidences_outside_the_unit_interval_are_refused(error):
    with pytest.raises(ValueError, match="confidence"):
        error([1, 0], [0.5, 1.2])
    with pytest.raises(ValueError, match="confidence"):
        error([1, 0], [0.5, np.nan])


def test_classwise_error_by_hand(rng):
    proba = rng.dirichlet(np.ones(3), 500)
    y = rng.integers(0, 3, 500)
    by_hand = np.mean([expected_calibration_error(y == k, proba[:, k]) for k in range(3)])
    assert classwise_calibration_error(y, proba) == pytest.approx(by_hand)
    names = np.array(["a", "b", "c"])
    assert classwise_calibration_error(names[y], proba, classes=names) == pytest.approx(by_hand)


def test_report_leads_with_the_losses_of_scikit_learn(rng):
    proba = rng.dirichlet(np.ones(4), 300)
    y = np.array([rng.choice(4, p=p) for p in proba])
    report = calibration_report(y, proba, per_class=True, random_state=0)
    assert report.overall.log_loss == pytest.approx(log_loss(y, proba))
    assert report.overall.brier == pytest.approx(np.mean(np.sum((proba - np.eye(4)[y]) ** 2, axis=1)))
    for k, row in enumerate(report.rows[1:]):
        assert row.name == str(k)
        assert row.log_loss == pytest.approx(log_loss(y == k, np.column_stack([1 - proba[:, k], proba[:, k]])))
        assert row.brier == pytest.approx(2 * brier_score_loss(y == k, proba[:, k]))
    for column, (low, high) in report.intervals.items():
        value = getattr(report.overall, column)
        assert low < high
        # errors are biased upwards by chance, and resampling adds to that
        assert low - 0.05 <= value <= high
    lines = str(report).splitlines()
    assert lines[0].split()[:3] == ["n", "log-loss", "Brier"]
    assert len(lines) == 1 + 3 + 4


def test_the_interval_of_an_error_holds_the_error():
    """Drawing anew pushes errors up, and intervals of what was drawn lay above what is printed."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        proba = rng.dirichlet(np.ones(10), 300)
        y = (np.log(proba) + rng.gumbel(size=proba.shape)).argmax(axis=1)
        report = calibration_report(y, proba, n_resamples=40, random_state=seed)
        for column in ("ece", "smooth", "ks"):
            low, high = report.intervals[column]
            assert 0 <= low <= getattr(report.overall, column) <= high


def test_report_has_a_row_for_each_group(rng):
    p = rng.random(600)
    group = np.where(np.arange(600) % 3 == 0, "old", "new")
    y = np.where(group == "old", rng.random(600) < p, rng.random(600) < p**3)
    report = calibration_report(y, np.column_stack([1 - p, p]), groups=group, n_resamples=0)
    new, old = report.rows[1:]
    assert (new.name, old.name, new.n, old.n) == ("new", "old", 400, 200)
    assert new.ks > old.ks
    assert report.intervals == {}


def test_labels_that_are_no_class_are_named():
    with pytest.raises(ValueError, match=r"y_true holds \[2\]"):
        calibration_report([0, 1, 2], [[0.5, 0.5]] * 3)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_pvalues_are_even_under_the_hypothesis(n_classes):
    rng = np.random.default_rng(0)
    pvalues = []
    for seed in range(150):
        proba = rng.dirichlet(np.ones(n_classes), 40)
        y = (rng.random((40, 1)) > np.cumsum(proba, axis=1)).sum(axis=1)
        pvalues.append(calibration_test(y, proba, n_resamples=99, random_state=seed).pvalue)
    assert kstest(pvalues, "uniform").pvalue > 1e-3
    assert np.mean(np.array(pvalues) <= 0.05) <= 0.12


def test_the_test_sees_overconfidence_and_not_its_absence(rng):
    logits = rng.normal(size=(500, 3))
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    assert calibration_test(y, softmax(2.5 * logits), random_state=0).pvalue < 0.01
    assert calibration_test(y, softmax(logits), random_state=0).pvalue > 0.01
