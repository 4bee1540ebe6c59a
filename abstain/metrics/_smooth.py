"""Calibration errors without bins: by a kernel, and by sums over all thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import dct, idct
from scipy.optimize import brentq

from abstain.utils.validation import check_correct, check_vector, check_weight

_CELLS = 1 << 13


def _checked(correct, confidence, sample_weight) -> tuple[np.ndarray, np.ndarray]:
    confidence = check_vector(confidence, "confidence")
    if confidence.min() < -1e-6 or confidence.max() > 1 + 1e-6:
        raise ValueError(
            f"confidence must lie in [0, 1]; got values from {confidence.min():g} to {confidence.max():g}. Pass "
            "probabilities, not scores."
        )
    correct = check_correct(correct, n=confidence.size)
    weight = check_weight(sample_weight, confidence.size)
    return weight / weight.sum() * (confidence - correct), np.clip(confidence, 0.0, 1.0)


def smooth_calibration_error(
    correct: ArrayLike, confidence: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    r"""Calibration error of residuals that are smoothed by a kernel, as wide as the error itself.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each prediction is right, or whether the class occurred (bool or 0/1).
    confidence : array-like of shape (n,)
        Probability that it is, in [0, 1].
    sample_weight : array-like of shape (n,), default=None
        Weights.

    Returns
    -------
    error : float
        In [0, 1], smaller is better. No bins are chosen, and it changes little when confidences do.

    Raises
    ------
    ValueError
        If confidences leave [0, 1], or shapes differ.

    Notes
    -----
    With :math:`r_h(t) = \tfrac{1}{n} \sum_i (y_i - p_i) K_h(t - p_i)`, where the Gaussian kernel is reflected at 0 and
    1, the error is the h for which :math:`\int_0^1 |r_h(t)|\, dt = h`.

    References
    ----------
    J. Błasiok, P. Nakkiran, "Smooth ECE: Principled Reliability Diagrams via Kernel Smoothing", ICLR 2024.

    Examples
    --------
    >>> from abstain.metrics import smooth_calibration_error
    >>> round(smooth_calibration_error([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5]), 2)
    0.25
    """
    residual, confidence = _checked(correct, confidence, sample_weight)
    place = confidence * _CELLS - 0.5  # between the centres of two cells
    low = np.clip(np.floor(place).astype(int), 0, _CELLS - 1)
    upper = np.clip(place - low, 0.0, 1.0)
    mass = np.bincount(low, residual * (1 - upper), _CELLS)
    mass += np.bincount(np.minimum(low + 1, _CELLS - 1), residual * upper, _CELLS)

    # a reflected Gaussian is a factor for each wave of the cosine transform, however wide it is
    waves, frequency = dct(mass, norm="ortho"), np.pi * np.arange(_CELLS)

    def excess(width):
        return np.abs(idct(waves * np.exp(-0.5 * (frequency * width) ** 2), norm="ortho")).sum() - width

    if excess(1.0) >= 0:
        return 1.0
    narrowest = 1.0 / _CELLS
    return float(brentq(excess, narrowest, 1.0, xtol=1e-6)) if excess(narrowest) > 0 else float(np.abs(mass).sum())


def ks_calibration_error(correct: ArrayLike, confidence: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Kolmogorov-Smirnov calibration error: largest gap of summed confidence and accuracy over all thresholds.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each prediction is right, or whether the class occurred (bool or 0/1).
    confidence : array-like of shape (n,)
        Probability that it is, in [0, 1].
    sample_weight : array-like of shape (n,), default=None
        Weights.

    Returns
    -------
    error : float
        In [0, 1], smaller is better; at least the difference of mean confidence and accuracy.

    References
    ----------
    K. Gupta et al., "Calibration of Neural Networks using Splines", ICLR 2021.

    Examples
    --------
    >>> from abstain.metrics import ks_calibration_error
    >>> round(ks_calibration_error([1, 0, 1], [0.5, 0.9, 0.9]), 3)
    0.167
    """
    residual, confidence = _checked(correct, confidence, sample_weight)
    _, where = np.unique(confidence, return_inverse=True)
    return float(np.abs(np.cumsum(np.bincount(where, residual))).max())
