"""Weights of a mixture of probabilities, by maximum likelihood."""

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

_STEPS, _HALVINGS = 100, 40
_SMALLEST = 2.0**-52  # share of the best likelihood of a sample, below which members are alike


def fit_mixture(likelihood, weight=None, *, tol=1e-12):
    """Shares on the simplex under which the labels are likeliest, by sequential quadratic programming.

    The sum of the shares less the mean log-likelihood is convex, and is least, over shares that are not negative, where
    they sum to one. Each step is to the minimum of its quadratic approximation, which is a non-negative least-squares
    problem of as many rows as members.

    Parameters
    ----------
    likelihood : ndarray of shape (n, m)
        Probability that each of m members gives to the true class of each sample.
    weight : ndarray of shape (n,), default=None
        Weights of the samples; None is 1.
    tol : float, default=1e-12
        Gain promised by a step at which to stop.

    Returns
    -------
    shares : ndarray of shape (m,)
        Non-negative, of sum one.

    References
    ----------
    Y. Kim et al., "A Fast Algorithm for Maximum Likelihood Estimation of Mixture Proportions Using Sequential Quadratic
    Programming", J. Comput. Graph. Stat. 2020.
    """
    n, m = likelihood.shape
    weight = np.ones(n) if weight is None else weight
    scale = likelihood.max(axis=1, keepdims=True)
    known = (scale[:, 0] > 0) & (weight > 0)
    shares = np.full(m, 1.0 / m)
    if not known.any():
        return shares
    likelihood = np.maximum(likelihood[known] / scale[known], _SMALLEST)
    weight = weight[known] / weight[known].sum()

    def value_at(shares):
        mixed = likelihood @ shares
        return shares.sum() - weight @ np.log(mixed) if (mixed > 0).all() else np.inf

    value = value_at(shares)
    for _ in range(_STEPS):
        ratio = likelihood / (likelihood @ shares)[:, None]
        gradient, curvature = 1.0 - weight @ ratio, (ratio * weight[:, None]).T @ ratio
        curvature[np.diag_indices(m)] += 1e-9 * np.trace(curvature)  # members may agree
        root = np.linalg.cholesky(curvature)
        step = nnls(root.T, root.T @ shares - solve_triangular(root, gradient, lower=True))[0] - shares
        promised = -gradient @ step
        if promised <= tol:
            break
        for halved in range(_HALVINGS):
            new = shares + 0.5**halved * step
            new_value = value_at(new)
            if new_value <= value - 1e-4 * 0.5**halved * promised:
                break
        else:
            break
        shares, value = new, new_value
    return shares / shares.sum()
