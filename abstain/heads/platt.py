"""Log-odds to probabilities of being right, by a logistic regression that keeps their order (Platt, 1999)."""

import numpy as np
from scipy.optimize import minimize

from abstain.losses import CrossEntropyLoss


def fit_platt(odds, correct):
    """Non-negative weights and an intercept of log-odds, by logistic loss with Platt's smoothed targets.

    Parameters
    ----------
    odds : ndarray of shape (n, m)
        Held-out log-odds, from m sources.
    correct : ndarray of shape (n,) of bool
        Correctness.

    Returns
    -------
    weights : ndarray of shape (m,)
        Non-negative; their sum is positive.
    intercept : float
        Intercept.
    """
    right, wrong = correct.sum(), (~correct).sum()
    target = np.where(correct, (right + 1) / (right + 2), 1 / (wrong + 2))
    loss, m = CrossEntropyLoss(), odds.shape[1]
    scale = odds.std() if odds.std() > 1e-9 else 1.0

    def objective(parameters):
        z = odds @ parameters[:m] / scale + parameters[m]
        slope = loss.derivative(z, target)
        return loss.value(z, target).mean(), np.append(slope @ odds / scale, slope.sum()) / len(z)

    start = np.append(np.full(m, scale / m), 0.0)
    bounds = [(1e-6 * scale, None)] * m + [(None, None)]
    fit = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return fit.x[:m] / scale, float(fit.x[m])
