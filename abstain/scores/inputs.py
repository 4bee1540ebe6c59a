"""What a scorer may look at besides a plain matrix: features and class probabilities of the same samples."""

from functools import cached_property

import numpy as np

from abstain.scores.probability import confidence_features
from abstain.utils.validation import check_vector, row_blocks
from abstain.warnings import TargetRangeWarning, warn


class HeadInputs:
    """Features and log-probabilities of n samples, side by side and never glued together.

    The features may be a memory-mapped array of any size; they are handed on as they are.

    Parameters
    ----------
    features : ndarray of shape (n, d) or None
        Features of the samples.
    log_proba : ndarray of shape (n, n_classes) or None
        Log-probabilities that the classifier gave them.
    """

    def __init__(self, features, log_proba):
        self.features = features
        self.log_proba = log_proba

    def __len__(self):
        return len(self.features if self.log_proba is None else self.log_proba)

    def __getitem__(self, rows):
        parts = (None if part is None else part[rows] for part in (self.features, self.log_proba))
        return HeadInputs(*parts)

    @cached_property
    def confidence(self):
        """Confidence features, float64 of shape (n, c), or None without probabilities."""
        if self.log_proba is None:
            return None
        blocks = row_blocks(*self.log_proba.shape)  # the features take several copies of what they see
        return np.concatenate([confidence_features(self.log_proba[rows]) for rows in blocks])

    @cached_property
    def predicted(self):
        """Index of the predicted class, of shape (n,), or None without probabilities."""
        return None if self.log_proba is None else self.log_proba.argmax(axis=1)


def as_inputs(X) -> HeadInputs:
    """Return ``X`` itself if it has the parts of head inputs, or wrap a matrix as features."""
    return X if hasattr(X, "log_proba") else HeadInputs(X, None)


def unit_target(target, *, n: int | None = None) -> np.ndarray:
    """Return what a scorer learns from as float64 in [0, 1], 1 = right.

    Parameters
    ----------
    target : array-like of shape (n,)
        Correctness (bool or 0/1), a probability, or a graded rating on any scale.
    n : int, default=None
        The number of samples expected.

    Returns
    -------
    target : ndarray of shape (n,)
        As given if it lies in [0, 1]; else scaled by its range, with a warning.
    """
    values = check_vector(target, "target", n=n)
    low, high = values.min(), values.max()
    if low >= 0 and high <= 1:
        return values
    warn(
        f"target lies in [{low:g}, {high:g}], not in [0, 1]; it is scaled by its range. "
        "Pass correctness (y_pred == y_true) if these are class labels.",
        TargetRangeWarning,
    )
    return (values - low) / max(high - low, np.finfo(float).tiny)
