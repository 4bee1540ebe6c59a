"""Counts, class sums and scatter of features: all that Gaussians with a shared covariance need, in one pass.

The sums are float64 about a shift close to the data, since raw second moments of features with a large mean lose
the covariance to rounding. All products are SciPy's: NumPy may bring a BLAS of its own, and for a while after a product
its idle threads would hold the cores from those of the factorisations.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cholesky, get_blas_funcs, solve_triangular, svd
from scipy.sparse import csc_array


def add_gram(scatter, rows, weight=1.0):
    """Return the upper triangle of ``scatter + weight * rows.T @ rows``; ``scatter`` may be used up.

    Parameters
    ----------
    scatter : ndarray of shape (d, d), float64, column by column in memory
        What to add to; only its upper triangle is read.
    rows : ndarray of shape (n, d)
        Of float64, or of float32 for a faster product, which is added in float64.
    weight : float, default=1.0
        Factor of the product.

    Returns
    -------
    scatter : ndarray of shape (d, d)
        The sum; its lower triangle is as it was, or holds nothing of use.
    """
    product = get_blas_funcs("syrk", (rows,))
    if rows.dtype == scatter.dtype:
        return product(weight, rows.T, beta=1.0, c=scatter, overwrite_c=True)
    scatter += product(weight, rows.T)
    return scatter


def _mirrored(upper):
    return np.triu(upper) + np.triu(upper, 1).T


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
    def over(cls, blocks, n_classes, *, shift=None, precision=np.float64):
        """Sum up blocks of (rows, codes), none longer than the first; float32 products are good to three digits."""
        counts, scatter = np.zeros(n_classes), None
        for block, codes in blocks:
            if scatter is None:
                shift = (block.mean(axis=0, dtype=np.float64) if shift is None else shift).astype(precision)
                room, d = np.empty_like(block, dtype=precision, order="C"), block.shape[1]
                sums, scatter = np.zeros((n_classes, d)), np.zeros((d, d), order="F")
            z = room[: len(block)]
            np.copyto(z, block)
            z -= shift
            members = csc_array(
                (np.ones(len(z), dtype=precision), codes, np.arange(len(z) + 1)), shape=(n_classes, len(z))
            )
            counts += np.bincount(codes, minlength=n_classes)
            sums += members @ z
            scatter = add_gram(scatter, z)
        return cls(counts, sums, _mirrored(scatter), shift.astype(np.float64))

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
        weighted_means = self.sums / np.sqrt(np.maximum(self.counts, 1))[:, None]
        return _mirrored(add_gram(self.scatter.copy(order="F"), weighted_means, -1.0))

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
            between = add_gram(np.zeros((means.shape[1],) * 2, order="F"), means)
            variance, directions = np.linalg.eigh(between, UPLO="U")
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
