"""Standard errors of areas from the influence of each sample, and AUGRC of two scores of the same samples."""

import numpy as np

from abstain.metrics._ranks import sorted_groups
from abstain.metrics._risk_coverage import augrc

# rows that a fold needs: the paired error of fewer is too small
_RANKABLE = 20


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
    return float(sum(rows.size * augrc(correct[rows], score[rows]) for rows in ranked_together(model)) / score.size)


def compare_augrc_within(correct, score, baseline, model):
    """Difference of the AUGRC of two scores within models, averaged by number, and its paired standard error."""
    parts = ranked_together(model)
    compared = np.array([compare_augrc(correct[rows], score[rows], baseline[rows]) for rows in parts])
    shares = np.array([rows.size for rows in parts]) / score.size
    return float(shares @ compared[:, 0]), float(np.linalg.norm(shares * compared[:, 1]))


def ranked_together(model):
    """Rows that one model has scored, model by model; all rows where those are few."""
    models, sizes = np.unique(model, return_counts=True)
    return [np.flatnonzero(model == i) for i in models] if sizes.mean() >= _RANKABLE else [np.arange(model.size)]


def _log(x):
    return np.log(np.where(x > 0, x, 1.0))


def _reversed_cumsum(x):
    return np.cumsum(x[::-1])[::-1]
