"""Which thresholds keep a promise, as labels arrive."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from abstain.monitoring.evidence import log_evidence
from abstain.monitoring.stream import known_losses
from abstain.utils.validation import as_array, check_unit, check_vector

_CANDIDATES = 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99


class RunningCertificate(BaseEstimator):
    """A certificate for every threshold that may be read after each label.

    Parameters
    ----------
    thresholds : array-like of shape (m,), default=(0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
        The candidates; the default is for scores that are P(correct).
    risk : float, default=0.05
        Largest share of errors among the answers, in (0, 1).
    delta : float, default=0.1
        Chance, over all time, that a threshold is certified that does not keep the promise; and, for each threshold,
        that one is called broken that does. In (0, 1).

    Attributes
    ----------
    certified_ : ndarray of shape (m,) of bool
        Thresholds, from the largest one down, for which labels have shown that the risk is below ``risk``.
    broken_ : ndarray of shape (m,) of bool
        Thresholds for which labels have shown that it is above.
    threshold_ : float
        The smallest one that is certified and not broken; ``inf`` where there is none.
    labelled_, lost_ : ndarray of shape (m,)
        Labels, and losses among them, of the samples that each threshold answers.

    Notes
    -----
    For each threshold the evidence for a risk below and above the number is kept; the first is read in a fixed
    sequence from the largest threshold down, which stops at the first that is not certified, so that all thresholds
    share ``delta``. That a threshold was certified does not say that it will be kept when the world changes: therefore
    ``broken_``. To be certified, a threshold needs labels of *all* that it would answer, of samples that the threshold
    in force turns away, too, or of a random share of them.

    References
    ----------
    A. Timans, R. Verma, E. Nalisnick, C. A. Naesseth, "On Continuous Monitoring of Risk Violations under Unknown
    Shift", UAI 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.monitoring import RunningCertificate
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(3000)
    >>> running = RunningCertificate([0.3, 0.6, 0.9], risk=0.2).update(score, rng.random(3000) < score)
    >>> running.threshold_, running.certified_
    (0.9, array([False, False,  True]))
    """

    def __init__(self, thresholds: ArrayLike = _CANDIDATES, risk: float = 0.05, *, delta: float = 0.1) -> None:
        self.thresholds = thresholds
        self.risk = risk
        self.delta = delta

    def update(self, score: ArrayLike, correct: ArrayLike | None = None, *, loss: ArrayLike | None = None) -> Self:
        """Take in scores and labels, in the order in which they came.

        Parameters
        ----------
        score : float or array-like of shape (n,)
            Score of each sample; NaN where it could not be scored.
        correct : bool or array-like of shape (n,), default=None
            Whether the prediction was right; NaN where no label is known.
        loss : float or array-like of shape (n,), default=None
            Loss of each prediction in [0, 1], instead.

        Returns
        -------
        self : object
            Up to date.

        Raises
        ------
        ValueError
            If lengths differ, or entries are out of range; nothing is taken in then.
        """
        risk, limit = check_unit(self.risk, "risk"), -np.log(check_unit(self.delta, "delta"))
        thresholds = check_vector(np.atleast_1d(as_array(self.thresholds, "thresholds")), "thresholds")
        score = check_vector(np.atleast_1d(as_array(score, "score")), "score", allow_nan=True)
        losses = known_losses(correct, loss, score.size)
        score, losses = score[~np.isnan(losses)], losses[~np.isnan(losses)]
        if not hasattr(self, "labelled_"):
            self.labelled_, self.lost_ = np.zeros(thresholds.size, dtype=int), np.zeros(thresholds.size)
            self.broken_, self._shown = np.zeros(thresholds.size, dtype=bool), np.zeros(thresholds.size, dtype=bool)
        for i, threshold in enumerate(thresholds):
            mine = losses[score >= threshold]
            lost = self.lost_[i] + np.cumsum(mine)
            seen = self.labelled_[i] + np.arange(1, mine.size + 1)
            self.broken_[i] |= (log_evidence(lost, seen, risk) >= limit).any()
            self._shown[i] |= (log_evidence(lost, seen, risk, above=False) >= limit).any()
            self.labelled_[i] += mine.size
            self.lost_[i] += mine.sum()
        order = np.argsort(-thresholds, kind="stable")
        self.certified_ = np.zeros(thresholds.size, dtype=bool)
        self.certified_[order] = np.logical_and.accumulate(self._shown[order])
        holds = thresholds[self.certified_ & ~self.broken_]
        self.threshold_ = float(holds.min()) if holds.size else float("inf")
        return self
