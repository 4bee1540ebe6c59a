"""What a classifier said of n samples: made and checked in one place, and never cut where it is sure."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit

from abstain.utils.rows import places, row_sums
from abstain.utils.validation import (
    check_choice,
    check_codes,
    check_logits,
    rounding_of,
    row_blocks,
    summed_proba,
)

KINDS = ("proba", "logits")
# stands for the logarithm of the probability of a class that cannot be
LOWEST = -1e6
_IN_CACHE = 1 << 14  # numbers whose copies are taken from memory that is there


class ClassOutputs:
    """One value for each class and sample, what the values are, and the answer of the classifier.

    Parameters
    ----------
    values : array-like of shape (n, n_classes)
        Probabilities or logits, as declared. They are checked in the dtype they come in, and kept as float64;
        probabilities are then made to sum to one. What needs no change is not copied.
    kind : {"proba", "logits"}, default="proba"
        What the values are. Never guessed.
    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; None is 0, 1, ...
    answer : array-like of shape (n,), default=None
        Index of the class that the classifier answers. None is the class of the largest value.
    rounding : float, default=None
        Relative rounding error of what the values were computed from. None is that of their dtype.
    name : str, default="values"
        What errors call the values.
    remedy : str
        What errors say to do where logits came as probabilities.

    Attributes
    ----------
    rounding : float
        Relative rounding error of the values.
    log_zero : float
        Below the logarithm of any probability: that of a probability that was rounded to zero is not known.

    Raises
    ------
    ValueError
        If values are NaN, or probabilities are negative or do not sum to one; or shapes differ.

    Examples
    --------
    >>> from abstain.outputs import ClassOutputs
    >>> outputs = ClassOutputs([[0.0, 1.1], [2.0, 0.0]], kind="logits")
    >>> outputs.answer, outputs.proba.round(2)[:, 1]
    (array([1, 0]), array([0.75, 0.12]))
    """

    def __init__(
        self, values: ArrayLike, kind: str = "proba", classes: ArrayLike | None = None, answer: ArrayLike | None = None,
        *, rounding: float | None = None, name: str = "values", remedy: str = 'use kind="logits"',
    ) -> None:  # fmt: skip
        check_choice(kind, "kind", KINDS)
        self.rounding = rounding_of(values) if rounding is None else rounding
        self.kind = kind
        self.log_zero = LOWEST
        if kind == "proba":
            checked, total, lowest = summed_proba(values, name, remedy, self.rounding)
            values, self.log_zero = _normalised(checked, total, lowest), _log_zero(checked.dtype)
        else:
            values = check_logits(values, name)
        # in one order of memory, since sums round by it
        self.values = np.ascontiguousarray(values, dtype=np.float64)
        n_classes = self.values.shape[1]
        self.classes = np.arange(n_classes) if classes is None else np.asarray(classes)
        if self.classes.shape != (n_classes,):
            raise ValueError(f"classes must name the {n_classes} columns of values; got shape {self.classes.shape}.")
        if len(set(self.classes.tolist())) < n_classes:
            raise ValueError(f"classes must name the columns of values differently; got {self.classes[:8].tolist()}.")
        self.answer = (
            self.values.argmax(axis=1) if answer is None else check_codes(answer, "answer", *self.values.shape)
        )

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        """Return what was said of some of the samples."""
        part = object.__new__(ClassOutputs)
        part.kind, part.classes, part.rounding, part.log_zero = self.kind, self.classes, self.rounding, self.log_zero
        part.values, part.answer = self.values[rows], self.answer[rows]
        return part

    @cached_property
    def proba(self) -> np.ndarray:
        """Class probabilities, (n, n_classes)."""
        return self.values if self.kind == "proba" else np.exp(self.log_proba)

    @cached_property
    def log_proba(self) -> np.ndarray:
        """Log-probabilities, (n, n_classes); ``-inf`` where a probability is 0."""
        if self.kind == "logits":
            return log_softmax(self.values)
        with np.errstate(divide="ignore"):
            return np.log(self.values)

    @property
    def logits(self) -> np.ndarray:
        """Logits, (n, n_classes): the values where they are logits, else the log-probabilities."""
        return self.values if self.kind == "logits" else self.log_proba

    @cached_property
    def log_odds(self) -> np.ndarray:
        """Log-odds that the answer is right, (n,): negative where another class is likelier."""
        found = np.empty(len(self))
        for rows in row_blocks(len(self), self.values.shape[1], _IN_CACHE):
            found[rows] = self._log_odds_of(rows)
        return found

    def _log_odds_of(self, rows):
        values, answer = self.values[rows], self.answer[rows]
        if self.kind == "logits":
            own, others = split_at(log_softmax(values), answer)
            return np.maximum(own, LOWEST) - log_total(others)
        at, others = places(answer, values.shape[1]), values.copy()
        others.put(at, 0.0)
        with np.errstate(divide="ignore"):
            own, rest = (np.maximum(np.log(part), self.log_zero) for part in (values.take(at), row_sums(others)))
        return own - rest


def _normalised(proba, total, lowest):
    """Rows in float64 that sum to one; rows that do up to rounding stay as they are, without a copy where all do."""
    as_given = proba.dtype == np.float64 and proba.flags.c_contiguous and lowest >= 0
    values = proba if as_given else np.maximum(proba, 0.0, dtype=np.float64, casting="unsafe", order="C")
    total = row_sums(values) if lowest < 0 else total
    off = np.abs(total - 1.0) > 8 * np.finfo(np.float64).eps
    if off.any():
        values = values.copy() if as_given else values
        values[off] /= total[off, None]
    return values


def _log_zero(dtype):
    """One nat below the logarithm of the smallest number that comes in a dtype and is kept in float64."""
    kept = dtype if dtype.kind == "f" and dtype.itemsize < 8 else np.float64
    return float(np.log(np.float64(np.finfo(kept).smallest_subnormal)) - 1.0)


def log_softmax(logits):
    """Log-probabilities of logits, (n, n_classes), with the largest logit of each row taken out first."""
    out = np.empty(logits.shape, dtype=np.result_type(logits, np.float16))
    for rows in row_blocks(len(logits), logits.shape[1], 1 << 16):
        with np.errstate(over="ignore"):
            shifted = logits[rows] - logits[rows].max(axis=1, keepdims=True)
        np.subtract(shifted, np.log(row_sums(np.exp(shifted)))[:, None], out=out[rows])
    return out


def log_or_lowest(proba):
    """Logarithm of probabilities, finite where they are 0."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(proba), LOWEST)


def split_at(log_proba, codes):
    """Log-probability of one class of each row, and of all others, (n,) and (n, n_classes) with ``-inf`` at it."""
    at = codes[:, None]
    others = log_proba.copy()
    np.put_along_axis(others, at, -np.inf, axis=1)
    return np.take_along_axis(log_proba, at, axis=1)[:, 0], others


def log_total(log_proba):
    """Logarithm of the sum of probabilities of each row, finite where all are zero."""
    top = np.maximum(log_proba.max(axis=1, keepdims=True), LOWEST)
    return np.maximum(log_or_lowest(row_sums(np.exp(log_proba - top))) + top[:, 0], LOWEST)


def compressed(odds, limit=30.0):
    """Log-odds that grow by a logarithm beyond ``limit`` nats: large ones keep their order, and do not dominate."""
    excess = np.maximum(np.abs(odds) - limit, 0.0)
    return np.clip(odds, -limit, limit) + 10.0 * np.sign(odds) * np.log1p(excess / 10.0)


def log_odds_of(proba):
    """Log-odds of probabilities, finite where they are rounded to 0 or 1."""
    return logit(np.clip(proba, 1e-300, 1 - 2.0**-53))
