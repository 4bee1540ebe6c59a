"""A score beside its baseline on the same samples, with an interval that needs no resampling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from abstain.metrics._risk_coverage import aurc
from abstain.metrics.paired import aurc_influence, ranked_together
from abstain.utils.html import html_text
from abstain.utils.validation import check_groups, check_losses, check_vector


class Comparison(NamedTuple):
    """AURC of a score and of a baseline on the same held-out samples; smaller is better.

    Samples that different models have scored are ranked among those of one model, and areas are averaged by number.
    """

    n: int
    errors: int
    baseline: float
    score: float
    difference: float
    low: float
    high: float
    name: str = "this score"
    baseline_name: str = "the baseline"

    def __str__(self):
        caution = " (so few that the interval is too narrow)" if self.errors < 10 else ""
        width = max(len(self.name), len(self.baseline_name))
        return (
            f"{self.n} held-out samples, {self.errors} errors{caution}\n"
            f"AURC of {self.baseline_name:<{width}}  {self.baseline:.4f}\n"
            f"AURC of {self.name:<{width}}  {self.score:.4f}\n"
            f"{'difference':<{width + 8}}  {self.difference:+.4f}  95 % CI [{self.low:+.4f}, {self.high:+.4f}]"
        )

    def _repr_html_(self):
        return html_text(self)


def compare_aurc(
    correct: ArrayLike | None, score: ArrayLike, baseline: ArrayLike, *, loss: ArrayLike | None = None,
    model: ArrayLike | None = None, name: str = "this score", baseline_name: str = "the baseline",
) -> Comparison:  # fmt: skip
    """Compare the AURC of two scores of the same samples, with a 95 % interval of the difference.

    Parameters
    ----------
    correct : array-like of shape (n,) or None
        Whether each prediction is right. Ignored where ``loss`` is given.
    score, baseline : array-like of shape (n,)
        Confidences, larger is safer.
    loss : array-like of shape (n,), default=None
        Graded losses in [0, 1] instead of errors.
    model : array-like of shape (n,), default=None
        Which model has scored each sample; samples are ranked among those of one model. None is one for all.
    name, baseline_name : str
        What the two are called in print.

    Returns
    -------
    comparison : Comparison
        Both areas, and their difference with its interval.

    Examples
    --------
    >>> from abstain.metrics import compare_aurc
    >>> compare_aurc([1, 0, 1], [0.9, 0.1, 0.8], [0.1, 0.9, 0.8]).difference < 0
    True
    """
    score = check_vector(score, "score")
    baseline = check_vector(baseline, "baseline", n=score.size)
    loss = check_losses(correct, loss, score.size)
    model = np.zeros(score.size) if model is None else check_groups(model, score.size, "model")
    right, total, areas, variance = 1.0 - loss, score.size, np.zeros(2), 0.0
    for rows in ranked_together(model):
        share, values = rows.size / total, (score[rows], baseline[rows])
        areas += share * np.array([aurc(None, value, loss=loss[rows]) for value in values])
        paired = aurc_influence(right[rows], values[0]) - aurc_influence(right[rows], values[1])
        variance += share**2 * paired.var() / rows.size
    half = norm.ppf(0.975) * np.sqrt(variance)
    difference = areas[0] - areas[1]
    low, high = difference - half, difference + half
    reference, area, difference, low, high = map(float, (areas[1], areas[0], difference, low, high))
    errors = int((loss > 0).sum())
    return Comparison(total, errors, reference, area, difference, low, high, name, baseline_name)
