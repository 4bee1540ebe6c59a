"""Weights of a mixture of probabilities, by maximum likelihood."""

import numpy as np


def fit_mixture(likelihood, weight=None, *, max_iter=2000, tol=1e-8):
    """Shares on the simplex under which the labels are likeliest, by expectation and maximisation.

    The likelihood is concave in the shares, so that each step from even shares on is a gain; steps are doubled as long
    as that is one, too (over-relaxation), since plain ones crawl where members agree.

    Parameters
    ----------
    likelihood : ndarray of shape (n, m)
        Probability that each of m members gives to the true class of each sample.
    weight : ndarray of shape (n,), default=None
        Weights of the samples; None is 1.
    max_iter : int, default=2000
        Steps.
    tol : float, default=1e-8
        Gain of the mean log-likelihood at which to stop.

    Returns
    -------
    shares : ndarray of shape (m,)
        Non-negative, of sum one.
    """
    n, m = likelihood.shape
    weight = np.full(n, 1.0 / n) if weight is None else weight / weight.sum()
    scale = likelihood.max(axis=1, keepdims=True)
    likelihood = likelihood / np.maximum(scale, np.finfo(np.float64).tiny)
    known = scale[:, 0] > 0
    likelihood, weight = likelihood[known], weight[known]
    if not known.any():
        return np.full(m, 1.0 / m)
    weight = weight / weight.sum()

    def gain(shares):
        return weight @ np.log(np.maximum(likelihood @ shares, np.finfo(np.float64).tiny))

    shares, power = np.full(m, 1.0 / m), 1.0
    reached = gain(shares)
    for _ in range(max_iter):
        ratio = (weight / (likelihood @ shares)) @ likelihood  # 1 at the optimum, less where a member is not needed
        bolder = shares * ratio**power
        bolder /= bolder.sum()
        new = gain(bolder)
        if new < reached:
            power = 1.0
            bolder = shares * ratio
            new = gain(bolder)
        else:
            power = min(2.0 * power, 64.0)
        shares, gained, reached = bolder, new - reached, new
        if gained <= tol and ratio.max() <= 1 + 1e-4:
            break
    return shares / shares.sum()
