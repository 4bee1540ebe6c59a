"""What a fitted model says of samples, and what its scores rest on."""

from typing import NamedTuple, Self

import numpy as np

from abstain.selective.explanation import Grounds


class Evidence(NamedTuple):
    """What a fitted model says of n samples, from one pass over them.

    A row that cannot be scored, such as one with missing values that the classifier refuses, has the answer -1, and
    NaN for all else.
    """

    answer: np.ndarray  # (n,) index into classes_
    proba: np.ndarray  # (n, K), columns in the order of classes_
    score: np.ndarray  # (n,), larger is safer

    @classmethod
    def blank(cls, n: int, n_classes: int) -> Self:
        """Nothing of n samples."""
        return cls(np.full(n, -1), np.full((n, n_classes), np.nan), np.full(n, np.nan))


class Told(NamedTuple):
    """Evidence, and what each score rests on."""

    answer: np.ndarray
    proba: np.ndarray
    score: np.ndarray
    grounds: np.ndarray  # (n,) of Grounds

    @classmethod
    def of(cls, evidence, grounds):
        """Return evidence with the grounds of every sample."""
        column = np.empty(len(evidence.score), dtype=object)
        for i, ground in enumerate(grounds):
            column[i] = ground
        return cls(evidence.answer, evidence.proba, evidence.score, column)

    @classmethod
    def blank(cls, n, n_classes):
        """Nothing of n samples."""
        return cls.of(Evidence.blank(n, n_classes), [Grounds()] * n)


def spread(some, good, n_classes, kind):
    """Evidence of all rows, from that of the good ones, if there are any; of the others nothing is known."""
    whole = kind.blank(len(good), n_classes)
    for column, part in zip(whole, some or (), strict=some is not None):
        column[good] = part
    return whole
