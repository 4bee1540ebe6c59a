"""Logistic regression on a handful of columns, with slopes that may be kept from changing sign."""

import numpy as np
from scipy.special import expit

from abstain.solvers.bounded import bounded_newton
from abstain.utils.validation import row_blocks

_ELEMENTS = 1 << 16  # samples times fits of a block


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


def fit_logistic(columns, target, weight=None, *, l2=0.0, rising=True, start=None):
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
    start : ndarray of shape (m + 1,), default=None
        Weights and intercept to begin with, as of fewer samples; they change the way, not where it leads.

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
    rows = np.column_stack([(columns - centre) / scale, np.ones(len(target))])
    ridge = np.append(np.full(m, l2 / len(target)), 0.0)

    def value_at(x):
        z = rows @ x
        return weight @ (np.logaddexp(0, z) - target * z) + 0.5 * ridge @ x**2

    def slopes_at(x):
        p = expit(rows @ x)
        curvature = (rows * (weight * p * (1 - p))[:, None]).T @ rows
        return rows.T @ (weight * (p - target)) + ridge * x, curvature + np.diag(ridge)

    least = np.append(np.full(m, 1e-6 if rising else -np.inf), -np.inf)
    first = np.zeros(m + 1)
    if start is not None:
        first = np.append(start[:m] * scale, start[m] + centre @ start[:m])
    found = bounded_newton(value_at, slopes_at, first, least)
    weights = found[:m] / scale
    return weights, float(found[m] - centre @ weights)


def fit_ridged(columns, true, weight, ridges, *, fold=None, without=None, max_iter=100):
    """Logistic regressions on the same few columns that differ in penalty and fold, by Newton's method at once.

    Parameters
    ----------
    columns : ndarray of shape (n, m)
        What is linear in the log-odds.
    true : ndarray of shape (n,) of bool
        What they are the log-odds of.
    weight : ndarray of shape (n,)
        Weights of the samples.
    ridges : ndarray of shape (p,)
        Of each of p fits; half of it times the squared coefficients is added to the summed loss.
    fold : ndarray of shape (n,), default=None
        Number of a fold for each sample.
    without : ndarray of shape (p,), default=None
        The fold that each fit leaves out.
    max_iter : int, default=100
        Steps at most.

    Returns
    -------
    coefficients : ndarray of shape (m, p)
        Of the columns.
    intercepts : ndarray of shape (p,)
        Not penalised.
    """
    n, m = columns.shape
    penalty = np.append(np.ones(m), 0.0)[:, None] * ridges

    def summed(of):
        """Sums over the samples of each fit, block by block, of ``of(rows, weights, true)``."""
        total = None
        for part in row_blocks(n, len(ridges), _ELEMENTS):
            rows = np.column_stack([columns[part], np.ones(part.stop - part.start)])
            there = 1.0 if fold is None else fold[part, None] != without
            found = of(rows, np.broadcast_to(weight[part, None] * there, (len(rows), len(ridges))), true[part, None])
            total = found if total is None else [a + b for a, b in zip(total, found, strict=True)]
        return total

    def value_at(parameters):
        def losses(rows, weights, true):
            z = rows @ parameters
            return [(weights * (np.logaddexp(0, z) - true * z)).sum(axis=0)]

        return summed(losses)[0] + 0.5 * (penalty * parameters**2).sum(axis=0)

    def slopes_at(parameters):
        def slopes(rows, weights, true):
            p = expit(rows @ parameters)
            products = np.einsum("ij,ik->ijk", rows, rows).reshape(len(rows), -1)
            return [rows.T @ (weights * (p - true)), products.T @ (weights * p * (1 - p)), weights.sum(axis=0)]

        gradient, curvature, size = summed(slopes)
        curvature = curvature.T.reshape(-1, m + 1, m + 1)
        curvature[:, range(m + 1), range(m + 1)] += penalty.T + 1e-12 * (1 + size)[:, None]
        return gradient + penalty * parameters, curvature

    found = np.zeros((m + 1, len(ridges)))
    value = value_at(found)
    for _ in range(max_iter):
        gradient, curvature = slopes_at(found)
        step = -np.linalg.solve(curvature, gradient.T[..., None])[..., 0].T
        length = np.ones(len(ridges))
        for _ in range(30):  # halve the steps that lead up
            new_value = value_at(found + length * step)
            up = new_value > value + 1e-12 * np.abs(value)
            if not up.any():
                break
            length[up] /= 2
        found, value = found + length * step, np.minimum(value, new_value)
        if (np.abs(gradient * step).sum(axis=0) <= 1e-12 * np.maximum(np.abs(value), 1e-300)).all():
            break
    return found[:m], found[m]
