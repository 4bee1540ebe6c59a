"""Outcomes counted by score: metrics of any number of samples, in any number of places, in the memory of some bins."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from abstain.metrics._ranks import Ranks
from abstain.metrics._risk_coverage import augrc_of, aurc_of
from abstain.utils.validation import check_choice, check_correct, check_count, check_vector


class BinnedOutcomes:
    """Right and wrong predictions, counted in bins of their score.

    What is counted can be merged, in any order and wherever it was counted. Samples of one bin are tied; ``order`` of
    `aurc` and `augrc` says how much that can matter.

    Parameters
    ----------
    edges : array-like of shape (n_edges,)
        Increasing scores at which a new bin begins, so that there is one bin more. `for_scores` takes them from some
        scores.

    Attributes
    ----------
    counts : ndarray of shape (2, n_edges + 1)
        Numbers of wrong and right predictions.
    totals : ndarray of shape (n_edges + 1,)
        Sums of the scores.
    unscored : float
        Number of samples whose score is NaN; they are in no bin.

    Raises
    ------
    ValueError
        If edges are not increasing, or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.metrics import BinnedOutcomes, aurc
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(10_000)
    >>> correct = rng.random(10_000) < score
    >>> binned = BinnedOutcomes.for_scores(score, 200)
    >>> halves = [binned.empty().update(score[i::2], correct[i::2]) for i in (0, 1)]
    >>> together = halves[0].merge(halves[1])
    >>> round(together.aurc() - aurc(correct, score), 4)
    0.0
    >>> together.aurc("best") <= aurc(correct, score) <= together.aurc("worst")
    True
    """

    def __init__(self, edges: ArrayLike) -> None:
        self.edges = check_vector(edges, "edges").copy() if np.size(edges) else np.empty(0)
        if (np.diff(self.edges) <= 0).any():
            raise ValueError("edges must increase: sort them, and leave out those that come again.")
        n_bins = self.edges.size + 1
        self.counts, self.totals, self.unscored = np.zeros((2, n_bins)), np.zeros(n_bins), 0.0

    @classmethod
    def for_scores(cls, score: ArrayLike, n_bins: int = 1000) -> BinnedOutcomes:
        """Return empty bins, about as many scores in each.

        Parameters
        ----------
        score : array-like of shape (n,)
            Some scores, such as those of the first block. Where few values come again and again each has a bin.
        n_bins : int, default=1000
            Bins at most.

        Returns
        -------
        binned : BinnedOutcomes
            Without samples.
        """
        score = check_vector(score, "score", allow_nan=True)
        check_count(n_bins, "n_bins", least=2)
        known = score[~np.isnan(score)]
        if not known.size:
            raise ValueError("score is NaN throughout: there is nothing to take edges from.")
        found = np.unique(known)[1:]
        if found.size >= n_bins:
            found = np.unique(np.quantile(known, np.arange(1, n_bins) / n_bins, method="higher"))
        return cls(found)

    def empty(self) -> BinnedOutcomes:
        """Return the same bins without samples.

        Returns
        -------
        binned : BinnedOutcomes
            For another place to count in.
        """
        return BinnedOutcomes(self.edges)

    def update(self, score: ArrayLike, correct: ArrayLike, *, sample_weight: ArrayLike | None = None) -> Self:
        """Count samples.

        Parameters
        ----------
        score : array-like of shape (n,)
            Larger is safer; NaN is not scored.
        correct : array-like of shape (n,)
            Whether each prediction is right (bool or 0/1).
        sample_weight : array-like of shape (n,), default=None
            How many samples each stands for; None is 1.

        Returns
        -------
        self : object
            With these samples.

        Raises
        ------
        ValueError
            If lengths differ or entries are none of outcomes; nothing is counted then.
        """
        if np.size(score) == np.size(correct) == 0:
            return self
        score = check_vector(score, "score", allow_nan=True)
        correct = check_correct(correct, n=score.size)
        weight = np.ones(score.size)
        if sample_weight is not None:
            weight = check_vector(sample_weight, "sample_weight", n=score.size)
        if weight.min() < 0:
            raise ValueError("sample_weight must not be negative: it says how many samples each stands for.")
        there = ~np.isnan(score)
        self.unscored += float(weight[~there].sum())
        score, correct, weight = score[there], correct[there], weight[there]
        place = np.searchsorted(self.edges, score, side="right")
        for right in (0, 1):
            self.counts[right] += np.bincount(place, weight * (correct == right), self.totals.size)
        self.totals += np.bincount(place, weight * score, self.totals.size)
        return self

    def merge(self, other: BinnedOutcomes) -> BinnedOutcomes:
        """Return what two have counted together.

        Parameters
        ----------
        other : BinnedOutcomes
            With the same edges, on other samples.

        Returns
        -------
        merged : BinnedOutcomes
            Both stay as they are.

        Raises
        ------
        ValueError
            If the bins differ.
        """
        if not isinstance(other, BinnedOutcomes) or not np.array_equal(self.edges, other.edges):
            raise ValueError("other must be BinnedOutcomes with the same edges: begin both with the same `empty()`.")
        merged = self.empty()
        for name in ("counts", "totals", "unscored"):
            setattr(merged, name, getattr(self, name) + getattr(other, name))
        return merged

    def aurc(self, order: str = "tied") -> float:
        """Area under the risk-coverage curve; see `aurc`.

        Parameters
        ----------
        order : {"tied", "best", "worst"}, default="tied"
            How the samples of a bin lie: tied, or with all wrong ones last, or first. The exact value, which the bins
            have lost, lies between the last two.

        Returns
        -------
        aurc : float
            In [0, 1], smaller is better.
        """
        return aurc_of(self._ranks(order))

    def augrc(self, order: str = "tied") -> float:
        """Area under the generalised risk-coverage curve; see `augrc`.

        Parameters
        ----------
        order : {"tied", "best", "worst"}, default="tied"
            As for `aurc`.

        Returns
        -------
        augrc : float
            In [0, 0.5], smaller is better.
        """
        return augrc_of(self._ranks(order))

    def sample(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the samples as weighted ones, those of a bin tied at their mean score.

        Returns
        -------
        correct, score, sample_weight : ndarray of shape (m,)
            For `risk_coverage_curve`, `coverage_at_risk`, `expected_calibration_error` and all others for which only
            ratios of weights matter. `aurc`, `augrc` and `risk_at_coverage` count samples; the first two are methods.
        """
        score, there = np.broadcast_to(self._centres(), self.counts.shape), self.counts > 0
        correct = np.repeat([[False], [True]], self.totals.size, axis=1)
        return correct[there], score[there], self.counts[there]

    def _ranks(self, order):
        """Where the wrong predictions of each bin stand, the bin of the highest scores first."""
        check_choice(order, "order", ("tied", "best", "worst"))
        if not self.counts.any():
            raise ValueError("nothing was counted yet: call update first.")
        wrong, right = self.counts[:, ::-1]
        through = np.cumsum(wrong + right)
        above = through - wrong - right
        if order == "best":
            above = through - wrong
        elif order == "worst":
            through = above + wrong
        there = wrong > 0
        return Ranks(wrong[there], above[there], through[there], float(self.counts.sum()))

    def _centres(self):
        """Mean score of each bin, in spite of rounding between its edges."""
        weight = self.counts.sum(axis=0)
        mean = np.divide(self.totals, weight, out=np.zeros_like(weight), where=weight > 0)
        low, high = np.append(-np.inf, self.edges), np.append(np.nextafter(self.edges, -np.inf), np.inf)
        return np.clip(mean, low, high)

    def __repr__(self):
        wrong, right = self.counts.sum(axis=1)
        return (
            f"BinnedOutcomes({self.totals.size} bins: {right:g} right, {wrong:g} wrong, {self.unscored:g} not scored)"
        )
