"""Weights of columns that all classes share: the conditional logit, by Newton's method."""

import numpy as np


def fit_shared_weights(x, codes, weight, ridge, start):
    """Weights of least log-loss of ``softmax_k(sum_j w_j x_jk)``, plus half a ridge; the problem is convex.

    Parameters
    ----------
    x : ndarray of shape (n, J, K)
        Columns, for each class.
    codes : ndarray of shape (n,)
        Indices of the true classes.
    weight : ndarray of shape (n,)
        Weights, of sum one.
    ridge : ndarray of shape (J,)
        Weights of the squares.
    start : ndarray of shape (J,)
        Where to start.

    Returns
    -------
    weights : ndarray of shape (J,)
        The minimiser.
    """
    own = x[np.arange(len(codes)), :, codes]

    def sums(w):
        logits = np.einsum("njk,j->nk", x, w, dtype=np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        proba = np.exp(logits)
        total = proba.sum(axis=1, keepdims=True)
        value = weight @ (np.log(total[:, 0]) - logits[np.arange(len(codes)), codes]) + 0.5 * ridge @ w**2
        return value, proba / total

    w = start.astype(np.float64)
    value, proba = sums(w)
    for _ in range(30):
        mean = np.einsum("njk,nk->nj", x, proba, dtype=np.float64)
        gradient = weight @ (mean - own) + ridge * w
        spread = sum((x[:, :, k] * (proba[:, k] * weight)[:, None]).T @ x[:, :, k] for k in range(x.shape[2]))
        step = np.linalg.solve(spread - mean.T @ (mean * weight[:, None]) + np.diag(ridge + 1e-10), gradient)
        length = 1.0
        while True:
            new, new_proba = sums(w - length * step)
            if new <= value - 1e-4 * length * (gradient @ step) or length < 1e-3:
                break
            length /= 2
        if new > value:
            break
        w, gained, value, proba = w - length * step, value - new, new, new_proba
        if gained < 1e-9:
            break
    return w
