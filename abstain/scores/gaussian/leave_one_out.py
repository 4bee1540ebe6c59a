"""Difficulty of training samples by models refitted without each of them, in closed form.

Removing a sample changes the scatter within classes by rank one and that of all samples by rank two, so that
Sherman-Morrison turns the distances of the full model into those of the refitted one. The weight and the level of the
shrinkage stay those of all samples.
"""

import numpy as np
from scipy.linalg import cholesky, solve_triangular


class LeftOut:
    """Distances of samples that a Gaussian was fitted on, each left out.

    Parameters
    ----------
    gaussian : SharedGaussian
        Fitted on all samples.
    """

    def __init__(self, gaussian):
        self.statistics, self.weight = gaussian.statistics, gaussian.weight
        self.n, self.means = self.statistics.n, self.statistics.mean + self.statistics.offsets
        # by how much a class mean moves away from a sample that is left out; 1 for a class of one
        self.gain = self.statistics.counts / np.maximum(self.statistics.counts - 1, 1)
        self.ridge = (self.n - 1) * gaussian.weight * np.diag(gaussian.level)

    def to_class(self):
        """Return a function of (rows, codes): the squared distance to the class without the row."""
        keep = 1 - self.weight
        root = cholesky(keep * self.statistics.within + self.ridge, lower=True)

        def distance(rows, codes):
            c = self.gain[codes]
            s = np.square(_whitened(root, rows - self.means[codes])).sum(axis=0)
            return (self.n - 1) * c**2 * s / _left(1 - keep * c * s)

        return distance

    def to_all(self):
        """Return a function of (rows, codes): the squared distance to all samples without the row."""
        root = cholesky(self.statistics.total - self.weight * self.statistics.within + self.ridge, lower=True)
        c_all = self.n / (self.n - 1)

        def distance(rows, codes):
            c = self.weight * self.gain[codes]
            far, own = _whitened(root, rows - self.statistics.mean), _whitened(root, rows - self.means[codes])
            s, cross, s_own = (np.einsum("ij,ij->j", a, b) for a, b in ((far, far), (far, own), (own, own)))
            s -= c * cross**2 / (1 + c * s_own)
            return (self.n - 1) * c_all**2 * s / _left(1 - c_all * s)

        return distance


def _left(share):
    """What a removal leaves of the scatter along the sample, which must not be nothing."""
    if (share <= 1e-9).any():
        raise ValueError(
            f"without {np.count_nonzero(share <= 1e-9)} of these samples the covariance is singular, so that their "
            'difficulty cannot be measured. Use shrinkage="oas", drop features that hardly vary, or set loo=False.'
        )
    return share


def _whitened(root, rows):
    return solve_triangular(root, rows.T, lower=True)
