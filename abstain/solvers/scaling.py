"""Vector and matrix scaling: a linear map of logits that a ridge keeps close to the identity."""

from typing import NamedTuple

import numpy as np

from abstain.solvers.lbfgs import minimise
from abstain.utils.validation import row_blocks

_ELEMENTS = 1 << 16
_LOOKED_AT = 2000


class Scaling(NamedTuple):
    """Logits are ``x + x * own + x @ others.T + intercept``."""

    own: np.ndarray  # (K,), what is added to the diagonal of the identity
    others: np.ndarray | None  # (K, K) with a zero diagonal; None for vector scaling
    intercept: np.ndarray  # (K,)

    def __call__(self, x):
        """Scaled logits, (n, K)."""
        scaled = x * (1.0 + self.own) + self.intercept
        return scaled if self.others is None else scaled + x @ self.others.T


class Ridge(NamedTuple):
    """Weights of the squares of the parts of a scaling; without ``others`` it is vector scaling."""

    own: float
    intercept: float
    others: float | None = None


def fit_scaling(x, codes, weight, ridge, *, start=None, max_iter=500, tol=1e-5):
    """Scaling of least mean log-loss plus a ridge; the problem is convex.

    Parameters
    ----------
    x : ndarray of shape (n, K)
        Logits. The ridge makes it matter where their zero is.
    codes : ndarray of shape (n,)
        Indices of the true classes.
    weight : ndarray of shape (n,)
        Weights of the samples.
    ridge : Ridge
        What keeps it close to the identity.
    start : Scaling, default=None
        Where to start; None is the identity.
    max_iter, tol : int, float
        See `minimise`.

    Returns
    -------
    scaling : Scaling
        The minimiser.
    """
    n, k = x.shape
    share = weight / weight.sum()
    full = ridge.others is not None
    scale = _steepness(x, share, ridge)

    def objective(parameters, _):
        scaling = _unpacked(parameters[:, 0] / scale, k, full)
        value, slope = 0.0, np.zeros_like(scale)
        for rows in row_blocks(n, k, _ELEMENTS):
            part, by_logit = _loss(scaling(x[rows]), codes[rows], share[rows])
            value += part
            slope += _packed(
                np.einsum("ij,ij->j", by_logit, x[rows]), by_logit.T @ x[rows] if full else None, by_logit.sum(axis=0)
            )
        value += ridge.own * np.sum(scaling.own**2) + ridge.intercept * np.sum(scaling.intercept**2)
        others = None
        if full:
            value += ridge.others * np.sum(scaling.others**2)
            others = 2 * ridge.others * scaling.others
        slope += _packed(2 * ridge.own * scaling.own, others, 2 * ridge.intercept * scaling.intercept)
        return np.array([value]), (slope / scale)[:, None]

    first = np.zeros(len(scale)) if start is None else _packed(start.own, start.others, start.intercept) * scale
    found = minimise(objective, first[:, None], max_iter=max_iter, tol=tol)
    return _unpacked(found.x[:, 0] / scale, k, full)


def _loss(z, codes, share):
    """Log-loss summed over rows, and its derivative by the logits."""
    at = np.arange(len(codes))
    z = z - z.max(axis=1, keepdims=True)
    own = z[at, codes]
    np.exp(z, out=z)
    total = z.sum(axis=1)
    value = share @ (np.log(total) - own)
    z *= (share / total)[:, None]
    z[at, codes] -= share
    return value, z


def _steepness(x, share, ridge):
    """Roots of the second derivatives at the identity, by some of the rows: in their units all parameters are alike."""
    some = np.unique(np.linspace(0, len(x) - 1, min(len(x), _LOOKED_AT)).astype(int))
    x, share = x[some], share[some] / share[some].sum()
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    spread = share[:, None] * p * (1.0 - p)
    own = np.sqrt(np.einsum("ij,ij->j", spread, x**2) + 2 * ridge.own)
    others = None if ridge.others is None else np.sqrt(spread.T @ x**2 + 2 * ridge.others)
    return _packed(own, others, np.sqrt(spread.sum(axis=0) + 2 * ridge.intercept))


def _packed(own, others, intercept):
    if others is None:
        return np.concatenate([own, intercept])
    off = ~np.eye(len(own), dtype=bool)
    return np.concatenate([own, intercept, others[off]])


def _unpacked(parameters, k, full):
    own, intercept = parameters[:k], parameters[k : 2 * k]
    if not full:
        return Scaling(own, None, intercept)
    others = np.zeros((k, k))
    others[~np.eye(k, dtype=bool)] = parameters[2 * k :]
    return Scaling(own, others, intercept)
