"""Maps that are constant within bins, whose errors can be counted."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, logit

from abstain.calibration.binary import BaseBinaryCalibrator
from abstain.metrics._calibration import equal_mass_edges
from abstain.solvers.logistic import fit_platt
from abstain.utils.annotations import Seed
from abstain.utils.validation import check_count


class _Binned(BaseBinaryCalibrator):
    def __init__(
        self, estimator: Any = None, *, kind: str | None = None, cv: Any = 5, n_jobs: int | None = None,
        random_state: Seed = None, n_bins: int = 15,
    ) -> None:  # fmt: skip
        super().__init__(estimator, kind=kind, cv=cv, n_jobs=n_jobs, random_state=random_state)
        self.n_bins = n_bins

    def _check_parameters(self):
        super()._check_parameters()
        check_count(self.n_bins, "n_bins")

    def _apply(self, found, odds):
        edges, values = found
        with np.errstate(divide="ignore"):
            return logit(values[np.searchsorted(edges, odds, side="right")])


class Histogram(_Binned):
    """The share of the class in each of several bins that hold equally many samples.

    Parameters
    ----------
    {shared}
    n_bins : int, default=15
        Bins; fewer where samples tie, which share a bin.

    Attributes
    ----------
    maps_ : list of tuple of ndarray
        Inner edges of the bins as log-odds, and the shares, of the second of two classes, or of each class.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    References
    ----------
    B. Zadrozny, C. Elkan, "Obtaining Calibrated Probability Estimates from Decision Trees and Naive Bayesian
    Classifiers", ICML 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import Histogram
    >>> p = np.array([0.1, 0.2, 0.3, 0.4])
    >>> Histogram(kind="proba", n_bins=2).fit(np.column_stack([1 - p, p]), [0, 0, 0, 1]).maps_[0][1]
    array([0. , 0.5])
    """

    def _fit_map(self, odds, true, weight):
        edges = equal_mass_edges(odds, weight, self.n_bins)
        return edges, _means(np.searchsorted(edges, odds, side="right"), true, weight, len(edges) + 1)


class ScalingBinning(_Binned):
    """Platt scaling, and then the mean of it within bins: a few values, whose calibration can be measured.

    Parameters
    ----------
    {shared}
    n_bins : int, default=15
        Bins; fewer where samples tie, which share a bin.

    Attributes
    ----------
    maps_ : list of tuple of ndarray
        Inner edges of the bins as log-odds, and the values, of the second of two classes, or of each class.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    References
    ----------
    A. Kumar, P. Liang, T. Ma, "Verified Uncertainty Calibration", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import ScalingBinning
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(1000)
    >>> calibrator = ScalingBinning(kind="proba", n_bins=4).fit(np.column_stack([1 - p, p]), rng.random(1000) < p)
    >>> len(calibrator.maps_[0][1])
    4
    """

    def _fit_map(self, odds, true, weight):
        slope, intercept = fit_platt(odds[:, None], true, weight)
        edges = equal_mass_edges(odds, weight, self.n_bins)
        scaled = expit(slope * odds + intercept)
        return edges, _means(np.searchsorted(edges, odds, side="right"), scaled, weight, len(edges) + 1)


def _means(index, values, weight, n):
    return np.bincount(index, weight * values, n) / np.bincount(index, weight, n)
