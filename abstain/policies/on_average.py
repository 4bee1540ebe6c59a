"""The error rate of the answers to a batch below a number, on average over batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from abstain.policies.base import Policy
from abstain.policies.candidates import tolerance_of
from abstain.utils.validation import check_unit, check_vector


class OnAverageRisk(Policy):
    r"""Answer as many of a batch as possible while the share of errors among them stays below a number, on average.

    For users with a few hundred labels. It promises less than `TargetRisk` does: the share of errors among the answers
    to a given batch **exceeds the number in about 40 % of cases**; its mean over calibration sets and batches is below.

    Parameters
    ----------
    risk : float, default=0.1
        Largest expected share of errors among the answers to a batch, in (0, 1); a batch without an answer counts 0.

    Attributes
    ----------
    threshold_ : float
        That of the calibration data, as if they were the batch. The threshold of a batch depends on the batch.
    certificate_ : Certificate
        Counts, with the calibration data as the batch.

    Notes
    -----
    Sample j of a batch of m has the p-value :math:`p_j = (1 + \#\{\text{errors with a score} \ge s_j\}) / (n + 1)`,
    that of "the answer is wrong". The procedure of Benjamini and Hochberg at level ``risk`` accepts the k smallest,
    with k as large as :math:`p_{(k)} \le \text{risk} \, k / m` allows.

    What is accepted hangs on the batch, so decide on all that belongs together at once. One sample at a time is a batch
    of one, for which the promise is that of `ConformalRisk`: the share of wrong answers among *all* samples.

    References
    ----------
    Y. Jin, E. J. Candes, "Selection by Prediction with Conformal p-values", JMLR 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain import OnAverageRisk
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(300)
    >>> policy = OnAverageRisk(0.1).fit(score, rng.random(300) < score)
    >>> float(policy.accept(rng.random(1000)).mean().round(1))
    0.2
    """

    _of_batches = True

    def __init__(self, risk: float = 0.1) -> None:
        self.risk = risk

    def accept(self, score: ArrayLike, groups: None = None) -> np.ndarray:
        """Say which scores of a batch are safe enough together.

        Parameters
        ----------
        score : array-like of shape (n,)
            Confidence of the whole batch, larger is safer. NaN is never accepted, and counts as a member of the batch.
        groups : None
            There are none.

        Returns
        -------
        accept : ndarray of shape (n,) of bool
            True where the batch accepts; tied scores share a verdict.
        """
        check_is_fitted(self, "threshold_")
        if groups is not None:
            raise ValueError("groups is for TargetRisk; OnAverageRisk makes no promise that could hold in each.")
        score = check_vector(score, "score", allow_nan=True)
        return score >= self.batch_threshold(score)

    def thresholds_for(self, score: np.ndarray, groups: None = None) -> float:
        """Return the threshold of the batch that these scores are.

        Parameters
        ----------
        score : ndarray of shape (n,)
            Scores of the whole batch.
        groups : None
            There are none.

        Returns
        -------
        threshold : float
            As of `batch_threshold`.
        """
        return self.batch_threshold(score)

    def batch_threshold(self, score: ArrayLike) -> float:
        """Return the threshold of a batch.

        Parameters
        ----------
        score : array-like of shape (n,)
            Its scores.

        Returns
        -------
        threshold : float
            Accept scores at or above it; ``inf`` for none.
        """
        score = check_vector(score, "score", allow_nan=True)
        return self._threshold(np.sort(score[~np.isnan(score)])[::-1], score.size)

    def _choose(self, calibration):
        risk = check_unit(self.risk, "risk")
        if calibration.graded or calibration.score.shape[1] > 1:
            raise ValueError("OnAverageRisk needs answers that are right or wrong, one a sample; see TargetRisk.")
        score, wrong = calibration.score[:, 0], calibration.loss[:, 0] > 0
        tolerance = tolerance_of(calibration.rounding) * np.maximum(np.abs(score[wrong]), 1.0)
        self.wrong_, self.n_, self.risk_ = np.sort(score[wrong] + tolerance), calibration.n, risk
        promise = {"method": "conformal selection of a batch, on average", "target": risk}
        return self._threshold(np.sort(score)[::-1], calibration.n), promise

    def _threshold(self, ranked, size):
        p_values = (1 + self.wrong_.size - np.searchsorted(self.wrong_, ranked, side="left")) / (self.n_ + 1)
        met = np.flatnonzero(p_values <= self.risk_ * np.arange(1, ranked.size + 1) / max(size, 1) * (1 + 1e-12))
        return float(ranked[met[-1]]) if met.size else np.inf
