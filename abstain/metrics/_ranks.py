"""Where each loss stands in the order of scores: the one computation behind all areas.

Sort by decreasing score. A sample in a group of ties occupies positions n0+1 ... n1 (cumulative weights). By
linearity every area is a sum over samples with a loss, each contributing a function of (n0, n1) alone.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import digamma

from abstain.utils.validation import check_correct, check_losses, check_vector, check_weight


class Ranks(NamedTuple):
    """Losses and the tie groups they stand in, positions counted from the safest sample."""

    loss: np.ndarray  # (m,) weighted loss of a sample or of a group
    above: np.ndarray  # (m,) total weight of strictly safer samples
    through: np.ndarray  # (m,) total weight down to and including the tie group
    total: float  # total weight


def loss_ranks(correct, score, loss=None, sample_weight=None) -> Ranks:
    """Check the arrays and find the position of every loss."""
    score = check_vector(score, "score")
    if loss is None and sample_weight is None:
        return _binary_ranks(check_correct(correct, n=score.size), score)
    loss = check_losses(correct, loss, score.size)
    weight = check_weight(sample_weight, score.size)
    order, last = sorted_groups(score)
    cumulative = np.cumsum(weight[order])
    through = cumulative[last]
    above = np.concatenate([[0.0], through[:-1]])
    group_loss = np.diff(np.cumsum((weight * loss)[order])[last], prepend=0.0)
    kept = through > above  # a group of weight zero is not there
    return Ranks(group_loss[kept], above[kept], through[kept], float(cumulative[-1]))


def _binary_ranks(correct, score) -> Ranks:
    # sorting the errors and the rest apart is cheaper than an argsort of all, and only errors count
    errors = np.sort(score[np.flatnonzero(~correct)])
    rest = np.sort(score[np.flatnonzero(correct)])
    n = score.size
    first = np.flatnonzero(np.append(True, errors[1:] != errors[:-1])[: errors.size])
    values, counts = errors[first], np.diff(first, append=errors.size)
    below = np.searchsorted(rest, values, side="left")
    at_or_below = below.copy()
    tied = np.flatnonzero(rest[np.minimum(below, rest.size - 1)] == values) if rest.size else first[:0]
    at_or_below[tied] = np.searchsorted(rest, values[tied], side="right")
    above = n - (first + counts + at_or_below)
    return Ranks(counts.astype(float), above.astype(float), (n - (first + below)).astype(float), float(n))


def sorted_groups(score):
    """Order by decreasing score, and the last position of each group of equal scores."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    return order, np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))


def harmonic(x):
    """Harmonic numbers, continued to real arguments."""
    return digamma(x + 1.0) + np.euler_gamma


def mean_harmonic(above, through):
    """Mean of H(r - 1) over the positions r = above + 1 ... through, continued to real weights."""
    # the sum of H(0) ... H(m - 1) is m H(m) - m; differences lose digits, so single positions go directly
    mean = harmonic(above)
    shared = np.flatnonzero(through - above != 1.0)
    low, high = above[shared], through[shared]
    mean[shared] = (high * harmonic(high) - low * mean[shared]) / (high - low) - 1.0
    return mean
