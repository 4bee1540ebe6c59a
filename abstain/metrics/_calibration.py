"""Are the probabilities true? Binned reliability and the expected calibration error."""

import numpy as np

from abstain.metrics._ranks import check_weight
from abstain.utils.validation import as_array, check_correct, check_count, check_vector, row_blocks

MOST_BINS = 1_000_000


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
    n_bins = check_count(n_bins, "n_bins", most=MOST_BINS)
    weight, confident, right = np.zeros((3, n_bins))
    for index, c, y, w in _bins(correct, confidence, n_bins, sample_weight):
        weight += np.bincount(index, w, n_bins)
        confident += _sums(index, c, w, n_bins)
        right += _sums(index, y, w, n_bins)
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
    n_bins = check_count(n_bins, "n_bins", most=MOST_BINS)
    gap, total = np.zeros(n_bins), 0.0
    for index, c, y, w in _bins(correct, confidence, n_bins, sample_weight):
        gap += _sums(index, c - y, w, n_bins)
        total += c.size if w is None else w.sum()
    return float(np.abs(gap).sum() / total)
