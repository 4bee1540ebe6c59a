"""Failure prediction against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from abstain.metrics import augrc, aurc, failure_report


@pytest.fixture
def sample(rng):
    score = rng.normal(size=400).round(1)
    return rng.random(400) < 1 / (1 + np.exp(-score - 1)), score


def test_against_scikit_learn(sample):
    correct, score = sample
    report = failure_report(correct, score, threshold=0.3)
    assert report.auroc == pytest.approx(roc_auc_score(correct, score))
    assert report.aupr_success == pytest.approx(average_precision_score(correct, score))
    assert report.aupr_error == pytest.approx(average_precision_score(1 - correct, -score))
    assert report.aurc == aurc(correct, score)
    assert report.augrc == augrc(correct, score)
    assert report.tpr == pytest.approx((score >= 0.3)[correct].mean())
    assert report.tnr == pytest.approx((score < 0.3)[~correct].mean())
    assert "auroc" in str(report)


def test_fpr_at_95_tpr_by_definition(sample):
    correct, score = sample
    strictest = max(t for t in np.unique(score) if (score[correct] >= t).mean() >= 0.95)
    assert failure_report(correct, score).fpr_at_95tpr == pytest.approx((score[~correct] >= strictest).mean())


def test_swapping_the_sign_swaps_the_auroc(sample):
    correct, score = sample
    assert failure_report(correct, -score).auroc == pytest.approx(1 - failure_report(correct, score).auroc)


def test_error_precision_has_the_error_class_positive():
    """Three of four errors lie lowest: precision of errors is high, not low as in a released implementation."""
    good = failure_report([1, 1, 1, 0, 0], [5, 4, 3, 2, 1])
    assert good.aupr_error == 1.0
    assert failure_report([0, 0, 1, 1, 1], [5, 4, 3, 2, 1]).aupr_error < 0.5


@pytest.mark.parametrize("correct", [np.ones(5), np.zeros(5)])
def test_missing_class_gives_nan_not_one(correct):
    report = failure_report(correct, np.arange(5.0), threshold=2.0)
    assert np.isnan([report.auroc, report.aupr_success, report.aupr_error, report.fpr_at_95tpr]).all()
    assert np.isnan(report.tpr) == (correct.sum() == 0)
    assert np.isnan(report.tnr) == (correct.sum() == 5)


def test_no_threshold_is_assumed(sample):
    report = failure_report(*sample)
    assert np.isnan([report.threshold, report.tpr, report.tnr]).all()
