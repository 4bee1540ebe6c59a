"""L-BFGS for many independent problems at once, whose objectives share one pass over the data.

Column j of the parameters is problem j. All problems are evaluated together (one matrix product instead of many),
but each has its own curvature pairs, step length and end, so that the result is what separate runs would give.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np


class End(IntEnum):
    """How a problem ended."""

    RUNNING = 0
    SMALL_GRADIENT = 1  # the minimum, as far as asked for
    STALLED = 2  # steps gain nothing but rounding, though the gradient is not small
    SEARCH_FAILED = 3  # no step downhill: the gradient is not that of the value, or values are not finite
    OUT_OF_ITERATIONS = 4

    @property
    def words(self):
        """What to tell a user."""
        return {
            End.STALLED: "it stalled at the limit of rounding before the gradient was small",
            End.SEARCH_FAILED: "no step leads downhill, or values are not finite",
            End.OUT_OF_ITERATIONS: "it ran out of iterations",
        }.get(self, "it converged")


class Result(NamedTuple):
    """Minimisers, one a column."""

    x: np.ndarray  # (p, m)
    value: np.ndarray  # (m,)
    end: np.ndarray  # (m,) of End
    evaluations: int  # passes over the data

    @property
    def converged(self):
        """Whether each ended at a small gradient, (m,) of bool."""
        return self.end == End.SMALL_GRADIENT


def minimise(objective, x, *, max_iter=300, tol=1e-5, memory=10, relative=False, rounding=2.0**-52):
    """Minimise ``m`` smooth functions.

    Parameters
    ----------
    objective : callable
        ``objective(x, columns) -> (value, gradient)`` with ``x`` of shape (p, len(columns)), ``value`` of shape
        (len(columns),) and ``gradient`` like ``x``: the problems named by the integer array ``columns``.
    x : ndarray of shape (p, m)
        Starts.
    max_iter : int, default=300
        Iterations, each of at least one evaluation.
    tol : float, default=1e-5
        Largest gradient entry at which a problem has converged.
    memory : int, default=10
        Curvature pairs kept.
    relative : bool, default=False
        Whether the gradient is compared with ``tol`` times the value, for objectives that may end near zero.

    rounding : float, default=2.2e-16
        Relative rounding error of the values, below which a gain is none.

    Returns
    -------
    result : Result
        Minimisers; ``end`` says of each how it ended.
    """
    x = np.array(x, dtype=np.float64)
    value, gradient = objective(x, np.arange(x.shape[1]))
    small = _small(value, gradient, tol, relative)
    end, evaluations = np.where(small, End.SMALL_GRADIENT, End.RUNNING), 1
    stalls = np.zeros(x.shape[1], dtype=int)
    pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for _ in range(max_iter):
        columns = np.flatnonzero(end == End.RUNNING)
        if not columns.size:
            break
        direction = _direction(gradient[:, columns], [tuple(part[..., columns] for part in pair) for pair in pairs])
        if not pairs:
            direction /= np.maximum(np.linalg.norm(direction, axis=0), 1.0)
        new, found, used = _search(objective, x, value, gradient, direction, columns, rounding)
        evaluations += used
        remembered = np.any([rho[columns] > 0 for *_, rho in pairs], axis=0) if pairs else np.zeros_like(found)
        for *_, rho in pairs:  # where the search failed, curvature misled: start again down the gradient
            rho[columns[~found]] = 0.0
        end[columns[~found & ~remembered]] = End.SEARCH_FAILED
        step, change = _moved(x, gradient, new, columns)
        gain, before, after = value[columns] - new.value, _steepest(gradient[:, columns]), _steepest(new.gradient)
        x[:, columns], value[columns], gradient[:, columns] = new.x, new.value, new.gradient
        pairs = [*pairs, (step, change, _curvature(step, change))][-memory:]
        idle = found & (gain <= rounding * np.abs(new.value)) & (after > 0.5 * before)
        stalls[columns] = np.where(idle, stalls[columns] + 1, 0)
        end[columns[stalls[columns] >= 2]] = End.STALLED
        end[columns[_small(new.value, new.gradient, tol, relative)]] = End.SMALL_GRADIENT
    return Result(x, value, np.where(end == End.RUNNING, End.OUT_OF_ITERATIONS, end), evaluations)


def _steepest(gradient):
    return np.abs(gradient).max(axis=0)


def _small(value, gradient, tol, relative):
    return _steepest(gradient) <= tol * (np.abs(value) if relative else 1.0)


class _Point(NamedTuple):
    x: np.ndarray
    value: np.ndarray
    gradient: np.ndarray


def _direction(gradient, pairs):
    """Two-loop recursion, column by column; a pair without positive curvature has rho 0 and drops out."""
    q = gradient.copy()
    alphas = []
    for step, change, rho in reversed(pairs):
        alpha = rho * (step * q).sum(axis=0)
        q -= alpha * change
        alphas.append(alpha)
    if pairs:
        step, change, rho = pairs[-1]
        scale = np.where(rho > 0, (step * change).sum(axis=0) / np.maximum((change**2).sum(axis=0), 1e-300), 1.0)
        q *= scale
    for (step, change, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - rho * (change * q).sum(axis=0)) * step
    return -q


def _search(objective, x, value, gradient, direction, columns, rounding, *, sufficient=1e-4, halvings=20):
    """Backtrack from a unit step, each problem on its own, all in shared evaluations."""
    slope = (gradient[:, columns] * direction).sum(axis=0)
    uphill = slope >= 0
    direction = np.where(uphill, -gradient[:, columns], direction)
    slope = np.where(uphill, -(gradient[:, columns] ** 2).sum(axis=0), slope)
    best = _Point(x[:, columns].copy(), value[columns].copy(), gradient[:, columns].copy())
    length, open_ = np.ones(columns.size), np.arange(columns.size)
    used = 0
    while open_.size and used < halvings:
        used += 1
        trial = x[:, columns[open_]] + length[open_] * direction[:, open_]
        new_value, new_gradient = objective(trial, columns[open_])
        # values are sums of rounded numbers, so equality up to rounding is a descent too
        slack = 16 * rounding * np.abs(value[columns[open_]])
        passed = new_value <= value[columns[open_]] + sufficient * length[open_] * slope[open_] + slack
        done = open_[passed]
        best.x[:, done], best.value[done] = trial[:, passed], new_value[passed]
        best.gradient[:, done] = new_gradient[:, passed]
        length[open_] *= _shrink(new_value - value[columns[open_]], length[open_] * slope[open_])
        open_ = open_[~passed]
    found = np.ones(columns.size, dtype=bool)
    found[open_] = False
    return best, found, used


def _shrink(rise, slope):
    """Minimum of the parabola through the start, its slope and the trial, kept within [0.1, 0.5]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = -0.5 * slope / (rise - slope)
    return np.clip(np.nan_to_num(factor, nan=0.1), 0.1, 0.5)


def _moved(x, gradient, new, columns):
    step, change = np.zeros_like(x), np.zeros_like(x)
    step[:, columns], change[:, columns] = new.x - x[:, columns], new.gradient - gradient[:, columns]
    return step, change


def _curvature(step, change):
    product = (step * change).sum(axis=0)
    enough = product > 1e-10 * np.linalg.norm(step, axis=0) * np.linalg.norm(change, axis=0)
    return np.where(enough, 1.0 / np.where(enough, product, 1.0), 0.0)
