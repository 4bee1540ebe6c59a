"""A score beside its baseline on the same samples, with an interval that needs no resampling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from abstain.metrics._ranks import sorted_groups
from abstain.metrics._risk_coverage import augrc, aurc
from abstain.utils.html import html_text
from abstain.utils.validation import check_groups, check_losses, check_vector

# rows that a fold needs: the paired error of fewer is too small
_RANKABLE = 20


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


def aurc_influence(correct, score):
    r"""First-order influence of each sample on the AURC, mean 0; its variance over n is that of the AURC.

    A tie group that lies between the coverages :math:`G_0` and :math:`G_1` adds its error times
    :math:`\phi = 1 - (G_1 \log G_1 - G_0 \log G_0) / (G_1 - G_0)`, the mean of :math:`-\log` over the group. A
    sample acts through its own error, and through the coverages of the errors at or below it.
    """
    order, last = sorted_groups(score)
    n, error = score.size, 1.0 - correct[order]
    sizes = np.diff(last, prepend=-1)
    first = last - sizes + 1
    low, high = first / n, (last + 1) / n
    slope = (_log(high) * high - _log(low) * low) / (high - low)
    by_high = (slope - _log(high) - 1) / (high - low)
    by_low = np.where(low > 0, (_log(low) + 1 - slope) / (high - low), 0.0)
    errors = np.add.reduceat(error, first) / n
    below = _reversed_cumsum(errors * by_high) + np.append(_reversed_cumsum(errors * by_low)[1:], 0.0)
    influence = error * np.repeat(1 - slope, sizes) + np.repeat(below, sizes)
    out = np.empty_like(influence)
    out[order] = influence - influence.mean()
    return out


def augrc_influence(correct, score):
    """First-order influence of each sample on the AUGRC, mean 0; its variance over n is that of the AUGRC.

    The AUGRC is the probability that one sample is an error and another, drawn apart, has no larger score (ties count
    half); a sample takes either part.
    """
    order, last = sorted_groups(score)
    n, error = score.size, 1.0 - correct[order]
    sizes = np.diff(last, prepend=-1)
    below = 1 - (last + 1 - sizes / 2) / n  # share of smaller scores, half of the ties
    errors = np.add.reduceat(error, last - sizes + 1) / n
    above = np.cumsum(errors) - errors / 2
    influence = error * np.repeat(below, sizes) + np.repeat(above, sizes)
    out = np.empty_like(influence)
    out[order] = influence - influence.mean()
    return out


def compare_augrc(correct, score, baseline):
    """Difference of the AUGRC of two scores of the same samples, and its paired standard error."""
    difference = augrc(correct, score) - augrc(correct, baseline)
    paired = augrc_influence(correct, score) - augrc_influence(correct, baseline)
    return float(difference), float(paired.std() / np.sqrt(score.size))


def augrc_within(correct, score, model):
    """Return the AUGRC within the samples of each model, averaged by their number.

    Held-out scores of two folds come from two models, which need not be on one scale: samples are ranked among those
    of one ``model``, (n,), as one model will rank them; where models have few samples, all are ranked together.
    """
    return float(sum(rows.size * augrc(correct[rows], score[rows]) for rows in _parts(model)) / score.size)


def compare_augrc_within(correct, score, baseline, model):
    """Difference of the AUGRC of two scores within models, averaged by number, and its paired standard error."""
    parts = _parts(model)
    compared = np.array([compare_augrc(correct[rows], score[rows], baseline[rows]) for rows in parts])
    shares = np.array([rows.size for rows in parts]) / score.size
    return float(shares @ compared[:, 0]), float(np.linalg.norm(shares * compared[:, 1]))


def _parts(model):
    """Rows that one model has scored, model by model; all rows where those are few."""
    models, sizes = np.unique(model, return_counts=True)
    return [np.flatnonzero(model == i) for i in models] if sizes.mean() >= _RANKABLE else [np.arange(model.size)]


def _log(x):
    return np.log(np.where(x > 0, x, 1.0))


def _reversed_cumsum(x):
    return np.cumsum(x[::-1])[::-1]


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
    for rows in _parts(model):
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
