"""Are the probabilities true? Confidence against frequency in bins, and what is summed up from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from abstain.utils.validation import (
    as_array,
    check_choice,
    check_correct,
    check_count,
    check_vector,
    check_weight,
    row_blocks,
)

MOST_BINS = 1_000_000


class Bins(NamedTuple):
    """Sums over the samples of each bin, empty ones included."""

    weight: np.ndarray
    confidence: np.ndarray
    correct: np.ndarray

    @property
    def gap(self):
        """Confidence less correctness, summed over each bin and divided by the weight of all."""
        return (self.confidence - self.correct) / self.weight.sum()

    @property
    def filled(self):
        """The same without empty bins."""
        return Bins(*(part[self.weight > 0] for part in self))


def binned(correct, confidence, n_bins, strategy="width", sample_weight=None):
    """Sums over bins of equal width, or of equal weight.

    Parameters
    ----------
    correct, confidence : array-like of shape (n,)
        Whether each prediction is right, and the probability that it is.
    n_bins : int
        Bins; of equal weight there are fewer where confidences tie, which share a bin.
    strategy : {"width", "mass"}
        Which of both.
    sample_weight : array-like of shape (n,) or None
        Weights.

    Returns
    -------
    bins : Bins
        In the order of confidence.
    """
    n_bins = check_count(n_bins, "n_bins", most=MOST_BINS)
    check_choice(strategy, "strategy", ("width", "mass"))
    sums = np.zeros((3, n_bins))
    if strategy == "width":
        for index, c, y, w in _bins(correct, confidence, n_bins, sample_weight):
            sums += [np.bincount(index, w, n_bins), _sums(index, c, w, n_bins), _sums(index, y, w, n_bins)]
        return Bins(*sums)
    parts = list(_bins(correct, confidence, 1, sample_weight))
    c, y = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    w = np.ones(len(c)) if sample_weight is None else np.concatenate([part[3] for part in parts])
    index = np.searchsorted(equal_mass_edges(c, w, n_bins), c, side="right")
    return Bins(*(np.bincount(index, values, n_bins) for values in (w, w * c, w * y)))


def equal_mass_edges(values, weight, n_bins):
    """Inner edges of bins that hold equal weight, where a value is in one bin alone; a bin begins at its edge."""
    distinct, where = np.unique(values, return_inverse=True)
    through = np.cumsum(np.bincount(where, weight))
    wanted = through[-1] * np.arange(1, n_bins) / n_bins
    last = np.searchsorted(through, wanted * (1 - 1e-12))
    last = np.unique(last[last < len(distinct) - 1])
    low, high = distinct[last], distinct[last + 1]
    middle = (low + high) / 2
    return np.where(middle > low, middle, high)  # of neighbouring floats there is none between


def _bins(correct, confidence, n_bins, sample_weight):
    """Yield (bin, confidence, correct, weight) of small blocks, so that one pass over the data is enough."""
    confidence = as_array(confidence, "confidence")
    if confidence.ndim != 1 or not confidence.size:
        confidence = check_vector(confidence, "confidence")
    correct = check_correct(correct, n=confidence.size)
    weight = None if sample_weight is None else check_weight(sample_weight, confidence.size)
    for rows in row_blocks(confidence.size, 1, 1 << 16):
        with np.errstate(over="ignore"):
            c = confidence[rows].astype(np.float64, copy=False)
        if not (c.min() >= -1e-6 and c.max() <= 1 + 1e-6):  # NaN fails too
            raise ValueError(
                f"confidence must lie in [0, 1], without NaN; got values from {c.min():g} to {c.max():g}. "
                "Pass probabilities, not scores."
            )
        index = np.clip((c * n_bins).astype(np.intp), 0, n_bins - 1)
        yield index, c, correct[rows], None if weight is None else weight[rows]


def _sums(index, values, weight, n_bins):
    return np.bincount(index, values if weight is None else values * weight, n_bins)


def reliability_curve(
    correct: ArrayLike, confidence: ArrayLike, *, n_bins: int = 15, strategy: str = "width",
    sample_weight: ArrayLike | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Mean confidence and observed frequency in bins.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each prediction is right, or whether the class occurred (bool or 0/1).
    confidence : array-like of shape (n,)
        Probability that it is, in [0, 1].
    n_bins : int, default=15
        Number of bins; of equal width, confidence 1.0 belongs to the last.
    strategy : {"width", "mass"}, default="width"
        Bins of equal width, or of equal weight; equal confidences share a bin.
    sample_weight : array-like of shape (n,), default=None
        Weights.

    Returns
    -------
    confidence : ndarray of shape (n_filled,)
        Mean confidence of the bins that are not empty.
    frequency : ndarray of shape (n_filled,)
        Share of correct among them.
    share : ndarray of shape (n_filled,)
        Share of the samples in each bin.

    Raises
    ------
    ValueError
        If confidences leave [0, 1], or shapes differ.

    Examples
    --------
    >>> from abstain.metrics import reliability_curve
    >>> reliability_curve([1, 0, 1], [0.95, 0.95, 0.05], n_bins=2)[1]
    array([1. , 0.5])
    """
    bins = binned(correct, confidence, n_bins, strategy, sample_weight).filled
    return bins.confidence / bins.weight, bins.correct / bins.weight, bins.weight / bins.weight.sum()


