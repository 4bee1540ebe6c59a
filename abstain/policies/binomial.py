"""The exact test of errors among independent rows: binomial tails."""

import math

import numpy as np
from scipy.special import betainc, betaincinv

from abstain.utils.validation import as_array


class Binomial:
    """Test of "the error rate of the accepted exceeds r", for 0/1 losses of independent rows.

    A threshold that comes from the data is tied to the rows at the border of its region, so that one right row is left
    out of the count, unless the border is a lone error: then the count is of independent draws whether the risk rises
    or falls there. The region of all rows depends on nothing, and all count.

    Parameters
    ----------
    candidates : Candidates
        The regions.
    events : Events
        Answers with losses of 0 or 1, in the order of the scores given to the candidates.
    ranks : ndarray of int, default=None
        Places of the events of one group in the order of the candidates, increasing; None is all.
    """

    def __init__(self, candidates, events, ranks=None):
        ranks = np.arange(events.loss.size) if ranks is None else ranks
        at, self.passed = candidates.order[ranks], np.searchsorted(ranks, candidates.last, side="right")
        self.accepted = np.append(0, np.cumsum(events.enters[at]))[self.passed]
        self.lost = np.append(0, np.cumsum(events.change[at].astype(np.intp)))[self.passed]
        self.several = events.before is not None
        border = candidates.lone & (events.loss[candidates.order[candidates.last]] > 0)
        self.tested = self.accepted - np.where(border & (not self.several), 0, 1)
        self.tested[-1] = self.accepted[-1]
        self.tested = np.maximum(self.tested, self.lost)

    @property
    def size(self):
        """Units in each region, (t,)."""
        return self.tested

    def p_values(self, at, risk):
        """Chance of so few errors in regions whose risk is ``risk``: small where it is surely below."""
        return p_values(self.lost[at], self.tested[at], risk)

    def bound(self, at, level):
        """Upper bound on the risk of a region, at confidence ``1 - level``."""
        return float(upper_bound(self.lost[at], self.tested[at], level))

    @staticmethod
    def smallest(risk, level):
        """Number of rows without an error that pass, at least."""
        return smallest_sample(risk, level)


def upper_bound(errors: int | np.ndarray, accepted: int | np.ndarray, delta: float) -> float | np.ndarray:
    """Clopper-Pearson upper bound on a risk.

    Parameters
    ----------
    errors : int or ndarray of int
        Errors among the accepted.
    accepted : int or ndarray of int
        Number accepted.
    delta : float
        One minus the confidence, in (0, 1).

    Returns
    -------
    bound : float or ndarray
        The risk at which that few errors have probability ``delta``; 1 where all accepted are errors.

    Raises
    ------
    ValueError
        If counts are no whole numbers, or there are more errors than accepted; or ``delta`` is out of range.

    References
    ----------
    C. J. Clopper, E. S. Pearson, "The Use of Confidence or Fiducial Limits", Biometrika 1934.

    Examples
    --------
    >>> from abstain.policies import upper_bound
    >>> round(float(upper_bound(0, 59, 0.05)), 5), round(float(upper_bound(3, 200, 0.05)), 5)
    (0.04951, 0.03831)
    """
    errors, accepted = as_array(errors, "errors"), as_array(accepted, "accepted")
    if errors.ndim and accepted.ndim and errors.shape != accepted.shape:
        raise ValueError(f"errors and accepted must have one shape; got {errors.shape} and {accepted.shape}.")
    for name, counts in (("errors", errors), ("accepted", accepted)):
        if counts.dtype.kind not in "iu" and not (np.isfinite(counts).all() and (counts == np.floor(counts)).all()):
            raise ValueError(f"{name} must be whole numbers; got {counts}.")
        if (counts < 0).any():
            raise ValueError(f"{name} must not be negative; got {counts.min()}.")
    if (errors > accepted).any():
        raise ValueError("errors must not exceed accepted; were they swapped?")
    levels = as_array(delta, "delta")
    if levels.ndim > max(errors.ndim, accepted.ndim) or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"delta must lie in (0, 1); got {delta!r}.")
    spare = accepted - errors
    bound = 1.0 - betaincinv(np.maximum(spare, 1), errors + 1.0, levels)
    return np.where(spare > 0, bound, 1.0)[()]


def p_values(errors, accepted, risk):
    """P(Binomial(accepted, risk) <= errors): small where the risk is surely below; 1 where nothing is accepted."""
    spare = accepted - errors
    # on k >= r m the test cannot pass at any level below one half, and the tail need not be computed
    hopeless = (errors >= risk * accepted) | (spare <= 0)
    p = np.ones(np.shape(errors))
    ask = ~hopeless
    p[ask] = betainc(spare[ask], errors[ask] + 1.0, 1.0 - risk)
    return p


def smallest_sample(risk, delta):
    """Number of samples below which not even an error-free set certifies the risk."""
    return math.ceil(min(math.log(delta) / math.log1p(-risk), 2.0**62))
