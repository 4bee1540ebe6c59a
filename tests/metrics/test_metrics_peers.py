"""Values of other libraries on the same data, converted between conventions."""

import numpy as np
import pytest

from abstain.metrics import augrc, aurc, expected_calibration_error, risk_coverage_curve


def fixed_sample(n=200):
    rng = np.random.default_rng(3)
    score = rng.random(n)
    return rng.random(n) < 0.5 + 0.5 * score, score


def test_one_minus_auarc_of_mapie():
    mapie = pytest.importorskip("mapie.metrics.uncertainty", reason="needs the test extra")
    correct, score = fixed_sample()
    assert aurc(correct, score) == pytest.approx(1 - mapie.auarc(correct.astype(float), score))


def test_ece_of_uncertainty_calibration():
    calibration = pytest.importorskip("calibration", reason="needs the test extra")
    correct, score = fixed_sample(2000)
    proba = np.column_stack([1 - score, score])
    labels = correct.astype(int)
    predicted_right = proba.argmax(axis=1) == labels
    expected = calibration.get_ece(proba, labels, num_bins=15)
    assert expected_calibration_error(predicted_right, proba.max(axis=1)) == pytest.approx(expected, abs=1e-10)


def test_trapezoid_convention_of_fd_shifts():
    """fd-shifts: trapezoid over the reachable points with r(0) = r(c_1); three points give 1/18."""
    coverage, risk, _ = risk_coverage_curve([1, 1, 0], [0.8, 0.7, 0.6])
    c, r = np.r_[0, coverage], np.r_[risk[0], risk]
    assert np.sum(0.5 * (r[1:] + r[:-1]) * np.diff(c)) == pytest.approx(1 / 18)
    # torch-uncertainty: the same on [1/n, 1], rescaled
    area = np.sum(0.5 * (risk[1:] + risk[:-1]) * np.diff(coverage)) / (1 - 1 / 3)
    assert area == pytest.approx(1 / 12)


def test_confidence_one_belongs_to_the_last_bin():
    """Frozen: torchmetrics gives 0.525 here through an extra bin; the textbook value is 0.475."""
    assert expected_calibration_error([1, 0], [0.95, 1.0], n_bins=10) == pytest.approx(0.475)


HUNDRED = np.arange(100)
CONFIDENCE = {
    "equal": np.full(100, 0.4),
    "01": HUNDRED % 2,
    "10": (HUNDRED + 1) % 2,
    "ascending": np.linspace(0, 1, 100),
    "plateaus": np.repeat([0.2, 0.4, 0.6, 0.8], 25),
}
GRADED = {"01": HUNDRED % 2, "ascending": np.linspace(0, 1, 100), "plateaus": np.repeat([0.2, 0.4, 0.6, 0.8], 25)}
FROZEN = [  # confidence, graded correctness: AUGRC and linearly interpolated AURC of fd-shifts at commit c4467ae
    ("equal", "01", 0.25, 0.5),
    ("equal", "ascending", 0.25, 0.5),
    ("equal", "plateaus", 0.25, 0.5),
    ("01", "01", 0.125, 0.125),
    ("01", "ascending", 0.24873737373737373, 0.49621212121212127),
    ("01", "plateaus", 0.249, 0.497),
    ("10", "01", 0.375, 0.875),
    ("10", "ascending", 0.25126262626262635, 0.503787878787879),
    ("10", "plateaus", 0.251, 0.503),
    ("ascending", "01", 0.2475, 0.48281112575762547),
    ("ascending", "ascending", 0.16583333333333353, 0.2475),
    ("ascending", "plateaus", 0.1875, 0.3182085320116945),
    ("plateaus", "01", 0.2475, 0.49083333333333334),
    ("plateaus", "ascending", 0.17108585858585845, 0.2632575757575754),
    ("plateaus", "plateaus", 0.1875, 0.3125),
]


@pytest.mark.parametrize(("confidence", "graded", "expected_augrc", "expected_aurc"), FROZEN)
def test_tied_and_graded_cases_of_fd_shifts(confidence, graded, expected_augrc, expected_aurc):
    loss = 1.0 - GRADED[graded]
    assert augrc(None, CONFIDENCE[confidence], loss=loss) == pytest.approx(expected_augrc, rel=1e-9)
    coverage, risk, _ = risk_coverage_curve(None, CONFIDENCE[confidence], loss=loss)
    c, r = np.r_[0, coverage], np.r_[risk[0], risk]
    assert np.sum(0.5 * (r[1:] + r[:-1]) * np.diff(c)) == pytest.approx(expected_aurc, rel=1e-9)
