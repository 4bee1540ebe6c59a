"""Counts, class sums and scatter of features: all that Gaussians with a shared covariance need, in one pass.

The sums are float64 about a shift close to the data, since raw second moments of features with a large mean lose
the covariance to rounding.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cholesky, eigh, solve_triangular, svd
from scipy.sparse import csc_array


@dataclass(frozen=True)
class ClassStatistics:
    """Sums over samples of known class, about ``shift``; addition of two of them is that of their samples."""

    counts: np.ndarray  # (K,)
    sums: np.ndarray  # (K, d)
    scatter: np.ndarray  # (d, d)
    shift: np.ndarray  # (d,)

    def __getstate__(self):  # without what follows from the sums
        return {name: getattr(self, name) for name in ("counts", "sums", "scatter", "shift")}

    @classmethod
    def of(cls, block, codes, n_classes, *, shift=None, precision=np.float64):
        """Sum up one block of rows; float32 products are faster, and good to about three digits."""
        shift = (block.mean(axis=0, dtype=np.float64) if shift is None else shift).astype(precision)
        z = np.subtract(block, shift, dtype=precision)
        ones = np.ones(len(codes), dtype=precision)
        members = csc_array((ones, codes, np.arange(len(codes) + 1)), shape=(n_classes, len(codes)))
        counts = np.bincount(codes, minlength=n_classes).astype(np.float64)
        scatter = np.dot(z.T, z)  # recognised as a symmetric product, at half the cost
        sums, scatter, shift = (part.astype(np.float64) for part in (members @ z, scatter, shift))
        return cls(counts, sums, scatter, shift)

    def merge(self, other):
        """Return the sums over both sets of samples, about this shift; neither operand changes."""
        move = other.shift - self.shift
        if not move.any():
            sums, scatter = self.sums + other.sums, self.scatter + other.scatter
            return ClassStatistics(self.counts + other.counts, sums, scatter, self.shift)
        moved = other.sums + other.counts[:, None] * move
        total = other.sums.sum(axis=0)
        cross = np.outer(total, move)
        scatter = other.scatter + cross + cross.T + other.n * np.outer(move, move)
        return ClassStatistics(self.counts + other.counts, self.sums + moved, self.scatter + scatter, self.shift)

    def among(self, positions, n_classes):
        """Return the same sums in a longer list of classes."""
        counts, sums = np.zeros(n_classes), np.zeros((n_classes, self.sums.shape[1]))
        counts[positions], sums[positions] = self.counts, self.sums
        return replace(self, counts=counts, sums=sums)

    @property
    def n(self):
        """Number of samples."""
        return self.counts.sum()

    @property
    def mean(self):
        """Mean of all samples, (d,)."""
        return self.shift + self.sums.sum(axis=0) / self.n

    @cached_property
    def offsets(self):
        """Class means less the mean of all, (K, d); 0 for a class without samples."""
        present = self.counts > 0
        means = self.sums / np.maximum(self.counts, 1)[:, None]
        return np.where(present[:, None], means - self.sums.sum(axis=0) / self.n, 0.0)

    @cached_property
    def within(self):
        """Scatter within the classes, (d, d)."""
        means = self.sums / np.maximum(self.counts, 1)[:, None]
        scatter = self.scatter - self.sums.T @ means
        return (scatter + scatter.T) / 2

    @cached_property
    def variances(self):
        """Variances within the classes, (d,); of all samples where that is nothing, and 1 where that is, too."""
        floor = np.square(1e-7 * self.mean)  # less than rounding leaves of a constant
        total = np.diag(self.scatter) / self.n - np.square(self.sums.sum(axis=0) / self.n)
        within = np.diag(self.within) / self.n
        return np.where(within > floor, within, np.where(total > floor, total, 1.0))

    @cached_property
    def correlation(self):
        """Correlations within the classes, (d, d)."""
        scale = np.sqrt(self.variances)
        return self.within / self.n / np.outer(scale, scale)

    @property
    def total(self):
        """Scatter about the mean of all, (d, d)."""
        total = self.sums.sum(axis=0)
        return self.scatter - np.outer(total, total) / self.n


def oas_shrinkage(covariance, n):
    """Weight of the identity by the oracle approximating shrinkage (Chen et al., 2010).

    Parameters
    ----------
    covariance : ndarray of shape (d, d)
        Empirical covariance.
    n : float
        Degrees of freedom behind it.

    Returns
    -------
    weight : float
        In [0, 1].
    """
    d = len(covariance)
    level, power = np.trace(covariance) / d, np.mean(covariance**2)
    excess = (n + 1) * (power - level**2 / d)
    return 1.0 if excess <= 0 else float(min(1.0, (power + level**2) / excess))


def ledoit_wolf_shrinkage(covariance, n, fourth):
    """Weight of the identity by Ledoit and Wolf (2004).

    Parameters
    ----------
    covariance : ndarray of shape (d, d)
        Empirical covariance of centred rows.
    n : float
        Number of rows.
    fourth : float
        Sum over rows of the fourth power of their norm.

    Returns
    -------
    weight : float
        In [0, 1].
    """
    d = len(covariance)
    level, power = np.trace(covariance) / d, np.sum(covariance**2)
    spread = power - d * level**2
    noise = (fourth / n - power) / n
    return 1.0 if spread <= 0 else float(np.clip(noise / spread, 0.0, 1.0))


class SharedGaussian(NamedTuple):
    """Class means and one covariance for all classes, factorised."""

    statistics: ClassStatistics
    weight: float  # of the diagonal in the covariance
    level: np.ndarray  # (d,) variances, the diagonal
    root: np.ndarray  # (d, d) lower Cholesky factor of the shrunk covariance

    @classmethod
    def fit(cls, statistics, weight):
        """Shrink towards the diagonal, so that the units of the features do not matter, and factorise.

        Where no class has two samples, nothing is known of the variance within classes: the covariance is diagonal
        then, with the variances of all samples. So it is where nothing varies within classes.
        """
        level = statistics.variances
        if statistics.n <= np.count_nonzero(statistics.counts) or not np.diag(statistics.within).any():
            return cls(statistics, 1.0, level, np.diag(np.sqrt(level)))
        correlation, scale = statistics.correlation, np.sqrt(level)
        shrunk = (1 - weight) * correlation + weight * np.eye(len(level))
        try:
            root = cholesky(shrunk, lower=True)
        except LinAlgError:
            raise ValueError(_singular(correlation, statistics, weight)) from None
        if np.square(np.diag(root)).min() <= 1e-3 * len(level) * np.finfo(float).eps:
            raise ValueError(_singular(correlation, statistics, weight))
        return cls(statistics, float(weight), level, scale[:, None] * root)

    def whiten(self, rows):
        """Coordinates in which the shared covariance is the identity, (n, d)."""
        return solve_triangular(self.root, rows.T, lower=True).T

    def discriminant(self):
        """Directions between the class means, whitened: (d, r) with r <= K - 1, and the variance along each.

        The class-agnostic covariance is the shared one plus that of the class means, so that in these coordinates it
        is diagonal, 1 + variance, and equal to the shared one in all other directions.
        """
        statistics = self.statistics
        means = self.whiten(statistics.offsets) * np.sqrt(statistics.counts / statistics.n)[:, None]
        if len(means) > means.shape[1]:
            variance, directions = eigh(means.T @ means, driver="evd")
            variance, directions = np.maximum(variance[::-1], 0), directions[:, ::-1].T
        else:
            _, length, directions = svd(means, full_matrices=False)
            variance = np.square(length)
        rank = min(np.count_nonzero(statistics.counts) - 1, len(directions))
        basis = solve_triangular(self.root, directions[:rank].T, lower=True, trans="T")
        return basis, variance[:rank]


def _singular(correlation, statistics, weight):
    rank = np.linalg.matrix_rank(correlation, hermitian=True)
    freedom = int(statistics.n - np.count_nonzero(statistics.counts))
    return (
        f"the shared covariance is singular: rank {rank} of {len(correlation)} features, from {freedom} samples beyond "
        f'the class means, with shrinkage {weight:g}. Use shrinkage="oas", or drop constant and repeated features.'
    )
