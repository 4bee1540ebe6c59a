"""Are the probabilities true? Binned reliability and the expected calibration error."""

import numpy as np

from abstain.metrics._ranks import check_weight
from abstain.utils.validation import check_correct, check_vector, row_blocks


def _binned(correct, confidence, n_bins, sample_weight):
    """Weight, summed confidence and summed correctness of equal-width bins, in one pass over small blocks."""
    confidence = check_vector(confidence, "confidence")
    correct = check_correct(correct, n=confidence.size)
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1; got {n_bins!r}.")
    if confidence.min() < -1e-6 or confidence.max() > 1 + 1e-6:
        raise ValueError(
            f"confidence must lie in [0, 1]; got [{confidence.min():g}, {confidence.max():g}]. "
            "Pass probabilities, not scores."
        )
    weight = None if sample_weight is None else check_weight(sample_weight, confidence.size)
    sums = np.zeros((3, n_bins))
    for rows in row_blocks(confidence.size, 1, 1 << 16):
        c = confidence[rows]
        w = np.ones_like(c) if weight is None else weight[rows]
        index = np.clip((c * n_bins).astype(np.intp), 0, n_bins - 1)
        sums[0] += np.bincount(index, w, n_bins)
        sums[1] += np.bincount(index, w * c, n_bins)
        sums[2] += np.bincount(index, w * correct[rows], n_bins)
    return sums


def reliability_curve(correct, confidence, *, n_bins=15, sample_weight=None):
    """Mean confidence and observed frequency in equal-width bins.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each prediction is right, or whether the class occurred (bool or 0/1).
    confidence : array-like of shape (n,)
        Probability that it is, in [0, 1].
    n_bins : int, default=15
        Number of bins; confidence 1.0 belongs to the last.
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
    weight, confident, right = _binned(correct, confidence, n_bins, sample_weight)
    filled = weight > 0
    return confident[filled] / weight[filled], right[filled] / weight[filled], weight[filled] / weight.sum()


def expected_calibration_error(correct, confidence, *, n_bins=15, sample_weight=None):
    """Expected calibration error: mean gap of confidence and accuracy over equal-width bins.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each prediction is right (bool or 0/1).
    confidence : array-like of shape (n,)
        Probability that it is, in [0, 1].
    n_bins : int, default=15
        Number of bins; confidence 1.0 belongs to the last.
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
    AAAI 2015.

    Examples
    --------
    >>> from abstain.metrics import expected_calibration_error
    >>> round(expected_calibration_error([1, 0], [0.95, 1.0], n_bins=10), 3)
    0.475
    """
    weight, confident, right = _binned(correct, confidence, n_bins, sample_weight)
    return float(np.abs(confident - right).sum() / weight.sum())
