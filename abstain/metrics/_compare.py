"""A score beside its baseline on the same samples, with an interval that needs no resampling."""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from abstain.metrics._ranks import sorted_groups
from abstain.metrics._risk_coverage import augrc, aurc
from abstain.utils.validation import check_score_correct, check_vector

# rows that a fold needs: the paired error of fewer is too small
_RANKABLE = 20


class Comparison(NamedTuple):
    """AURC of a score and of maximum probability on the same held-out samples; smaller is better."""

    n: int
    errors: int
    baseline: float
    score: float
    difference: float
    low: float
    high: float

    def __str__(self):
        caution = " (so few that the interval is too narrow)" if self.errors < 10 else ""
        return (
            f"{self.n} held-out samples, {self.errors} errors{caution}\n"
            f"AURC of maximum probability  {self.baseline:.4f}\n"
            f"AURC of this score           {self.score:.4f}\n"
            f"difference                   {self.difference:+.4f}  95 % CI [{self.low:+.4f}, {self.high:+.4f}]"
        )


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


def augrc_within(correct, score, folds):
    """Return the AUGRC within folds, averaged by their size.

    Held-out scores of two folds come from two models, which need not be on one scale: samples are ranked within folds
    alone, as one model will rank them. Where folds overlap the last one has scored; where they are too small to rank
    in, all samples are ranked together.
    """
    return float(sum(rows.size * augrc(correct[rows], score[rows]) for rows in _parts(folds, score.size)) / score.size)


def compare_augrc_within(correct, score, baseline, folds):
    """Difference of the AUGRC of two scores within folds, averaged by their size, and its paired standard error."""
    parts = _parts(folds, score.size)
    compared = np.array([compare_augrc(correct[rows], score[rows], baseline[rows]) for rows in parts])
    shares = np.array([rows.size for rows in parts]) / score.size
    return float(shares @ compared[:, 0]), float(np.linalg.norm(shares * compared[:, 1]))


def _parts(folds, n):
    """Rows that one model has scored, fold by fold; all rows where folds are small."""
    last = np.zeros(n, dtype=np.intp)
    for i, (_, test) in enumerate(folds):
        last[test] = i
    fold, size = np.unique(last, return_counts=True)
    return [np.flatnonzero(last == i) for i in fold] if size.mean() >= _RANKABLE else [np.arange(n)]


def _log(x):
    return np.log(np.where(x > 0, x, 1.0))


def _reversed_cumsum(x):
    return np.cumsum(x[::-1])[::-1]


def compare_aurc(correct, score, baseline):
    """Compare the AURC of two scores of the same samples, with a 95 % interval of the difference."""
    score, correct = check_score_correct(score, correct)
    baseline = check_vector(baseline, "baseline", n=score.size)
    reference, area = aurc(correct, baseline), aurc(correct, score)
    paired = aurc_influence(correct, score) - aurc_influence(correct, baseline)
    half = norm.ppf(0.975) * paired.std() / np.sqrt(score.size)
    difference = area - reference
    errors = int((~correct).sum())
    return Comparison(score.size, errors, reference, area, difference, difference - half, difference + half)
