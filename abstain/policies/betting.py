r"""A test of a bounded mean that takes any losses in [0, 1], and clusters: betting against "the risk is too large".

Each unit pays :math:`1 - \lambda X` per coin bet, where X is the mean over its rows of (loss - r) among the accepted.
If the risk exceeds r, X has no negative mean, and no bet can expect to gain: by Markov's inequality the wealth reaches
1 / delta with probability delta at most. The wealth is averaged over a grid of bets, so that it does not depend on the
order of the units, and none of them needs to be tuned.
"""

import math

import numpy as np
from scipy.special import logsumexp

from abstain.policies.binomial import upper_bound
from abstain.utils.validation import row_blocks

# bets as shares of the largest that cannot ruin; the one next to it pays where losses vary little
_SHARES = np.arange(1, 6) / 5.0 * 0.9999


class Betting:
    """Test of "the mean loss of the accepted exceeds r", for losses in [0, 1] of independent rows.

    Parameters
    ----------
    candidates : Candidates
        The regions.
    events : Events
        Answers with losses in [0, 1], in the order of the scores given to the candidates.
    ranks : ndarray of int, default=None
        Places of the events of one group in the order of the candidates, increasing; None is all.
    """

    def __init__(self, candidates, events, ranks=None):
        ranks = np.arange(events.loss.size) if ranks is None else ranks
        self.at, self.everything = candidates.order[ranks], candidates.last.size - 1
        self.loss, self.enters = events.loss[self.at], events.enters[self.at]
        self.several = events.before is not None
        self.before = events.before[self.at] if self.several else None
        self.passed = np.searchsorted(ranks, candidates.last, side="right")
        self.accepted = np.append(0, np.cumsum(self.enters))[self.passed]
        self.lost = np.append(0.0, np.cumsum(events.change[self.at]))[self.passed]

    @property
    def size(self):
        """Units in each region, (t,)."""
        return self.accepted

    def p_values(self, at, risk):
        """Inverse of the wealth that the losses in some regions allow, at most 1."""
        at = np.atleast_1d(at)
        bets = _SHARES / (1 - risk)
        logs = self._log_wealth(at, risk, bets)
        # one unit at the border is left out, unless the region depends on nothing
        logs = np.where((at == self.everything)[:, None], logs, logs - np.log1p(bets * risk))
        return np.minimum(np.exp(math.log(bets.size) - logsumexp(logs, axis=1)), 1.0)

    def _log_wealth(self, at, risk, bets):
        """Logarithm of the wealth by each bet in each region, (len(at), len(bets))."""
        steps = np.zeros((at.size + 1, bets.size))
        position = np.searchsorted(self.passed[at], np.arange(self.loss.size), side="right")
        for rows in row_blocks(self.loss.size, bets.size, 1 << 20):
            gains = np.log1p(-bets * (self.loss[rows, None] - risk))
            if self.before is not None:
                undone = np.log1p(-bets * (self.before[rows, None] - risk))
                gains -= np.where(self.enters[rows, None], 0.0, undone)
            starts = np.flatnonzero(np.append(True, np.diff(position[rows]) > 0))
            steps[position[rows][starts]] += np.add.reduceat(gains, starts, axis=0)
        return np.cumsum(steps, axis=0)[:-1]

    def bound(self, at, level):
        """Upper bound on the risk of a region, at confidence ``1 - level``."""
        return _smallest_risk(lambda risk: float(self.p_values(at, risk)[0]), level)

    @staticmethod
    def smallest(risk, level):
        """Number of units without a loss that pass, at least."""
        gains = np.log1p(_SHARES / (1 - risk) * risk)
        # the largest bet alone would do with as many as this; their average needs more
        low = int(math.log(1 / level) / gains[-1])
        high = low + int(math.log(gains.size) / gains[-1]) + 2
        while low < high:
            middle = (low + high) // 2
            enough = logsumexp(middle * gains) - math.log(gains.size) >= -math.log(level)
            low, high = (low, middle) if enough else (middle + 1, high)
        return low + 1  # one is left out


class ClusterBetting(Betting):
    """The same where the rows of a cluster are not independent, and clusters are.

    Parameters
    ----------
    candidates, events, ranks : object
        As in `Betting`.
    clusters : ndarray of shape (n,)
        Cluster of each sample.
    """

    def __init__(self, candidates, events, ranks, clusters):
        super().__init__(candidates, events, ranks)
        self.cluster = np.unique(clusters[events.row[self.at]], return_inverse=True)[1]
        self.n_rows = np.bincount(self.cluster[self.enters])

    @property
    def size(self):
        """Clusters that the rows of each region would fill, (t,)."""
        return np.floor(self.accepted / self.n_rows.sum() * self.n_rows.size)

    def _log_wealth(self, at, risk, bets):
        logs, excess, done = np.zeros((at.size, bets.size)), np.zeros(self.n_rows.size), 0
        change = self.loss - (risk if self.before is None else np.where(self.enters, risk, self.before))
        for i, upto in enumerate(self.passed[at].tolist()):
            part = slice(done, upto)
            excess += np.bincount(self.cluster[part], change[part], self.n_rows.size)
            logs[i] = np.log1p(-np.outer(excess / self.n_rows, bets)).sum(axis=0)
            done = upto
        return logs


def mean_bound(loss, delta):
    """Upper bound on the mean of losses in [0, 1] of independent rows, at confidence ``1 - delta``."""

    def p_value(risk):
        logs = np.log1p(-np.outer(loss - risk, _SHARES / (1 - risk))).sum(axis=0)
        return min(math.exp(math.log(logs.size) - logsumexp(logs)), 1.0)

    return _smallest_risk(p_value, delta)


def risk_bound(loss, graded, delta):
    """Upper bound on the mean of losses, exact where all of them are 0 or 1; `mean_bound` of graded ones."""
    return float(mean_bound(loss, delta) if graded else upper_bound(int(loss.sum()), loss.size, delta))


def _smallest_risk(p_value, level):
    """Smallest risk that is rejected, to six digits; 1 where none is."""
    low, high = 0.0, 1.0 - 1e-9
    if p_value(high) > level:
        return 1.0
    while high - low > 1e-6 * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if p_value(middle) <= level else (middle, high)
    return high
