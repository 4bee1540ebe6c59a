"""Where the coverage that is missing at a target risk has gone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from abstain.metrics._risk_coverage import coverage_at_risk
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed
from abstain.utils.html import html_text
from abstain.utils.validation import check_count, check_flags, check_score_correct, check_unit

_NAMES = ("labels", "classifier", "ranking", "calibration")
_MEANINGS = (
    "wrong answers whose label is suspect: look at the labels",
    "the other errors: a better classifier, or more data for it",
    "errors that are trusted more than right answers: a better score",
    "a threshold that is more cautious than these samples ask for: more calibration data",
)


class MissingCoverage(NamedTuple):
    """Coverage, and what is missing to answer everything; the five shares add up to 1. Print it."""

    risk: float
    coverage: float  # of the threshold in use
    labels: float
    classifier: float
    ranking: float
    calibration: float  # negative where more is answered than the risk allows on these samples
    intervals: dict  # by name, (low, high), 95 %

    def causes(self) -> Any:
        """Pair the causes with what helps.

        Returns
        -------
        causes : iterable of (str, str)
            Names of the shares, and words.
        """
        return zip(_NAMES, _MEANINGS, strict=True)

    def __str__(self):
        width = max(map(len, _MEANINGS))
        lines = [f"answered at a risk of {self.risk:g}: {self.coverage:.3f}; what is missing:"]
        for name, meaning in self.causes():
            low, high = self.intervals[name]
            lines.append(f"{name:<12}{getattr(self, name):>7.3f} [{low:.3f}, {high:.3f}]  {meaning:<{width}}".rstrip())
        return "\n".join(lines)

    def _repr_html_(self):
        return html_text(self)


def missing_coverage(
    correct: ArrayLike, score: ArrayLike, accepted: ArrayLike, risk: float, *, suspect: ArrayLike | None = None,
    n_resamples: int = 500, random_state: Seed = None,
) -> MissingCoverage:  # fmt: skip
    r"""Say where the missing coverage has gone: to labels, classifier, ranking or calibration.

    Parameters
    ----------
    correct : array-like of shape (n,)
        Whether each answer to a test sample is right (bool or 0/1).
    score : array-like of shape (n,)
        Confidence, larger is safer.
    accepted : array-like of shape (n,) of bool
        What the threshold in use accepts.
    risk : float
        The selective risk aimed at, in (0, 1).
    suspect : array-like of shape (n,) of bool, default=None
        Samples whose label is wrong for all that is known: ``find_label_errors(X, y).p_given < 0.05``. None counts
        label noise as errors of the classifier.
    n_resamples : int, default=500
        Resamples of the test samples, for the intervals.
    random_state : int, RandomState or None, default=None
        Seed.

    Returns
    -------
    missing : MissingCoverage
        Shares of all samples.

    Raises
    ------
    ValueError
        If shapes differ, or values are out of range.

    Notes
    -----
    With a perfect ranking, an accuracy a leaves a coverage of :math:`\min(1, a / (1 - r))` at the risk r. What that
    lacks is due to the classifier, but for the part that would come back if suspect labels of wrong answers were
    wrong themselves. From there to the largest coverage that this score reaches on the test samples at the risk r is
    due to the ranking, and from there to what is answered, to the threshold.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.metrics import missing_coverage
    >>> score = np.random.default_rng(0).random(2000)
    >>> correct = np.random.default_rng(1).random(2000) < score
    >>> missing = missing_coverage(correct, score, score > 0.95, 0.1, random_state=0)
    >>> round(missing.classifier, 2), missing.ranking > 0.1
    (0.45, True)
    """
    check_unit(risk, "risk")
    check_count(n_resamples, "n_resamples")
    score, correct = check_score_correct(score, correct)
    accepted = check_flags(accepted, "accepted", n=score.size)
    none = np.zeros(score.size, dtype=bool)
    suspect = none if suspect is None else check_flags(suspect, "suspect", n=score.size)
    rng = check_seed(random_state)
    whole = _shares(correct, score, accepted, suspect, risk)
    resamples = (rng.randint(0, score.size, score.size) for _ in range(n_resamples))
    draws = [_shares(correct[rows], score[rows], accepted[rows], suspect[rows], risk) for rows in resamples]
    bounds = np.quantile(draws, [0.025, 0.975], axis=0).T
    intervals = {name: (float(low), float(high)) for name, (low, high) in zip(_NAMES, bounds, strict=True)}
    labels, classifier, ranking, calibration = map(float, whole)
    return MissingCoverage(float(risk), float(accepted.mean()), labels, classifier, ranking, calibration, intervals)


def _shares(correct, score, accepted, suspect, risk):
    """Missing coverage by cause, (4,)."""
    reachable = min(correct.mean() / (1 - risk), 1.0)
    with_labels = min((correct | suspect).mean() / (1 - risk), 1.0)
    ranked = coverage_at_risk(correct, score, risk)
    return np.array([with_labels - reachable, 1 - with_labels, reachable - ranked, ranked - accepted.mean()])
