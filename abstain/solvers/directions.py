"""A matrix for a thousand classes, of a handful of parameters: factors for the strongest directions of the logits.

Where a classifier is surer of what its classes share than it should be, or less sure, the directions in which its
logits vary most are over- or understated. One factor for each of a few groups of directions needs few samples, and
products with a thin matrix instead of a square one.
"""

from typing import NamedTuple

import numpy as np
from sklearn.utils.extmath import randomized_svd

from abstain.utils.process_wide import one_blas_thread
from abstain.utils.validation import row_blocks

_LOOKED_AT = 1200  # rows from which directions are taken
_LEARNT_FROM = 4096  # rows from which so few factors are learnt
_ELEMENTS = 1 << 18
_EVIDENCE = 4.0  # nats beyond one for each factor, below which nothing is changed


class Directions(NamedTuple):
    """Logits are ``(1 + stretch) x + ((x - centre) V * factors) V.T``, with V orthonormal."""

    stretch: float
    centre: np.ndarray  # (K,)
    basis: np.ndarray  # (K, r)
    factors: np.ndarray  # (r,)

    def __call__(self, x):
        """Turn logits, (n, K), into others, in place."""
        if self.stretch or self.factors.any():
            for rows in row_blocks(len(x), x.shape[1], _ELEMENTS):
                moved = (_centred(x[rows], self.centre) @ self.basis * self.factors) @ self.basis.T
                x[rows] *= 1.0 + self.stretch
                x[rows] += moved
        return x


def fit_directions(x, codes, weight, rank, random_state=0):
    """Factors of least log-loss for groups of principal directions: the first, the next two, the next four, and so on.

    Parameters
    ----------
    x : ndarray of shape (n, K)
        Logits.
    codes : ndarray of shape (n,)
        Indices of the true classes.
    weight : ndarray of shape (n,)
        Weights of the samples.
    rank : int
        Directions.
    random_state : int, default=0
        Seed of the sketch.

    Returns
    -------
    directions : Directions
        The identity where the gain is not worth its factors.
    """
    n, k = x.shape
    order = np.argsort(x.max(axis=1), kind="stable")  # rows are taken by what they hold, not by their place
    some = _spread_over(order, _LOOKED_AT)
    centre = (x[some] - x[some].mean(axis=1, keepdims=True)).mean(axis=0)
    rank = max(1, min(rank, k // 8, n // 8))
    basis = randomized_svd(_centred(x[some], centre), rank, n_iter=2, random_state=random_state)[2].T
    group = np.floor(np.log2(np.arange(rank) + 1.0)).astype(int)
    learnt = _spread_over(order, _LEARNT_FROM)
    with one_blas_thread():  # threads that wait for small products cost more than these
        theta, gain = _newton(x, codes, weight, learnt, centre, basis, group)
    if gain <= _EVIDENCE + len(theta):
        return Directions(0.0, centre, basis, np.zeros(rank))
    return Directions(float(theta[0]), centre, basis, theta[1:][group])


def _spread_over(order, most):
    return order[np.unique(np.linspace(0, len(order) - 1, min(len(order), most)).astype(int))]


def _centred(x, centre):
    return x - x.mean(axis=1, keepdims=True) - centre


def _newton(x, codes, weight, rows, centre, basis, group):
    """Stretch and factors, with a unit ridge against the summed loss, and what they gain in nats."""
    theta = np.zeros(group.max() + 2)
    value, gradient, hessian = first = _sums(theta, x, codes, weight, rows, centre, basis, group)
    for _ in range(20):
        step = np.linalg.solve(hessian, gradient)
        length = 1.0
        while True:
            new = _sums(theta - length * step, x, codes, weight, rows, centre, basis, group)
            if new[0] <= value or length < 1e-3:
                break
            length /= 2
        if new[0] > value:
            break
        theta, gained = theta - length * step, value - new[0]
        value, gradient, hessian = new
        if gained < 1e-2:
            break
    return theta, first[0] - value


def _sums(theta, x, codes, weight, rows, centre, basis, group):
    """Log-loss plus half the squared factors, and its derivatives."""
    m = len(theta)
    value, gradient, hessian = 0.5 * theta @ theta, theta.copy(), np.eye(m)
    for block in row_blocks(len(rows), m * x.shape[1], _ELEMENTS):
        part = rows[block]
        columns = _columns(x[part], centre, basis, group)
        z = x[part] + np.tensordot(theta, columns, 1)
        z -= z.max(axis=1, keepdims=True)
        at, w = (np.arange(len(part)), codes[part]), weight[part]
        own = z[at]
        p = np.exp(z)
        total = p.sum(axis=1)
        p /= total[:, None]
        value += w @ (np.log(total) - own)
        mean = np.einsum("ik,jik->ij", p, columns)
        gradient += w @ (mean - columns[:, at[0], at[1]].T)
        flat = columns.reshape(m, -1)
        hessian += (flat * (p * w[:, None]).ravel()) @ flat.T - (mean * w[:, None]).T @ mean
    return value, gradient, hessian


def _columns(x, centre, basis, group):
    """What is multiplied by the stretch, and by the factor of each group, (m, n, K)."""
    scores = _centred(x, centre) @ basis
    return np.stack([x, *(scores[:, group == g] @ basis[:, group == g].T for g in range(group.max() + 1))])