def expected_calibration_error(
    correct: ArrayLike, confidence: ArrayLike, *, n_bins: int = 15, strategy: str = "width",
    sample_weight: ArrayLike | None = None,
) -> float:  # fmt: skip
    """Expected calibration error: mean gap of confidence and accuracy over bins.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each prediction is right (bool or 0/1).
    confidence : array-like of shape (n,)
        Probability that it is, in [0, 1].
    n_bins : int, default=15
        Number of bins; of equal width, confidence 1.0 belongs to the last.
    strategy : {"width", "mass"}, default="width"
        Bins of equal width, or of equal weight; equal confidences share a bin.
    sample_weight : array-like of shape (n,), default=None
        Weights.

    Returns
    -------
    ece : float
        In [0, 1], smaller is better; biased upwards on small samples.

    Raises
    ------
    ValueError
        If confidences leave [0, 1], or shapes differ.

    References
    ----------
    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning",
    AAAI 2015. K. Nguyen, B. O'Connor, "Posterior Calibration and Exploratory Analysis for Natural Language Processing
    Models", EMNLP 2015 (equal weight).

    Examples
    --------
    >>> from abstain.metrics import expected_calibration_error
    >>> round(expected_calibration_error([1, 0], [0.95, 1.0], n_bins=10), 3)
    0.475
    """
    return float(np.abs(binned(correct, confidence, n_bins, strategy, sample_weight).gap).sum())


def overconfidence_error(
    correct: ArrayLike, confidence: ArrayLike, *, n_bins: int = 15, strategy: str = "width",
    sample_weight: ArrayLike | None = None,
) -> float:  # fmt: skip
    """Overconfidence error: gaps of bins that are too sure alone, weighed by their confidence.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each prediction is right (bool or 0/1).
    confidence : array-like of shape (n,)
        Probability that it is, in [0, 1].
    n_bins : int, default=15
        Number of bins.
    strategy : {"width", "mass"}, default="width"
        Bins of equal width, or of equal weight.
    sample_weight : array-like of shape (n,), default=None
        Weights.

    Returns
    -------
    error : float
        In [0, 1], smaller is better.

    References
    ----------
    S. Thulasidasan et al., "On Mixup Training: Improved Calibration and Predictive Uncertainty for Deep Neural
    Networks", NeurIPS 2019.

    Examples
    --------
    >>> from abstain.metrics import overconfidence_error
    >>> round(overconfidence_error([1, 0, 1, 1], [0.8, 0.8, 0.6, 0.6], n_bins=10), 3)
    0.12
    """
    bins = binned(correct, confidence, n_bins, strategy, sample_weight).filled
    total = bins.weight.sum()
    return float(np.sum(bins.confidence / bins.weight * np.maximum(bins.confidence - bins.correct, 0.0)) / total)


def debiased_calibration_error(
    correct: ArrayLike, confidence: ArrayLike, *, n_bins: int = 15, strategy: str = "mass"
) -> float:
    """Root mean squared gap of confidence and accuracy over bins, less what chance adds to it.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each prediction is right (bool or 0/1).
    confidence : array-like of shape (n,)
        Probability that it is, in [0, 1].
    n_bins : int, default=15
        Number of bins.
    strategy : {"mass", "width"}, default="mass"
        Bins of equal size, or of equal width.

    Returns
    -------
    error : float
        In [0, 1], smaller is better; 0 where the gaps are no larger than those of chance. Bins of one sample count as
        none.

    References
    ----------
    A. Kumar, P. Liang, T. Ma, "Verified Uncertainty Calibration", NeurIPS 2019.

    Examples
    --------
    >>> from abstain.metrics import debiased_calibration_error
    >>> debiased_calibration_error([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5])
    0.0
    """
    bins = binned(correct, confidence, n_bins, strategy).filled
    told = bins.weight > 1
    n, confident, right = (part[told] for part in bins)
    frequency = right / n
    squared = (confident / n - frequency) ** 2 - frequency * (1.0 - frequency) / (n - 1.0)
    return float(np.sqrt(max(np.sum(n * squared) / bins.weight.sum(), 0.0)))
