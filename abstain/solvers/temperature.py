"""One inverse temperature by Newton's method, in a few passes over blocks that stay in cache."""

from typing import NamedTuple

import numpy as np

from abstain.utils.validation import row_blocks

# of the logarithm of the inverse temperature, about that of the spread of the logits
_LIMIT = 10.0
_ELEMENTS = 1 << 15
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
        mean, variance = _moments(logits[rows], codes[rows], inverse)
        w = np.ones(len(mean)) if weight is None else weight[rows]
        first, second, total = first + w @ mean, second + w @ variance, total + w.sum()
    return _Slope(first / total, second / total)


def _moments(logits, codes, inverse):
    """Mean of the logits less that of the true class, and their variance, under the probabilities of each row."""
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
    return mean - own, e.sum(axis=axis) / total - mean**2
