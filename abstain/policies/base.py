"""What every policy does: arrays are checked in one place, and a score gets a verdict."""

from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from abstain.policies.candidates import candidates
from abstain.policies.certificate import Certificate
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import check_groups, check_losses, check_vector, rounding_of


class Calibration(NamedTuple):
    """Samples that have a score, by which a threshold is chosen."""

    score: np.ndarray  # (m,) finite
    loss: np.ndarray  # (m,) of each answer, in [0, 1]
    n: int  # of all samples, those without a score included
    rounding: float  # relative rounding error of what the scores were computed from
    groups: np.ndarray | None = None  # (m,) labels
    clusters: np.ndarray | None = None  # (m,) labels

    @property
    def graded(self):
        """Whether losses are more than right and wrong."""
        return not ((self.loss == 0) | (self.loss == 1)).all()

    def regions(self):
        """The regions that thresholds can reach."""
        return candidates(self.score, self.rounding)

    def among(self, rows):
        """Return the same of some of the samples."""
        parts = (None if part is None else part[rows] for part in (self.groups, self.clusters))
        return Calibration(self.score[rows], self.loss[rows], rows.size, self.rounding, *parts)


class Policy(BaseEstimator):
    """Base of the policies. A subclass writes ``_choose(calibration)``.

    It returns the threshold and the fields of the certificate that it knows. ``_holds_groups`` and ``_holds_clusters``
    say whether it makes promises that could hold in each group, or of clusters.
    """

    _holds_groups = False
    _holds_clusters = False

    def fit(
        self, score, correct=None, *, loss=None, groups=None, clusters=None, disjoint=None, seen=0, compared=True,
        rounding=None,
    ):  # fmt: skip
        """Choose the threshold on held-out data.

        Parameters
        ----------
        score : array-like of shape (n,)
            Confidence, larger is safer. NaN where a sample could not be scored; it is abstained on.
        correct : array-like of shape (n,), default=None
            Whether each prediction was right (bool or 0/1).
        loss : array-like of shape (n,), default=None
            Loss of each answer, in [0, 1], instead of ``correct``.
        groups : array-like of shape (n,), default=None
            Group of each sample; see `TargetRisk`.
        clusters : array-like of shape (n,), default=None
            What is exchangeable, if not samples: the image of a pixel, the film of a frame, the patient of a record.
        disjoint : bool, default=None
            Whether the score was fitted on other data than these; goes into the certificate, as do the next two.
        seen : int, default=0
            Number of the samples that the score was fitted on, or that look so.
        compared : bool, default=True
            False where that could not be found out.
        rounding : float, default=None
            Relative rounding error of what the scores were computed from. None is that of their dtype.

        Returns
        -------
        self : object
            With ``threshold_`` and ``certificate_``.

        Raises
        ------
        ValueError
            If the arrays are empty, differ in length, or hold infinities or other values than named.
        """
        calibration = self._checked(score, correct, loss, groups, clusters, rounding)
        with unchanged_on_failure(self):
            self.threshold_, promise = self._choose(calibration)
            groups = {} if calibration.groups is None else {"groups": calibration.groups}
            scored = calibration.score.size > 0
            accepted = self.accept(calibration.score, **groups) if scored else np.zeros(0, dtype=bool)
            lost = calibration.loss[accepted].sum()
            self.certificate_ = Certificate(
                n=calibration.n,
                accepted=int(accepted.sum()),
                errors=float(lost) if calibration.graded else int(lost),
                unscored=calibration.n - calibration.score.size,
                clusters=None if clusters is None else np.unique(clusters).size,
                disjoint=disjoint,
                seen=int(seen),
                compared=compared,
                **promise,
            )
        return self

    def accept(self, score, groups=None):
        """Say which scores are safe enough.

        Parameters
        ----------
        score : array-like of shape (n,)
            Confidence, larger is safer. NaN is never accepted.
        groups : array-like of shape (n,), default=None
            Group of each sample, where each has a threshold of its own.

        Returns
        -------
        accept : ndarray of shape (n,) of bool
            True where ``score >= threshold_``; tied scores share a verdict.
        """
        check_is_fitted(self, "threshold_")
        score = check_vector(score, "score", allow_nan=True)
        return score >= self._thresholds(groups, score.size)

    def _thresholds(self, groups, n):
        """The threshold of each of n samples, or the one for all."""
        return self.threshold_

    def _checked(self, score, correct, loss, groups, clusters, rounding):
        rounding = rounding_of(score) if rounding is None else rounding
        score = check_vector(score, "score", allow_nan=True)
        loss = _losses(correct, loss, score.size)
        for name, given, held in (("groups", groups, self._holds_groups), ("clusters", clusters, self._holds_clusters)):
            if given is not None and not held:
                raise ValueError(
                    f"{name} is for TargetRisk; {type(self).__name__} makes no promise that could hold in each."
                )
        labels = [
            None if given is None else check_groups(given, score.size, name)
            for name, given in (("groups", groups), ("clusters", clusters))
        ]
        known = ~np.isnan(score)
        if known.all():
            return Calibration(score, loss, score.size, rounding, *labels)
        labels = [None if given is None else given[known] for given in labels]
        return Calibration(score[known], loss[known], score.size, rounding, *labels)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.target_tags.required = True
        return tags


def _losses(correct, loss, n):
    if (correct is None) == (loss is None):
        raise ValueError("give either correct, whether each prediction was right, or loss=, the loss of each answer.")
    return check_losses(correct, loss, n)
