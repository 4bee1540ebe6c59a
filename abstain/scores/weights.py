"""Difficulty as weights of samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from abstain.utils.validation import check_choice, check_number, check_vector
from abstain.warnings import SparseWeightsWarning, warn

_TEMPERATURE = {"raw": 0.7, "robust_z": 2.0, "rank": 0.7}


def difficulty_weights(
    difficulty: ArrayLike, *, scale: str = "robust_z", temperature: float | None = None
) -> np.ndarray:
    r"""Weights in [0, 1] that grow exponentially with difficulty.

    Parameters
    ----------
    difficulty : array-like of shape (n,)
        Higher is harder, for example `RelativeMahalanobis.training_difficulty`.
    scale : {"robust_z", "rank", "raw"}, default="robust_z"
        "robust_z": deviations from the median in units of the interquartile range, cut off at 3. "rank": ranks in
        (0, 1). "raw": the difficulty itself, as in the paper; its spread grows with the number of classes, so that
        all weight may fall on a few samples.
    temperature : float, default=None
        T, positive, in units of the scale; None is 2 for "robust_z" and 0.7 for the others.

    Returns
    -------
    weights : ndarray of shape (n,)
        The hardest samples have the largest: 1 under "raw", and under "robust_z" for what is 3 deviations off.

    Warns
    -----
    SparseWeightsWarning
        If the effective number of samples is below a hundredth of all.

    Notes
    -----
    :math:`s = \exp((D - D_{\max}) / T)` on the scale chosen.

    References
    ----------
    P. Cui et al., "Learning Sample Difficulty from Pre-trained Models for Reliable Prediction", NeurIPS 2023.

    Examples
    --------
    >>> from abstain.scores import difficulty_weights
    >>> difficulty_weights([0.0, 1.0, 2.0, 3.0], scale="rank").round(2)
    array([0.29, 0.41, 0.59, 0.84])
    """
    check_choice(scale, "scale", tuple(_TEMPERATURE))
    values = check_vector(difficulty, "difficulty")
    temperature = _TEMPERATURE[scale] if temperature is None else temperature
    check_number(temperature, "temperature", above=0)
    if scale == "rank":
        exponent = (rankdata(values) - 0.5) / values.size - 1
    elif scale == "robust_z":
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
        spread = max(high / 1.349 - low / 1.349, 1e-12)
        exponent = np.clip(values / spread - median / spread, -3, 3) - 3
    else:
        with np.errstate(over="ignore"):
            exponent = values - values.max()
    with np.errstate(over="ignore"):
        weights = np.exp(exponent / temperature)
    effective = effective_size(weights)
    if effective < 0.01 * weights.size:
        warn(
            f"the weights count for {effective:.1f} samples of {weights.size}: nearly all weight is on a few. Raise "
            'temperature, or use scale="robust_z".',
            SparseWeightsWarning,
        )
    return weights


def effective_size(weights):
    """Effective number of samples of some weights: their sum squared over their sum of squares.

    Parameters
    ----------
    weights : ndarray of shape (n,)
        Positive weights.

    Returns
    -------
    size : float
        Between 1 and n.
    """
    return float(weights.sum() ** 2 / np.maximum(np.square(weights).sum(), np.finfo(float).tiny))
