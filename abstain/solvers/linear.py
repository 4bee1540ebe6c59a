"""Linear heads for any loss, by full-batch L-BFGS over blocks of rows: many fits in one pass over the data."""

from functools import reduce
from typing import NamedTuple

import numpy as np
from joblib import delayed

from abstain.solvers.design import Design
from abstain.solvers.lbfgs import minimise
from abstain.utils.slices import map_of, workers


class Sums(NamedTuple):
    """Loss and gradient of each column, summed over some rows; addition is `merge`."""

    value: np.ndarray  # (m,)
    gradient: np.ndarray  # (p, m), by raw columns

    def merge(self, other):
        """Return the sums over both sets of rows."""
        return Sums(*(mine + yours for mine, yours in zip(self, other, strict=True)))


class Share(NamedTuple):
    """Some rows, with their targets, and which columns learn from them."""

    design: Design
    target: np.ndarray  # (n,)
    included: np.ndarray | None  # (n, m)


def partial_sums(loss, share, columns, parameters, weights, intercept):
    """Loss and gradient over the rows of a share."""
    design, target, included = share
    value, gradient = np.zeros(len(columns)), np.zeros((design.size, len(columns)))
    for rows, parts in design.pieces():
        z = design.block_outputs(rows, parts, weights, intercept, parameters)
        repeated = np.repeat(target[rows], len(columns))
        losses = loss.value(z.ravel(), repeated).reshape(z.shape)
        slope = loss.derivative(z.ravel(), repeated).reshape(z.shape)
        if included is not None:
            member = included[rows][:, columns]
            losses, slope = losses * member, slope * member
        value += losses.sum(axis=0)
        design.add_gradient(gradient, rows, parts, slope)
    return Sums(value, gradient)


class Fit(NamedTuple):
    """Fitted columns of parameters."""

    parameters: np.ndarray  # (p, m)
    value: np.ndarray  # (m,) penalised mean loss
    end: np.ndarray  # (m,) of End
    evaluations: int


def solve(
    loss, design, target, *, l2, included=None, starts=None, unit_norm=False, n_jobs=None, max_iter=300, tol=None
):  # fmt: skip
    """Fit m linear heads that differ in the rows they see, their penalty or their start.

    Parameters
    ----------
    loss : TrustLoss
        Per-sample loss of raw outputs.
    design : Design
        Rows of the model.
    target : ndarray of shape (n,)
        Targets in [0, 1].
    l2 : ndarray of shape (p, m)
        Half-squared penalty of each parameter of each column, on the scale of the summed loss.
    included : ndarray of shape (n, m) of bool, default=None
        Rows that each column learns from; None is all.
    starts : ndarray of shape (p, m), default=None
        Starts; None is 0.
    unit_norm : bool, default=False
        Divide the output by the norm of the weights, so that it is a distance to a hyperplane.
    n_jobs : int, default=None
        Workers among which each pass over the rows is shared.
    max_iter : int, default=300
        Iterations.
    tol : float, default=None
        Largest gradient entry to stop at; None is 1e-5, or what float32 products leave of a gradient.

    Returns
    -------
    fit : Fit
        One column a head.
    """
    target = np.asarray(target, dtype=np.float64)
    l2 = np.asarray(l2, dtype=np.float64)
    counts = np.full(l2.shape[1], design.n) if included is None else included.sum(axis=0)
    problem = _Problem(loss, design, target, l2, included, np.maximum(counts, 1), unit_norm, n_jobs)
    start = np.zeros_like(l2) if starts is None else starts
    tol = (1e-5 if design.rounding < 1e-10 else 1e-4) if tol is None else tol
    with problem.pool:
        result = minimise(problem, start, max_iter=max_iter, tol=tol, rounding=design.rounding)
    return Fit(result.x, result.value, result.end, result.evaluations)


class _Problem:
    def __init__(self, loss, design, target, l2, included, counts, unit_norm, n_jobs=None):
        self.loss, self.design, self.l2, self.counts, self.unit_norm = loss, design, l2, counts, unit_norm
        elsewhere = any(map_of(matrix) is not None for matrix in design.matrices)
        self.pool, shares = workers(n_jobs, elsewhere), design.shares(n_jobs)
        self.shares = [Share(design, target, included)]
        if len(shares) > 1:
            self.shares = [
                Share(design.share(rows), target[rows], None if included is None else included[rows]) for rows in shares
            ]

    def __call__(self, parameters, columns):
        norm = weight_norm(self.design, parameters) if self.unit_norm else None
        scaled = parameters if norm is None else parameters / norm
        value, gradient = self._mean_loss(scaled, columns)
        if norm is not None:
            gradient = self._through_norm(gradient, parameters, norm)
        l2, counts = self.l2[:, columns], self.counts[columns]
        value += 0.5 * (l2 * parameters**2).sum(axis=0) / counts
        return value, gradient + l2 * parameters / counts

    def _mean_loss(self, parameters, columns):
        counts, at = self.counts[columns], (columns, parameters, *self.design.unscaled(parameters))
        if len(self.shares) == 1:
            sums = partial_sums(self.loss, *self.shares, *at)
        else:
            sums = reduce(Sums.merge, self.pool(delayed(partial_sums)(self.loss, share, *at) for share in self.shares))
        return sums.value / counts, self.design.finish_gradient(sums.gradient) / counts

    def _through_norm(self, gradient, parameters, norm):
        weights = slice(0, self.design.size - 1)
        pull = (gradient * parameters).sum(axis=0) / norm**2
        out = gradient / norm
        out[weights] -= pull * parameters[weights] / np.maximum(norm - _EPSILON, _EPSILON)
        return out


_EPSILON = 1e-7


def weight_norm(design, parameters):
    """Norm of all parameters but the intercept, kept off zero as in the paper's code."""
    return np.linalg.norm(parameters[: design.size - 1], axis=0) + _EPSILON


def gradient_at(loss, design, target, parameters, included=None):
    """Gradient of the mean loss, without a penalty, at some parameters, (p, m)."""
    counts = np.full(parameters.shape[1], design.n) if included is None else included.sum(axis=0)
    problem = _Problem(loss, design, target, np.zeros_like(parameters), included, np.maximum(counts, 1), False)
    return problem(parameters, np.arange(parameters.shape[1]))[1]
