"""Linear classifiers for any class loss, by full-batch L-BFGS over blocks of rows.

The unknowns are whitened: in coordinates where the features are uncorrelated, the curvature of the loss is bounded by
that of the identity, and a few dozen passes over the data are enough. The loss and its gradient are sums over rows,
which workers compute for their share and `merge`.
"""

from typing import Any, NamedTuple

import numpy as np
from joblib import delayed
from scipy.linalg import cholesky, solve_triangular

from abstain.solvers.lbfgs import End, minimise
from abstain.utils.optional import import_extra
from abstain.utils.slices import Slice, map_of, place_of, shares_of, workers
from abstain.utils.validation import row_blocks, working_dtype

_IN_CACHE, _ON_DEVICE = 1 << 21, 1 << 25  # elements of a block


class Sums(NamedTuple):
    """Loss and gradient summed over some rows; addition is `merge`."""

    value: float
    weights: np.ndarray  # (d, K), of rows less the centre
    intercept: np.ndarray  # (K,)

    def merge(self, other):
        """Return the sums over both sets of rows."""
        return Sums(*(mine + yours for mine, yours in zip(self, other, strict=True)))


class Rows:
    """Centred rows of some samples in blocks, with their targets and weights.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Float features, memory-mapped or not.
    targets : ndarray of shape (n,) or (n, K)
        Indices of the true classes, or shares of all.
    weight : ndarray of shape (n,)
        Weight of the loss of each sample.
    strength : ndarray of shape (n,) or None
        What the loss itself asks for; see `ClassLoss`.
    centre : ndarray of shape (d,)
        What is taken off of every row.
    device : str, default="cpu"
        "cpu" is NumPy, from disk or memory, block by block. Anything else is a torch device, where the data stay.
    """

    def __init__(self, X, targets, weight, strength, centre, device="cpu"):
        self.X, self.targets, self.weight, self.strength = X, targets, weight, strength
        self.place: Any = None  # where another process finds them
        self.dtype, self.size = working_dtype(X), X.size
        self.centre, self.device = centre.astype(self.dtype), device
        self.kept: list[tuple] = []

    def __len__(self):
        return len(self.targets)

    def __getstate__(self):
        return vars(self) if self.place is None else vars(self) | {"X": None}

    @property
    def features(self):
        """The features; in another process, from where they are."""
        return self.place.read() if self.X is None else self.X

    def blocks(self):
        """Yield (rows, targets, weights, strengths)."""
        if self.kept:
            yield from self.kept
            return
        size, X = _IN_CACHE if self.device == "cpu" else _ON_DEVICE, self.features
        for rows in row_blocks(len(X), X.shape[1], size):
            block = np.subtract(X[rows], self.centre, dtype=self.dtype)
            targets = self.targets[rows]
            targets = targets if targets.dtype.kind == "i" else targets.astype(self.dtype)
            strength = None if self.strength is None else self.strength[rows].astype(self.dtype)
            parts: tuple = block, targets, self.weight[rows].astype(self.dtype), strength
            if self.device != "cpu":
                parts = tuple(None if part is None else self.here(part) for part in parts)
                self.kept.append(parts)
            yield parts

    def here(self, array):
        """The array where the rows are."""
        if self.device == "cpu":
            return array
        torch = import_extra("torch", "torch")
        try:
            return torch.as_tensor(array).to(self.device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f'device must be "cpu" or a torch device that is there; got {self.device!r}.') from error

    def share(self, rows):
        """Return the same for some of the rows."""
        strength = None if self.strength is None else self.strength[rows]
        share = Rows(self.X[rows], self.targets[rows], self.weight[rows], strength, self.centre, self.device)
        place = place_of(self.X, rows)
        share.place = place if isinstance(place, Slice) else None
        return share


def partial_sums(loss, rows, weights, intercept):
    """Loss and gradient over some rows, at weights (d, K) and an intercept (K,) for centred rows."""
    weights, intercept = (rows.here(part.astype(rows.dtype)) for part in (weights, intercept))
    values, by_weights, by_intercept = [], 0.0, 0.0
    for block, targets, weight, strength in rows.blocks():
        losses, slope = loss.value_and_derivative(block @ weights + intercept, targets, strength)
        slope = weight[:, None] * slope
        values.append(weight @ losses)
        by_weights = by_weights + block.T @ slope
        by_intercept = by_intercept + slope.sum(0)
    value = sum(map(float, values))  # at the end: to ask a GPU for a number is to wait for it
    return Sums(value, *(np.asarray(part.cpu() if hasattr(part, "cpu") else part, dtype=np.float64)
                         for part in (by_weights, by_intercept)))  # fmt: skip


class Fit(NamedTuple):
    """A linear classifier on raw features."""

    weights: np.ndarray  # (d, K)
    intercept: np.ndarray  # (K,)
    value: float  # penalised mean loss
    end: End
    evaluations: int


