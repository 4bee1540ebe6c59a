"""Failure prediction: how well a score tells right predictions from wrong ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from abstain.metrics._risk_coverage import both_areas
from abstain.utils.html import html_text
from abstain.utils.validation import check_score_correct, check_threshold


class FailureReport(NamedTuple):
    """Metrics of failure prediction; those of a missing class (no errors, or nothing right) are NaN."""

    accuracy: float
    auroc: float
    aupr_success: float
    aupr_error: float
    fpr_at_95tpr: float
    aurc: float
    augrc: float
    threshold: float
    tpr: float
    tnr: float

    def __str__(self):
        stated = ((name, value) for name, value in self._asdict().items() if not np.isnan(value))
        return "\n".join(f"{name:<14}{value:.4f}" for name, value in stated)

    def _repr_html_(self):
        return html_text(self)


def failure_report(correct: ArrayLike, score: ArrayLike, *, threshold: float | None = None) -> FailureReport:
    """Report the usual metrics of failure prediction, a correct prediction being the positive class.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each prediction is right (bool or 0/1).
    score : array-like of shape (n,)
        Confidence, larger is safer.
    threshold : float, default=None
        The operating point of ``tpr`` and ``tnr``: accept ``score >= threshold``. None leaves both NaN, for 0.5
        means something else for every score.

    Returns
    -------
    report : FailureReport
        ``aupr_error`` has the error class positive, ranked by the negative score; ``fpr_at_95tpr`` is the share of
        errors accepted at the strictest threshold that accepts 95 % of what is right.

    Raises
    ------
    ValueError
        If shapes differ, or values are NaN, infinite or out of range.

    Examples
    --------
    >>> from abstain.metrics import failure_report
    >>> report = failure_report([1, 1, 1, 0], [0.9, 0.8, 0.4, 0.5], threshold=0.6)
    >>> round(report.auroc, 3), round(report.tpr, 3), report.tnr
    (0.667, 0.667, 1.0)
    """
    score, correct = check_score_correct(score, correct)
    if threshold is not None:
        check_threshold(threshold)
    accuracy = float(correct.mean())
    both = 0 < accuracy < 1
    ranking = _ranking(correct, score) if both else (float("nan"),) * 4
    accepted = score >= (np.nan if threshold is None else threshold)
    stated = threshold is not None
    fields = [
        accuracy,
        *ranking,
        *both_areas(correct, score),
        float("nan") if threshold is None else float(threshold),
        float(accepted[correct].mean()) if stated and accuracy > 0 else float("nan"),
        float(1 - accepted[~correct].mean()) if stated and accuracy < 1 else float("nan"),
    ]
    return FailureReport._make(fields)


def _ranking(correct, score):
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    fpr, tpr, _ = roc_curve(correct, score, drop_intermediate=False)
    return (
        float(roc_auc_score(correct, score)),
        float(average_precision_score(correct, score)),
        float(average_precision_score(~correct, -score)),
        float(fpr[np.argmax(tpr >= 0.95)]),
    )
