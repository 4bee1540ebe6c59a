"""Logistic regression on a handful of columns, with slopes that may be kept from changing sign."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit


def platt_targets(true, weight=None):
    """Targets that are short of 0 and 1 by what the numbers of both kinds leave open (Platt, 1999)."""
    weight = np.ones(len(true)) if weight is None else weight
    ones, zeros = weight[true].sum(), weight[~true].sum()
    return np.where(true, (ones + 1.0) / (ones + 2.0), 1.0 / (zeros + 2.0))


def fit_platt(columns, true, weight=None):
    """Non-negative weights and an intercept of log-odds, with Platt's targets: probabilities that keep their order.

    Parameters
    ----------
    columns : ndarray of shape (n, m)
        Held-out log-odds, from m sources.
    true : ndarray of shape (n,) of bool
        What they are the log-odds of.
    weight : ndarray of shape (n,), default=None
        Weights of the samples; None is 1.

    Returns
    -------
    weights : ndarray of shape (m,)
        Non-negative; their sum is positive.
    intercept : float
        Intercept.
    """
    return fit_logistic(columns, platt_targets(true, weight), weight)


def fit_logistic(columns, target, weight=None, *, l2=0.0, rising=True):
    """Weights and an intercept of least log-loss.

    Parameters
    ----------
    columns : ndarray of shape (n, m)
        What is linear in the log-odds.
    target : ndarray of shape (n,)
        Probabilities in [0, 1].
    weight : ndarray of shape (n,), default=None
        Weights of the samples; None is 1.
    l2 : float, default=0.0
        Half of it times the squared weights, for columns of unit scale, is added to the summed loss.
    rising : bool, default=True
        Whether weights are kept non-negative, and their sum positive.

    Returns
    -------
    weights : ndarray of shape (m,)
        Weights.
    intercept : float
        Intercept.
    """
    m = columns.shape[1]
    weight = np.full(len(target), 1.0 / len(target)) if weight is None else weight / weight.sum()
    scale = columns.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    centre = columns.mean(axis=0)
    scaled = (columns - centre) / scale
    ridge = l2 / len(target)

    def objective(parameters):
        z = scaled @ parameters[:m] + parameters[m]
        slope = weight * (expit(z) - target)
        value = weight @ (np.logaddexp(0, z) - target * z) + 0.5 * ridge * np.sum(parameters[:m] ** 2)
        return value, np.append(slope @ scaled + ridge * parameters[:m], slope.sum())

    bounds = [(1e-6 if rising else None, None)] * m + [(None, None)]
    start = np.append(scale / m, (columns.mean(axis=1)).mean())
    fit = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-13, "gtol": 1e-8})
    weights = fit.x[:m] / scale
    return weights, float(fit.x[m] - centre @ weights)