class Problem:
    """A class loss over some rows, in whitened coordinates.

    Parameters
    ----------
    loss : ClassLoss
        Loss of logits.
    shares : list of Rows
        The samples, in as many parts as there are workers.
    n_classes : int
        Number of classes.
    scatter : ndarray of shape (d, d)
        Scatter of the centred rows.
    scale : ndarray of shape (d,)
        Scale of the features, on which the penalty is meant.
    pool : Parallel
        Workers.
    """

    def __init__(self, loss, shares, n_classes, scatter, scale, pool):
        self.rounding = float(np.finfo(shares[0].dtype).eps)
        self.products = float(sum(share.size for share in shares)) * n_classes
        self.loss, self.shares, self.n_classes, self.scatter, self.scale = loss, shares, n_classes, scatter, scale
        self.pool, self.n = pool, float(sum(share.weight.sum() for share in shares))

    def solve(self, l2, start=None, *, max_iter, tol) -> Fit:
        """Minimise the mean loss plus ``l2 / (2 n)`` times the squared weights of scaled features.

        Parameters
        ----------
        l2 : float
            Penalty, on the scale of the summed loss.
        start : Fit, default=None
            Where to start; None is 0.
        max_iter, tol : int, float
            See `minimise`.

        Returns
        -------
        fit : Fit
            The minimiser.
        """
        d, k = len(self.scale), self.n_classes
        curvature = self.scatter / np.outer(self.scale, self.scale) / (self.n * k)
        ridge = max(l2 / self.n, 1e-7 * max(np.trace(curvature) / d, 1e-12))
        root = cholesky(curvature + ridge * np.eye(d), lower=True)
        whiten = solve_triangular(root, np.eye(d), lower=True).T  # scaled weights of whitened ones

        def objective(x, _):
            scaled = whiten @ x[: d * k, 0].reshape(d, k)
            intercept = x[d * k :, 0] * np.sqrt(k)
            sums = self.sums(scaled / self.scale[:, None], intercept)
            slope = whiten.T @ (sums.weights / self.scale[:, None] / self.n + l2 / self.n * scaled)
            value = sums.value / self.n + 0.5 * l2 / self.n * np.sum(scaled**2)
            gradient = np.append(slope.ravel(), sums.intercept / self.n * np.sqrt(k))
            return np.array([value]), gradient[:, None]

        first = np.zeros((d + 1) * k)
        centre = self.shares[0].centre.astype(np.float64)
        if start is not None:
            first[: d * k] = (root.T @ (start.weights * self.scale[:, None])).ravel()
            first[d * k :] = (start.intercept + centre @ start.weights) / np.sqrt(k)
        options = {"max_iter": max_iter, "tol": tol, "relative": True, "rounding": self.rounding}
        with self.pool:
            result = minimise(objective, first[:, None], **options)
        weights = whiten @ result.x[: d * k, 0].reshape(d, k) / self.scale[:, None]
        intercept = result.x[d * k :, 0] * np.sqrt(k) - centre @ weights
        return Fit(weights, intercept, float(result.value[0]), End(int(result.end[0])), result.evaluations)

    def sums(self, weights, intercept):
        """Loss and gradient over all rows."""
        parts = self.pool(delayed(partial_sums)(self.loss, share, weights, intercept) for share in self.shares)
        total = parts[0]
        for part in parts[1:]:
            total = total.merge(part)
        return total


def build_problem(
    loss, X, targets, n_classes, *, weight=None, strength=None, standardise=True, n_jobs=None, device="cpu"
):  # fmt: skip
    """Return the problem of fitting a linear classifier.

    Parameters
    ----------
    loss : ClassLoss
        Loss of logits.
    X : ndarray of shape (n, d)
        Float features, memory-mapped or not; never copied whole.
    targets : ndarray of shape (n,) or (n, K)
        Indices of the true classes, or shares of all.
    n_classes : int
        Number of classes.
    weight : ndarray of shape (n,), default=None
        Weight of the loss of each sample; None is 1. A row of weight w counts as w rows.
    strength : ndarray of shape (n,), default=None
        What the loss itself asks for; see `ClassLoss`.
    standardise : bool, default=True
        Whether the penalty is meant for standardised features.
    n_jobs : int, default=None
        Workers among which each pass over the rows is shared.
    device : str, default="cpu"
        Where to compute; see `Rows`.

    Returns
    -------
    problem : Problem
        To be solved for any penalty.
    """
    pool = workers(n_jobs, elsewhere=device == "cpu" and map_of(X) is not None)
    weight = np.ones(len(X)) if weight is None else weight
    total, centre = weight.sum(), np.zeros(X.shape[1])
    for rows in row_blocks(len(X), X.shape[1], _IN_CACHE):
        centre += weight[rows] @ X[rows].astype(np.float64, copy=False) / total
    whole = Rows(X, targets, weight, strength, centre, device)
    shares = [whole.share(rows) for rows in shares_of(len(X), n_jobs)]
    scatter = sum(pool(delayed(_scatter)(share) for share in shares))
    if not np.isfinite(scatter).all():
        raise ValueError("X is too large for its squares to be summed up: scale it.")
    scale = np.ones(X.shape[1])
    if standardise:
        spread = np.sqrt(np.maximum(np.diag(scatter), 0) / total)
        scale = np.where(spread > 1e-9 * np.maximum(np.abs(centre), 1e-300), spread, 1.0)
    return Problem(loss, shares, n_classes, scatter, scale, pool)


def _scatter(rows):
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for block, _, weight, _ in rows.blocks():
            total = total + (block.T * weight) @ block
    return np.asarray(total.cpu() if hasattr(total, "cpu") else total, dtype=np.float64)
