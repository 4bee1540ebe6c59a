"""Which threshold keeps the selective risk below a number, with probability 1 - delta? Three procedures.

Everything works on integer counts. A candidate threshold accepts ``m`` calibration samples of which ``k`` are
errors; given ``m``, ``k`` is binomial, so "the risk exceeds r" is rejected by an exact binomial test. With groups,
a candidate passes only if it passes in every group (an intersection-union test: no correction is needed, since the
bound is violated as soon as one group violates it).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import betainc, betainccinv


class Candidates(NamedTuple):
    """Distinct thresholds, strict to lax, with what each accepts in each group."""

    threshold: np.ndarray  # (t,) decreasing
    accepted: np.ndarray  # (t, g) samples accepted
    errors: np.ndarray  # (t, g) errors among them
    tested: np.ndarray  # (t, g) samples that may be used in a test
    failed: np.ndarray  # (t, g) errors among those


class Choice(NamedTuple):
    """The candidate a procedure deploys, and the level at which it passed."""

    position: int
    level: float


def candidates(score, correct, groups=None) -> Candidates:
    """Count acceptances and errors at every distinct score.

    A threshold taken from the data is itself an accepted sample. Given its value, the samples strictly above are
    independent draws of the accepted region, so a lone sample at the boundary is left out of the test. Where the
    boundary is a group of ties the value is an atom, and one correct sample is left out instead, which is safe; so
    is leaving one out of every group, whichever holds the boundary.
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    codes = np.zeros(score.size, dtype=np.intp) if groups is None else np.unique(groups, return_inverse=True)[1]
    member = codes[order][:, None] == np.arange(codes.max() + 1)
    wrong = member & ~correct[order][:, None]
    accepted, errors = np.cumsum(member, axis=0)[last], np.cumsum(wrong, axis=0)[last]
    lone = np.diff(last, prepend=-1) == 1
    tested = np.maximum(accepted - 1, 0)
    failed = errors - (lone[:, None] & wrong[last])
    return Candidates(ranked[last], accepted, errors, tested, failed)


def upper_bound(errors, accepted, delta):
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

    References
    ----------
    C. J. Clopper, E. S. Pearson, "The Use of Confidence or Fiducial Limits", Biometrika 1934.

    Examples
    --------
    >>> from abstain.policies import upper_bound
    >>> round(float(upper_bound(0, 59, 0.05)), 5), round(float(upper_bound(3, 200, 0.05)), 5)
    (0.04951, 0.03831)
    """
    errors, accepted = np.asarray(errors), np.asarray(accepted)
    spare = accepted - errors
    bound = betainccinv(errors + 1.0, np.maximum(spare, 1), delta)
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


def _worst_p(table, index, risk):
    return p_values(table.failed[index], table.tested[index], risk).max(axis=-1)


def _positions(table, low, count):
    """Indices of candidates at evenly spaced sizes of the smallest group, from ``low`` to all."""
    smallest = table.tested.min(axis=1)
    if low > smallest[-1]:
        return np.empty(0, dtype=np.intp)
    return np.unique(np.searchsorted(smallest, np.linspace(low, smallest[-1], count)))


def fixed_sequence(table, risk, delta, *, n_starts=5, n_steps=100) -> Choice | None:
    """Fixed-sequence testing from several starts, with the levels of unbroken chains handed on.

    The starts lie evenly on a logarithmic scale between twice the smallest sample that can certify and 30 % of the
    data, and one more is at all of them, for data that need no abstention; each owns an equal share of delta. With
    too few data for that, one start at the smallest sample that can certify owns it all. Walking from strict to
    lax, a candidate is tested at the level handed on by its predecessor, if that passed, plus its own. This is the
    fallback procedure of Wiens and Dmitrienko (2005), which controls the chance of any false pass. Positions depend
    on the scores alone, never on the errors.
    """
    smallest = table.tested.min(axis=1)
    sizes = _starts(smallest[-1], risk, delta, n_starts)
    own = np.searchsorted(smallest, sizes)
    steps = np.union1d(_positions(table, sizes[0], n_steps), own[own < smallest.size])
    levels = delta / len(sizes) * (own == steps[:, None]).sum(axis=1)
    chosen, level = None, 0.0
    for index, p, more in zip(steps.tolist(), _worst_p(table, steps, risk), levels, strict=True):
        level += more
        if p <= level:
            chosen = Choice(index, level)
        else:
            level = 0.0
    return chosen


def _starts(total, risk, delta, n_starts):
    """Sizes of the accepted set at which a chain begins; one where the data are too few for several."""
    low, high = 2 * smallest_sample(risk, delta / n_starts), 0.3 * total
    if low < high:
        return np.append(np.geomspace(low, high, n_starts - 1), total)
    return np.array([smallest_sample(risk, delta)], dtype=float)


def bonferroni(table, risk, delta, *, n_steps=20) -> Choice | None:
    """Test a grid of candidates, each at delta / n_steps; deploy the most permissive that passes."""
    steps = _positions(table, smallest_sample(risk, delta / n_steps), n_steps)
    passed = np.flatnonzero(_worst_p(table, steps, risk) <= delta / n_steps)
    return Choice(int(steps[passed[-1]]), delta / n_steps) if passed.size else None


def sgr(table, risk, delta) -> Choice | None:
    """Selection with guaranteed risk (Geifman and El-Yaniv, NeurIPS 2017): binary search over the thresholds.

    The visits, floor(log2 t) + 1 at most, share delta equally; the most permissive that passed is deployed.
    """
    low, high = 0, len(table.threshold) - 1
    visits = (high + 1).bit_length()
    chosen = None
    for _ in range(visits):
        middle = (low + high) // 2
        if _worst_p(table, middle, risk) <= delta / visits:
            chosen = Choice(middle, delta / visits)
            low = min(middle + 1, high)
        else:
            high = max(middle - 1, low)
    return chosen


def reachable_risk(procedure, table, risk, delta):
    """Smallest risk, rounded up to three digits, at which a procedure that failed would certify something."""
    low, high = risk, 1.0 - 1e-9
    if procedure(table, high, delta) is None:
        return 1.0
    while high - low > 1e-3 * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if procedure(table, middle, delta) is not None else (middle, high)
    unit = 10.0 ** (math.floor(math.log10(high)) - 2)
    rounded = min(math.ceil(high / unit) * unit, 1.0 - 1e-9)
    return rounded if procedure(table, rounded, delta) is not None else high
