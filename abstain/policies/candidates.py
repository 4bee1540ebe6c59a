"""Which thresholds there are to choose from: one for each score that can be told from the next."""

from typing import NamedTuple

import numpy as np

# scores are told apart if they differ by more than this many roundings of what they were computed from
_ROUNDINGS = 256
_MOST = 1e-2


class Candidates(NamedTuple):
    """Regions ``score >= threshold``, strict to lax."""

    order: np.ndarray  # (n,) rows by decreasing score
    last: np.ndarray  # (t,) position in that order of the last row of each region
    threshold: np.ndarray  # (t,) between the last row of the region and the next; -inf for all
    lone: np.ndarray  # (t,) of bool: whether the last row of a region is the only one of its score

    @property
    def accepted(self):
        """Number of rows in each region, (t,)."""
        return self.last + 1

    def thinned(self, most):
        """Return about ``most`` of the regions, evenly by number, and always that of all rows."""
        kept = np.unique(np.linspace(0, self.last.size - 1, most).astype(np.intp))
        return Candidates(self.order, self.last[kept], self.threshold[kept], self.lone[kept])


def tolerance_of(rounding):
    """Relative difference of two scores that are told apart, for a relative rounding error of their inputs."""
    return min(_ROUNDINGS * rounding, _MOST)


def candidates(score, rounding=2.0**-52) -> Candidates:
    """Find the regions that thresholds can reach, whose borders do not hang on rounding.

    Scores that differ by less than the tolerance, relative to their size or to 1, are one candidate, and a threshold
    lies in the middle of the gap below it. Where scores are so dense that gaps are smaller than that, they are parted
    at the widest gap in every ten tolerances: there, rounding can only move what is as good as equal.

    Parameters
    ----------
    score : ndarray of shape (n,)
        Finite scores.
    rounding : float, default=2.2e-16
        Relative rounding error of what the scores were computed from.

    Returns
    -------
    candidates : Candidates
        At least one, if there are scores.
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    tolerance = tolerance_of(rounding) * np.maximum(np.abs(ranked), 1.0)
    gaps = ranked[:-1] - ranked[1:]
    parted = gaps > tolerance[:-1]
    parted[_widest(ranked, gaps, tolerance, parted)] = True
    last = np.append(np.flatnonzero(parted), score.size - 1)
    middle = ranked[last[:-1]] - 0.5 * gaps[last[:-1]]
    return Candidates(order, last, np.append(middle, -np.inf), np.diff(last, prepend=-1) == 1)


def _widest(ranked, gaps, tolerance, parted):
    """Positions of the widest gap in every ten tolerances of a run of scores without a gap."""
    run = np.cumsum(np.append(0, parted))
    first = np.flatnonzero(np.append(True, parted))
    depth = ranked[first][run] - ranked
    length = depth[np.append(first[1:], ranked.size) - 1][run]
    at = np.flatnonzero((length > 10 * tolerance)[:-1] & ~parted & (gaps > 0))
    window = (depth[at] / (10 * tolerance[at])).astype(np.int64)
    by_width = np.lexsort((-gaps[at], window, run[at]))
    new = (np.diff(run[at][by_width]) != 0) | (np.diff(window[by_width]) != 0)
    return at[by_width[np.append(True, new)[: at.size]]]
