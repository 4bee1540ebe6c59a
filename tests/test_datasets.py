"""Synthetic data keep what they promise."""

import numpy as np
import pytest

from abstain.datasets import known_risk, load_hard_digits, make_known_posterior, make_known_risk
from abstain.metrics import aurc, expected_calibration_error, risk_coverage_curve


@pytest.mark.parametrize(("scale", "power"), [(0.6, 2), (0.3, 1), (0.2, 4)])
def test_known_risk(scale, power):
    score, correct = make_known_risk(300_000, scale=scale, power=power, random_state=0)
    for threshold in (0.0, 0.3, 0.8):
        accepted = score >= threshold
        assert 1 - correct[accepted].mean() == pytest.approx(known_risk(threshold, scale=scale, power=power), abs=3e-3)
    coverage, risk, _ = risk_coverage_curve(correct, score)
    half = np.searchsorted(coverage, 0.5)
    assert risk[half] == pytest.approx(known_risk(0.5, scale=scale, power=power), abs=3e-3)


def test_the_posterior_is_calibrated_and_unbeaten(rng):
    X, y, posterior = make_known_posterior(50_000, random_state=0)
    correct = posterior.argmax(axis=1) == y
    best = posterior.max(axis=1)
    assert expected_calibration_error(correct, best) < 0.01
    assert aurc(correct, best) < aurc(correct, best + rng.normal(scale=0.1, size=best.size))
    assert X.shape == (50_000, 3)


def test_hard_digits_are_hard_and_repeatable():
    from sklearn.linear_model import LogisticRegression

    X, y = load_hard_digits()
    np.testing.assert_array_equal(X, load_hard_digits()[0])
    accuracy = LogisticRegression(max_iter=300).fit(X[:400], y[:400]).score(X[400:], y[400:])
    assert 0.6 < accuracy < 0.9
