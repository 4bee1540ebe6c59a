"""Samples by which a threshold is chosen: what each of them answers at which threshold, and what that costs."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from abstain.policies.candidates import candidates


class Events(NamedTuple):
    """What changes as the threshold falls: an answer takes the place of silence, or of a more cautious answer."""

    score: np.ndarray  # (e,) at and below which the answer is given
    loss: np.ndarray  # (e,) of that answer
    before: np.ndarray | None  # (e,) of the answer that it replaces, 0 for none; None where all replace none
    row: np.ndarray  # (e,) sample
    enters: np.ndarray  # (e,) of bool: whether it replaces none

    @property
    def change(self):
        """What the event adds to the sum of losses, (e,)."""
        return self.loss if self.before is None else self.loss - self.before


@dataclass(frozen=True, eq=False)
class Calibration:
    """Samples that have a score, by which a threshold is chosen.

    A sample has one answer, given at thresholds up to its score; or several, more and more cautious: column j holds up
    to which threshold, and beyond that of column j - 1, the j-th is given, and its loss; equal ones repeat an answer.
    """

    score: np.ndarray  # (m, r) finite, rows increasing
    loss: np.ndarray  # (m, r) of each answer, in [0, 1]
    n: int  # of all samples, those without a score included
    rounding: float  # relative rounding error of what the scores were computed from
    groups: np.ndarray | None = None  # (m,) labels
    clusters: np.ndarray | None = None  # (m,) labels

    @property
    def graded(self):
        """Whether losses are more than right and wrong."""
        return not ((self.loss == 0) | (self.loss == 1)).all()

    @cached_property
    def events(self) -> Events:
        """What changes as the threshold falls."""
        m, r = self.score.shape
        rows, enters = np.arange(m), np.ones(m, dtype=bool)
        if r == 1:
            return Events(self.score[:, 0], self.loss[:, 0], None, rows, enters)
        given = np.diff(self.score, axis=1) > 0  # a column is replaced by the one before it
        inner = np.nonzero(given)
        return Events(
            np.concatenate([self.score[:, -1], self.score[:, :-1][given]]),
            np.concatenate([self.loss[:, -1], self.loss[:, :-1][given]]),
            np.concatenate([np.zeros(m), self.loss[:, 1:][given]]),
            np.concatenate([rows, inner[0]]),
            np.concatenate([enters, np.zeros(inner[0].size, dtype=bool)]),
        )

    def regions(self):
        """The regions that thresholds can reach."""
        return candidates(self.events.score, self.rounding)

    def in_force(self, threshold):
        """Losses of the answers that are given at a threshold, one or one a sample."""
        column = (self.score < np.reshape(threshold, (-1, 1))).sum(axis=1)
        given = np.flatnonzero(column < self.score.shape[1])
        return self.loss[given, column[given]]

    def worst(self):
        """Return the same with the loss of each answer raised to that of all more cautious ones."""
        return Calibration(
            self.score, np.maximum.accumulate(self.loss[:, ::-1], axis=1)[:, ::-1], self.n, self.rounding, self.groups,
            self.clusters,
        )  # fmt: skip

    def among(self, rows):
        """Return the same of some of the samples."""
        parts = (None if part is None else part[rows] for part in (self.groups, self.clusters))
        return Calibration(self.score[rows], self.loss[rows], rows.size, self.rounding, *parts)
