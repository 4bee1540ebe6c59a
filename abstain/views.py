"""What a scorer may look at besides a plain matrix: features, and what a classifier said of the same samples."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from abstain.outputs import LOWEST, ClassOutputs, compressed, log_total, split_at
from abstain.utils.rows import row_sums
from abstain.utils.validation import check_count, check_logits, check_vector, row_blocks
from abstain.warnings import TargetRangeWarning, warn

FEATURES = ("features", "both")


class View:
    """Features and class outputs of n samples, side by side and never glued together.

    Parameters
    ----------
    features : ndarray of shape (n, d) or None
        Features of the samples; may be a memory-mapped array of any size, and is handed on as it is.
    outputs : ClassOutputs or None
        What the classifier said of them.
    extra : ndarray of shape (n, e), default=None
        More columns for a head, which go before the confidence features.
    stressed : Stressed, default=None
        The same samples after noise was added to them.
    """

    def __init__(
        self, features: Any = None, outputs: Any = None, *, extra: np.ndarray | None = None, stressed: Any = None
    ) -> None:
        self.features, self.outputs, self.extra, self.stressed = features, outputs, extra, stressed

    def __len__(self):
        return len(self.features if self.outputs is None else self.outputs)

    def __getitem__(self, rows):
        parts = (None if part is None else part[rows] for part in (self.features, self.outputs, self.extra))
        features, outputs, extra = parts
        return View(features, outputs, extra=extra)

    def with_extra(self, extra: np.ndarray) -> View:
        """Return the same view with other extra columns."""
        return View(self.features, self.outputs, extra=extra, stressed=self.stressed)

    def with_features(self, features: Any) -> View:
        """Return the same view with other features."""
        return View(features, self.outputs, extra=self.extra, stressed=self.stressed)

    def without_features(self) -> View:
        """Return what the classifier said alone."""
        return View(None, self.outputs, extra=self.extra)

    @cached_property
    def confidence(self) -> np.ndarray | None:
        """Extra columns and confidence features, float64 of shape (n, c), or None without outputs."""
        if self.outputs is None:
            return None
        blocks = row_blocks(*self.outputs.values.shape)  # the features take several copies of what they see
        own = np.concatenate(
            [_confidence(part.log_proba, part.answer) for part in map(self.outputs.__getitem__, blocks)]
        )
        return own if self.extra is None else np.column_stack([self.extra, own])

    @property
    def answer(self) -> Any:
        """Index of the class that was answered, (n,), or None without outputs."""
        return None if self.outputs is None else self.outputs.answer

    def answer_among(self, labels: np.ndarray) -> np.ndarray:
        """Position of each answer in sorted ``labels``, and their number for one that is not there."""
        label = self.outputs.classes[self.answer]
        position = np.minimum(np.searchsorted(labels, label), len(labels) - 1)
        return np.where(labels[position] == label, position, len(labels))


class Stressed(NamedTuple):
    """Samples after noise was added to them, and how much."""

    view: View
    level: np.ndarray  # (n,), in standard deviations of each feature


def shown(view, sees):
    """What a scorer that says what it ``sees`` is shown.

    Parameters
    ----------
    view : View
        Everything there is.
    sees : {"proba", "log_proba", "logits", "outputs", "features", "confidence", "both", "images"}
        The part it asks for.

    Returns
    -------
    part : ndarray, ClassOutputs or View
        That part.

    Raises
    ------
    ValueError
        If the part is not there.
    """
    if sees in ("confidence", "both", "images"):
        return view.without_features() if sees == "confidence" else view
    if sees == "outputs":
        return view.outputs
    if sees == "features":
        if view.features is None:
            raise ValueError('a scorer needs features, which are not there. Use head_inputs="both".')
        return view.features
    if sees == "logits" and view.outputs.kind != "logits":
        raise ValueError('a scorer needs logits, which are not there. Use response_method="decision_function".')
    return getattr(view.outputs, sees)


def as_view(X) -> View:
    """Return ``X`` itself if it has the parts of a view, or wrap a matrix as features."""
    return X if hasattr(X, "outputs") else View(X)


def outputs_or_logits(view):
    """What the classifier said; without a classifier, the features taken as logits."""
    return ClassOutputs(view.features, "logits") if view.outputs is None else view.outputs


def confidence_features(log_proba: ArrayLike, *, answer: ArrayLike | None = None, top: int = 5) -> np.ndarray:
    """What the probabilities of a sample say of its difficulty, as inputs for a head.

    Parameters
    ----------
    log_proba : array-like of shape (n, n_classes)
        Log-probabilities, or logits, which are normalised.
    answer : array-like of shape (n,), default=None
        Index of the class that was answered; None is the likeliest.
    top : int, default=5
        How many sorted log-probabilities to keep (fewer with fewer classes).

    Returns
    -------
    features : ndarray of shape (n, min(top, n_classes) + 3)
        Sorted log-probabilities, lead of the answer over the best other class in probability, entropy in nats,
        log-odds of the answer. Beyond 30 nats, logarithms and log-odds are compressed, so that they keep their order.

    Raises
    ------
    ValueError
        If anything is NaN, or ``top`` is not a positive whole number.
    """
    check_count(top, "top")
    outputs = ClassOutputs(check_logits(log_proba, "log_proba"), "logits", answer=answer)
    return _confidence(outputs.log_proba, outputs.answer, top)


def _confidence(log_proba, answer, top=5):
    finite = compressed(np.maximum(log_proba, LOWEST))
    k = min(top, log_proba.shape[1])
    largest = -np.sort(-np.partition(finite, -k, axis=1)[:, -k:], axis=1)
    own, others = split_at(log_proba, answer)
    lead = np.exp(own) - np.exp(others.max(axis=1))
    p = np.exp(log_proba)
    nats = -row_sums(xlogy(p, p))
    return np.column_stack([largest, lead, nats, compressed(np.maximum(own, LOWEST) - log_total(others))])


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
