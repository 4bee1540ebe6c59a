"""Which threshold keeps the selective risk below a number, with probability 1 - delta? Three ways to search.

Each takes any test of one region (`Binomial`, `Betting`, or several that must pass at once) and pays for looking at
more than one. Which regions are looked at depends on the scores alone, never on the losses.
"""

import math
from typing import NamedTuple

import numpy as np

# starts of chains, as shares of the data, and the share of delta that each owns
_SHARES = np.array([1 / 8, 1 / 4, 1 / 2, 1.0])
_WEIGHTS = np.array([1, 1, 2, 1]) / 7
_STEPS = 200


class Choice(NamedTuple):
    """The region that a search deploys, and the level at which it passed."""

    position: int
    level: float


class Together:
    """Several tests of the same regions, all of which must pass: no correction is needed for that.

    A promise to every group is broken as soon as it is broken to one, and that one is tested at the full level.

    Parameters
    ----------
    tests : list
        One for each group.
    """

    def __init__(self, tests):
        self.tests = tests
        self.size = np.min([test.size for test in tests], axis=0)
        self.several = any(test.several for test in tests)
        self.passed = np.sum([test.passed for test in tests], axis=0)

    def p_values(self, at, risk):
        """The largest of all."""
        return np.max([test.p_values(at, risk) for test in self.tests], axis=0)

    def bound(self, at, level):
        """Upper bound on the risk in every group."""
        return max(test.bound(at, level) for test in self.tests)

    def smallest(self, risk, level):
        """Number of units without a loss that pass, at least."""
        return max(test.smallest(risk, level) for test in self.tests)


def fixed_sequence(test, risk, delta) -> Choice | None:
    """Fixed-sequence testing from several starts, with the levels of unbroken chains handed on.

    Walking from strict to lax, a region is tested at the level handed on by the one before it, if that passed, plus its
    own: the fallback procedure of Wiens and Dmitrienko (2005), which controls the chance of any false pass. Chains
    start at an eighth, a quarter, a half and all of the data, or short of that where scores tie, and at the smallest
    size that can pass at the level which they leave.

    Levels depend on numbers of samples alone. Where P(error | score) never rises with the score, the test of any region
    that is too risky is valid given all scores below it, and the union bound over the starts proves the guarantee. For
    fixed thresholds it is proven for any law. For thresholds from the data under a law that is not monotone, each test
    is valid on its own, and that levels may be handed on rests on simulation (``benchmarks/bench_guarantee.py``).
    """
    least, starts, owned = _starts(test, int(test.size[-1]), risk, delta)
    at = _positions(test, least, _STEPS)
    there = starts < test.size.size
    at = np.union1d(at, starts[there])
    levels = np.bincount(np.searchsorted(at, starts[there]), owned[there], at.size)
    chosen, level = None, 0.0
    for position, p, more in zip(at.tolist(), test.p_values(at, risk), levels.tolist(), strict=True):
        level += more
        if p <= level:
            chosen = Choice(position, level)
        else:
            level = 0.0
    return chosen


def _starts(test, total, risk, delta):
    """Size of the smallest region at which a chain begins, the regions at which they do, and the level of each."""
    least = test.smallest(risk, delta) + 1
    # a start takes its level as the data grow, so that no size of the data loses by it
    grown = np.clip(0.5 * (_SHARES * total / least - 1), 0, 1)
    owned = np.append(delta - delta * (_WEIGHTS * grown).sum(), delta * _WEIGHTS * grown)
    kept = owned > 0
    sizes = np.append(test.smallest(risk, owned[0]) if kept[0] else total, np.ceil(_SHARES * total))
    pace = _pace(test)
    of_shares = [_start(test, pace, share * pace[-1], risk, own) for share, own in zip(_SHARES, owned[1:], strict=True)]
    starts = np.append(np.searchsorted(test.size, sizes[0]), of_shares)
    return sizes[kept].min(), starts[kept], owned[kept]


def _start(test, pace, share, risk, level):
    """Region at which a chain begins: that of a share, or, where it lies between two, the stricter if it can pass."""
    above = int(np.searchsorted(pace, np.ceil(share)))
    if level > 0 and above > 0 and pace[above] > np.ceil(share):
        below = int(np.searchsorted(pace, pace[above - 1]))
        return below if test.size[below] >= test.smallest(risk, level) else above
    return above


def _pace(test):
    """What regions are spaced by, (t,): their size; or answers, where samples have several and size stands still."""
    return test.passed if test.several else test.size


def bonferroni(test, risk, delta, *, n_steps=20) -> Choice | None:
    """Test a grid of regions, each at delta / n_steps; deploy the most permissive that passes."""
    at = _positions(test, test.smallest(risk, delta / n_steps), n_steps)
    passed = np.flatnonzero(test.p_values(at, risk) <= delta / n_steps)
    return Choice(int(at[passed[-1]]), delta / n_steps) if passed.size else None


def sgr(test, risk, delta) -> Choice | None:
    """Selection with guaranteed risk (Geifman and El-Yaniv, NeurIPS 2017): binary search over the thresholds.

    The visits, floor(log2 t) + 1 at most, share delta equally; the most permissive that passed is deployed.
    """
    low, high = 0, len(test.size) - 1
    visits = (high + 1).bit_length()
    chosen = None
    for _ in range(visits):
        middle = (low + high) // 2
        if test.p_values(np.array([middle]), risk)[0] <= delta / visits:
            chosen = Choice(middle, delta / visits)
            low = min(middle + 1, high)
        else:
            high = max(middle - 1, low)
    return chosen


def _positions(test, low, count):
    """Regions evenly spaced, from the first of size ``low`` to all."""
    if low > test.size[-1]:
        return np.empty(0, dtype=np.intp)
    pace = _pace(test)
    start = pace[np.searchsorted(test.size, low)] if test.several else low
    return np.unique(np.searchsorted(pace, np.linspace(start, pace[-1], count)))


def reachable_risk(search, test, risk, delta):
    """Smallest risk, rounded up to three digits, at which a search that failed would certify something."""
    low, high = risk, 1.0 - 1e-9
    if search(test, high, delta) is None:
        return 1.0
    while high - low > 1e-3 * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if search(test, middle, delta) is not None else (middle, high)
    unit = 10.0 ** (math.floor(math.log10(high)) - 2)
    rounded = min(math.ceil(high / unit) * unit, 1.0 - 1e-9)
    return rounded if search(test, rounded, delta) is not None else high
