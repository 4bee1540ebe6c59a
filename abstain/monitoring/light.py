"""A warning light where there are no labels."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import fisher_exact, ks_2samp
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.html import html_text
from abstain.utils.validation import check_threshold, check_unit, check_vector

_MISSING = np.finfo(np.float64).min  # stands for a score that is not there, below all others


class LightReport(NamedTuple):
    """What a window of scores looks like beside those of calibration."""

    lit: bool  # whether one of the p-values is below alpha / 2
    n: int
    coverage: float  # share accepted in the window; a sample without a score is not accepted
    expected: float  # in the calibration data
    p_coverage: float
    distance: float  # largest difference of the two distribution functions
    p_scores: float

    def __str__(self):
        return (
            f"{'LIT' if self.lit else 'dark'}: coverage {self.coverage:.3f}, expected {self.expected:.3f} "
            f"(p {self.p_coverage:.2g}); scores differ by {self.distance:.3f} (p {self.p_scores:.2g}); {self.n} samples"
        )

    def _repr_html_(self):
        return html_text(self)


class WarningLight(BaseEstimator):
    """Light up where scores have left what calibration has seen. It promises nothing.

    Parameters
    ----------
    threshold : float, default=0.5
        The threshold in force.
    alpha : float, default=0.01
        Chance that a window of unchanged data lights it, in (0, 1).

    Attributes
    ----------
    reference_ : ndarray of shape (n,)
        Scores of the calibration data, sorted.

    Notes
    -----
    Two tests, each at half of ``alpha``, of one window: that of Fisher of the share that is accepted, and that of
    Kolmogorov and Smirnov of the scores. A light that is dark says
    little: where the classifier is as sure as ever and wrong more often, scores do not change. A light that is lit does
    not say that the risk has risen. See `RiskMonitor` for a promise, from a few hundred labels.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.monitoring import WarningLight
    >>> rng = np.random.default_rng(0)
    >>> light = WarningLight(0.5).set_reference(rng.random(2000))
    >>> light.check(rng.random(500)).lit, light.check(0.7 * rng.random(500)).lit
    (False, True)
    """

    def __init__(self, threshold: float = 0.5, *, alpha: float = 0.01) -> None:
        self.threshold = threshold
        self.alpha = alpha

    def set_reference(self, score: ArrayLike) -> Self:
        """Keep the scores of the calibration data.

        Parameters
        ----------
        score : array-like of shape (n,)
            Scores; NaN where a sample could not be scored.

        Returns
        -------
        self : object
            With ``reference_``.
        """
        with unchanged_on_failure(self):
            score = check_vector(score, "score", allow_nan=True)
            check_threshold(self.threshold)
            check_unit(self.alpha, "alpha")
            self.reference_ = np.sort(_ranked(score))
        return self

    def check(self, score: ArrayLike) -> LightReport:
        """Compare a window of scores with those of the calibration data.

        Parameters
        ----------
        score : array-like of shape (n,)
            Scores of new data; NaN where a sample could not be scored.

        Returns
        -------
        report : LightReport
            Print it.
        """
        if not hasattr(self, "reference_"):
            raise NotFittedError("This WarningLight has nothing to compare with; call set_reference first.")
        score = _ranked(check_vector(score, "score", allow_nan=True))
        accepted, there = (((x >= self.threshold) & (x > _MISSING)).astype(int) for x in (score, self.reference_))
        shares = [[x.sum(), x.size - x.sum()] for x in (accepted, there)]
        p_coverage, apart = fisher_exact(shares).pvalue, ks_2samp(score, self.reference_)
        lit = min(p_coverage, apart.pvalue) < self.alpha / 2
        return LightReport(
            bool(lit), score.size, float(accepted.mean()), float(there.mean()), float(p_coverage),
            float(apart.statistic), float(apart.pvalue),
        )  # fmt: skip


def _ranked(score) -> np.ndarray:
    """Scores with a finite number for those that are missing, below all others."""
    return np.nan_to_num(score, nan=_MISSING)
