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
    classes : ndarray of shape (n_classes,), default=None
        Labels of the columns; None is their numbers.
    logits : ndarray of shape (n, n_classes), default=None
        Logits, where the classifier was declared to give them.
    extra : ndarray of shape (n, e), default=None
        More columns for a head, which go before the confidence features.
    """

    def __init__(self, features, log_proba, *, classes=None, logits=None, extra=None):
        self.features = features
        self.log_proba = log_proba
        self.classes = classes
        self.logits = logits
        self.extra = extra

    def __len__(self):
        return len(self.features if self.log_proba is None else self.log_proba)

    def __getitem__(self, rows):
        parts = (self.features, self.log_proba, self.logits, self.extra)
        features, log_proba, logits, extra = (None if part is None else part[rows] for part in parts)
        return HeadInputs(features, log_proba, classes=self.classes, logits=logits, extra=extra)

    def replace(self, **parts):
        """Return the same inputs with other parts."""
        own = {name: getattr(self, name) for name in ("features", "log_proba", "classes", "logits", "extra")}
        return HeadInputs(**{**own, **parts})

    @cached_property
    def confidence(self):
        """Extra columns and confidence features, float64 of shape (n, c), or None without probabilities."""
        if self.log_proba is None:
            return None
        blocks = row_blocks(*self.log_proba.shape)  # the features take several copies of what they see
        own = np.concatenate([confidence_features(self.log_proba[rows]) for rows in blocks])
        return own if self.extra is None else np.column_stack([self.extra, own])

    @cached_property
    def predicted(self):
        """Index of the predicted class, of shape (n,), or None without probabilities."""
        return None if self.log_proba is None else self.log_proba.argmax(axis=1)

    def predicted_among(self, labels):
        """Position of each predicted label in sorted ``labels``, and their number for one that is not there."""
        if self.classes is None and self.log_proba.shape[1] == len(labels):
            return self.predicted
        label = self.predicted if self.classes is None else self.classes[self.predicted]
        position = np.minimum(np.searchsorted(labels, label), len(labels) - 1)
        return np.where(labels[position] == label, position, len(labels))


def shown(inputs, sees):
    """What a scorer that says what it ``sees`` is shown of the inputs.

    Parameters
    ----------
    inputs : HeadInputs
        Everything there is.
    sees : {"proba", "log_proba", "logits", "features", "confidence", "both"}
        The part it asks for.

    Returns
    -------
    view : ndarray or HeadInputs
        That part.

    Raises
    ------
    ValueError
        If the part is not there.
    """
    if sees == "proba":
        return np.exp(inputs.log_proba)
    if sees in ("confidence", "both"):
        return inputs.replace(features=None) if sees == "confidence" else inputs
    if sees == "log_proba":
        return inputs.log_proba
    view = getattr(inputs, sees)
    if view is None:
        remedy = {"logits": 'response_method="decision_function"', "features": 'head_inputs="both"'}[sees]
        raise ValueError(f"a scorer needs {sees}, which are not there. Use {remedy}.")
    return view


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
