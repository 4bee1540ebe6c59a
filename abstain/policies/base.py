"""What every policy does: arrays are checked in one place, and a score gets a verdict."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from abstain.policies.betting import risk_bound
from abstain.policies.calibration import Calibration
from abstain.policies.certificate import Certificate, Tally, by_group
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import (
    as_array,
    check_groups,
    check_losses,
    check_rungs,
    check_unit,
    check_vector,
    first_of_equals,
    rounding_of,
)


class Policy(BaseEstimator):
    """Base of the policies. A subclass writes ``_choose(calibration)``.

    It returns the threshold and the fields of the certificate that it knows. ``_holds_groups`` and ``_holds_clusters``
    say whether it makes promises that could hold in each group, or of clusters.
    """

    _holds_groups = False
    _holds_clusters = False
    _of_batches = False

    def fit(
        self, score: ArrayLike, correct: ArrayLike | None = None, *, loss: ArrayLike | None = None,
        groups: ArrayLike | None = None, clusters: ArrayLike | None = None, disjoint: bool | None = None, seen: int = 0,
        compared: bool = True, rounding: float | None = None,
    ) -> Self:  # fmt: skip
        """Choose the threshold on held-out data.

        Parameters
        ----------
        score : array-like of shape (n,) or (n, r)
            Confidence, larger is safer. NaN where a sample could not be scored; it is abstained on. With several
            answers to a sample, more and more cautious, ``score[:, j]`` increases with j: it is the largest threshold
            at which answer j is given, where answer j - 1 no longer is.
        correct : array-like of the shape of score, default=None
            Whether each prediction was right (bool or 0/1).
        loss : array-like of the shape of score, default=None
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
            losses = calibration.in_force(self.thresholds(len(calibration.score), calibration.groups))
            clusters = None if clusters is None else np.unique(clusters).size
            told = {"clusters": clusters, "disjoint": disjoint, "seen": int(seen), "compared": compared}
            self.certificate_ = _certificate(calibration, losses, promise | told)
        return self

    def accept(self, score: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
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
        return score >= self.thresholds_for(score, groups)

    def check(
        self, score: ArrayLike, correct: ArrayLike | None = None, *, loss: ArrayLike | None = None,
        groups: ArrayLike | None = None, delta: float = 0.05,
    ) -> Certificate:  # fmt: skip
        """Say what new labels tell of the threshold in use, which stays as it is.

        Parameters
        ----------
        score : array-like of shape (n,) or (n, r)
            Confidence of new samples, which neither `fit` nor any choice has seen; NaN where there is none.
        correct : array-like of the shape of score, default=None
            Whether each prediction was right (bool or 0/1).
        loss : array-like of the shape of score, default=None
            Loss of each answer, in [0, 1], instead of ``correct``. Of a classifier with costs or a hierarchy, whose
            losses are its own, ``check(X, y)`` of the classifier knows them.
        groups : array-like of shape (n,), default=None
            Group of each sample. Each gets a bound of its own, all of which hold together.
        delta : float, default=0.05
            One minus the confidence of the bound, in (0, 1).

        Returns
        -------
        certificate : Certificate
            Its ``bound`` is that of one test at a fixed threshold: exact (Clopper-Pearson) where losses are 0 and 1.
            It holds for one look at the labels; for a look after every label there is `RiskMonitor`.

        Raises
        ------
        TypeError
            If the policy has no threshold of its own, as `OnAverageRisk`.
        ValueError
            If shapes differ, or values are out of range.
        """
        check_is_fitted(self, "threshold_")
        if self._of_batches:
            raise TypeError(f"{type(self).__name__} has a threshold for every batch, none of which can be checked.")
        check_unit(delta, "delta")
        calibration = self._checked(score, correct, loss, None, None, None)
        known = ~np.isnan(check_rungs(score)).any(axis=1)
        groups = None if groups is None else check_groups(groups, calibration.n)
        own = groups if isinstance(self.threshold_, dict) else None
        thresholds = np.broadcast_to(self.thresholds(calibration.n, own), calibration.n)[known]
        losses = calibration.in_force(thresholds)
        promise = {"method": "check", "target": self._risk_target(), "delta": delta}
        promise |= self._spent(losses, calibration.n)
        if groups is not None:
            promise |= _checked_by_group(calibration, thresholds, groups, known, delta)
        elif losses.size:
            promise["bound"] = risk_bound(losses, calibration.graded, delta)
        return _certificate(calibration, losses, promise)

    def _spent(self, losses, n):
        """What decisions cost, of some samples and the losses of those that are answered, where costs were named."""
        return {}

    def _risk_target(self):
        """The selective risk that was asked for, NaN where something else was."""
        return float("nan")

    def thresholds(self, n: int, groups: ArrayLike | None = None) -> float | np.ndarray:
        """Return the threshold for each of some samples.

        Parameters
        ----------
        n : int
            Number of samples.
        groups : array-like of shape (n,), default=None
            Group of each sample, where each has a threshold of its own.

        Returns
        -------
        threshold : float or ndarray of shape (n,)
            One for all, or one for each sample.
        """
        check_is_fitted(self, "threshold_")
        return self.threshold_

    def thresholds_for(self, score: np.ndarray, groups: ArrayLike | None = None) -> float | np.ndarray:
        """Return the threshold that each of some scores has to reach; of most policies it is fixed.

        Parameters
        ----------
        score : ndarray of shape (n,)
            Scores.
        groups : array-like of shape (n,), default=None
            Group of each sample, where each has a threshold of its own.

        Returns
        -------
        threshold : float or ndarray of shape (n,)
            One for all, or one for each sample.
        """
        return self.thresholds(score.size, groups)

    def _checked(self, score, correct, loss, groups, clusters, rounding):
        rounding = rounding_of(score) if rounding is None else rounding
        given, score = score, check_rungs(score)
        n, loss = len(score), _losses(correct, loss, score.shape, np.ndim(given) == 2)
        # an answer that is given up to no larger threshold than the one before it is never given
        loss = np.take_along_axis(loss, first_of_equals(score), axis=1)
        needed = np.append((np.diff(score, axis=1) > 0).any(axis=0), True)
        score, loss = score[:, needed], loss[:, needed]
        for name, given, held in (("groups", groups, self._holds_groups), ("clusters", clusters, self._holds_clusters)):
            if given is not None and not held:
                raise ValueError(
                    f"{name} is for TargetRisk; {type(self).__name__} makes no promise that could hold in each."
                )
        labels = [
            None if given is None else check_groups(given, n, name)
            for name, given in (("groups", groups), ("clusters", clusters))
        ]
        known = ~np.isnan(score).any(axis=1)
        if known.all():
            return Calibration(score, loss, n, rounding, *labels)
        labels = [None if given is None else given[known] for given in labels]
        return Calibration(score[known], loss[known], n, rounding, *labels)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.target_tags.required = True
        return tags


def _certificate(calibration, losses, promise):
    """Counts of what is accepted, beside what is promised."""
    return Certificate(
        n=calibration.n,
        accepted=losses.size,
        errors=_lost(calibration, losses),
        unscored=calibration.n - len(calibration.score),
        **promise,
    )


def _checked_by_group(calibration, thresholds, groups, known, delta):
    """Counts, sizes and bounds of every group, all of which hold together; the bound of all is the worst."""
    names, where, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    own = where[known]
    order = np.argsort(own, kind="stable")
    ends = np.searchsorted(own, np.arange(1, len(names)), sorter=order)
    tallies = {}
    for name, size, mine in zip(names.tolist(), sizes.tolist(), np.split(order, ends), strict=True):
        losses = calibration.among(mine).in_force(thresholds[mine])
        bound = risk_bound(losses, calibration.graded, delta / len(names)) if losses.size else np.nan
        tallies[name] = Tally(_lost(calibration, losses), losses.size, size, bound)
    worst = max((tally.bound for tally in tallies.values() if tally.accepted), default=np.nan)
    return {"bound": worst} | by_group(tallies)


def _lost(calibration, losses):
    """Sum of losses: a number of errors, where they are 0 and 1."""
    return float(losses.sum()) if calibration.graded else int(losses.sum())


def _losses(correct, loss, shape, table):
    """Losses in the shape of the scores as a table, which they have to come in if scores did."""
    if (correct is None) == (loss is None):
        raise ValueError("give either correct, whether each prediction was right, or loss=, the loss of each answer.")
    if table:
        correct, loss = (_raveled(*pair, shape) for pair in ((correct, "correct"), (loss, "loss")))
    return check_losses(correct, loss, shape[0] * shape[1]).reshape(shape)


def _raveled(given, name, shape):
    if given is None:
        return None
    given = as_array(given, name)
    if given.shape != shape:
        raise ValueError(f"{name} must have the shape of score, {shape}; got {given.shape}.")
    return given.ravel()
