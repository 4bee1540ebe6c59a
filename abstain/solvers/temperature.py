"""One inverse temperature: by Newton's method, in a few passes over blocks that stay in cache; or from sums.

Sums of the log-loss and of its derivatives at some inverse temperatures are all that has to be known of samples: they
can be merged, and between two of these temperatures a polynomial has them all.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.interpolate import BPoly
from scipy.optimize import brentq

from abstain.utils.validation import row_blocks

# of the logarithm of the inverse temperature, about that of the spread of the logits
_LIMIT = 10.0
_ELEMENTS = 1 << 15
_KNOTS = np.arange(-6.0, 6.25, 0.25)  # logarithms of the inverse temperatures at which losses are summed up
_NARROW = 32  # classes up to which sums run over samples, which vectorise, and not over classes


class _Slope(NamedTuple):
    """First and second derivative of the mean log-loss by the inverse temperature."""

    first: float
    second: float


def fit_inverse_temperature(logits, codes, weight=None, *, ridge=0.0, start=None):
    """Inverse temperature of least log-loss.

    The log-loss is convex in it, so that Newton's method on its logarithm, kept within the bracket of what has been
    seen, ends in a handful of steps; the first of them on a sixteenth of the rows.

    Parameters
    ----------
    logits : ndarray of shape (n, n_classes)
        Finite logits.
    codes : ndarray of shape (n,)
        Indices of the true classes.
    weight : ndarray of shape (n,), default=None
        Weights; None is 1.
    ridge : float, default=0.0
        Weight of the squared logarithm, added to the mean log-loss.
    start : float, default=None
        Where to start; None is 1, and some of the rows where there are many.

    Returns
    -------
    inverse : float
        Between exp(-10) and exp(10) over the spread of the logits: where nothing is known, and where nothing is wrong.
    """
    centre = -np.log(_spread(logits))
    at = float(np.clip(0.0 if start is None else np.log(start), centre - _LIMIT, centre + _LIMIT))
    if len(logits) >= 1 << 12 and start is None:
        some = slice(None, None, 16)
        at = _newton(logits[some], codes[some], None if weight is None else weight[some], ridge, centre, at, 1e-2)
    return float(np.exp(_newton(logits, codes, weight, ridge, centre, at, 1e-4)))


def _spread(logits):
    """Typical difference of logits within a row, by some of the rows; 1 where there is none."""
    some = logits[:: max(1, len(logits) // 1000)].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # of logits that are hardly numbers any more
        spread = float(np.median(some.std(axis=1)))
    return spread if np.isfinite(spread) and spread > 0 else 1.0


def _newton(logits, codes, weight, ridge, centre, at, tol):
    """Steps converge quadratically: after one below ``tol`` the error is of the order of its square."""
    low, high = centre - _LIMIT, centre + _LIMIT
    for _ in range(60):
        inverse = np.exp(at)
        slope = _slope(logits, codes, weight, inverse)
        first = slope.first * inverse + 2 * ridge * at
        second = slope.second * inverse**2 + 2 * ridge
        low, high = (at, high) if first < 0 else (low, at)
        curvature = second + max(slope.first, 0.0) * inverse
        step = -first / curvature if curvature > 0 else -np.sign(first)
        step = np.clip(step, -2.0, 2.0)
        new = at + step if low <= at + step <= high else (low + high) / 2
        moved, at = abs(new - at), new
        if moved <= tol:
            break
    return at


def _slope(logits, codes, weight, inverse):
    first = second = total = 0.0
    for rows in row_blocks(len(logits), logits.shape[1], _ELEMENTS):
        _, mean, variance = _moments(logits[rows], codes[rows], inverse)
        w = np.ones(len(mean)) if weight is None else weight[rows]
        first, second, total = first + w @ mean, second + w @ variance, total + w.sum()
    return _Slope(first / total, second / total)


def _moments(logits, codes, inverse):
    """Log-loss of each row, mean of its logits less that of the true class, and their variance."""
    at = np.arange(len(codes))
    if logits.shape[1] <= _NARROW:
        axis, z, true = 0, logits.T.astype(np.float64, order="C"), (codes, at)
    else:
        axis, z, true = 1, logits.astype(np.float64), (at, codes)
    z -= z.max(axis=axis, keepdims=True)
    own = z[true]
    e = np.exp(inverse * z)
    total = e.sum(axis=axis)
    e *= z
    mean = e.sum(axis=axis) / total
    e *= z
    return np.log(total) - inverse * own, mean - own, e.sum(axis=axis) / total - mean**2


@dataclass(frozen=True, eq=False)
class LossSums:
    """Log-loss and two of its derivatives by the inverse temperature, summed over samples; addition is `merge`."""

    sums: np.ndarray  # (3, knots)
    weight: float
    square: float  # of the weights

    @classmethod
    def over(cls, logits, codes, weight):
        """Sum up samples with finite logits, (n, K), true classes and weights, (n,)."""
        sums = np.zeros((3, _KNOTS.size))
        for rows in row_blocks(len(logits), logits.shape[1], _ELEMENTS):
            for knot, inverse in enumerate(np.exp(_KNOTS)):
                sums[:, knot] += np.stack(_moments(logits[rows], codes[rows], inverse)) @ weight[rows]
        return cls(sums, float(weight.sum()), float(np.square(weight).sum()))

    def merge(self, other):
        """Return the sums over both sets of samples; neither operand changes."""
        return LossSums(self.sums + other.sums, self.weight + other.weight, self.square + other.square)

    @property
    def size(self):
        """Number of samples that count: all where weights are equal."""
        return self.weight**2 / self.square

    def inverse_temperature(self, ridge):
        """Inverse temperature of least mean loss plus a ridge on its logarithm."""
        loss, first, second = self.sums / self.weight
        inverse = np.exp(_KNOTS)
        slope = first * inverse
        parts = np.stack(
            [loss + ridge * _KNOTS**2, slope + 2 * ridge * _KNOTS, second * inverse**2 + slope + 2 * ridge], axis=1
        )
        if not parts[:, 1].any():  # every temperature is as good
            return 1.0
        rising = np.flatnonzero(parts[:, 1] >= 0)
        if not rising.size or rising[0] == 0:
            return float(inverse[0 if rising.size else -1])
        to = rising[0]
        derivative = BPoly.from_derivatives(_KNOTS[to - 1 : to + 1], parts[to - 1 : to + 1]).derivative()
        return float(np.exp(brentq(derivative, _KNOTS[to - 1], _KNOTS[to], xtol=1e-10)))
