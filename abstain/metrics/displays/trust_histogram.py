"""Scores of right and of wrong predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from abstain.metrics._held_out import held_out
from abstain.metrics.displays._shared import new_axes
from abstain.utils.validation import check_count, check_score_correct, check_threshold


class TrustHistogramDisplay:
    """Histograms of the score of right and of wrong predictions, with the threshold in use.

    Parameters
    ----------
    right, wrong : ndarray
        Scores of right and of wrong predictions.
    threshold : float, default=None
        The threshold of a policy.

    Attributes
    ----------
    ax_, figure_ : matplotlib objects
        After `plot`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from abstain.metrics import TrustHistogramDisplay
    >>> TrustHistogramDisplay.from_predictions([1, 1, 0], [0.9, 0.8, 0.3]).ax_.get_xlabel()
    'Score'
    """

    def __init__(self, right: np.ndarray, wrong: np.ndarray, *, threshold: float | None = None) -> None:
        self.right = right
        self.wrong = wrong
        self.threshold = threshold

    def plot(self, ax: Any = None, *, bins: int = 30, **kwargs: Any) -> TrustHistogramDisplay:
        """Draw the histograms, each of area one, so that few errors stay visible.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes new ones.
        bins : int, default=30
            Number of bins.
        **kwargs : dict
            Passed to ``ax.hist``.

        Returns
        -------
        display : TrustHistogramDisplay
            Itself.
        """
        check_count(bins, "bins")
        ax = new_axes(ax)
        edges = np.histogram_bin_edges(np.concatenate([self.right, self.wrong]), bins)
        for values, label, color in ((self.right, "right", "tab:blue"), (self.wrong, "wrong", "tab:red")):
            if values.size:
                options = {"density": True, "alpha": 0.5, "color": color, "label": f"{label} ({values.size})"}
                ax.hist(values, edges, **(options | kwargs))
        if self.threshold is not None and np.isfinite(self.threshold):
            ax.axvline(self.threshold, color="0.2", linewidth=1.5, linestyle="--", label="threshold")
        ax.set(xlabel="Score", ylabel="Density")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, ax: Any = None, **kwargs: Any
    ) -> TrustHistogramDisplay:
        """Draw the scores of a selective classifier.

        Parameters
        ----------
        estimator : selective classifier
            Fitted.
        X, y : array-like
            Test data.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.hist``.

        Returns
        -------
        display : TrustHistogramDisplay
            Drawn.
        """
        held = held_out(estimator, X, y)
        classifier, correct, score = held.classifier, held.correct, held.score
        threshold = classifier.policy_.threshold_
        threshold = None if isinstance(threshold, dict) else threshold
        return cls(score[correct], score[~correct], threshold=threshold).plot(ax, **kwargs)

    @classmethod
    def from_predictions(
        cls, correct: ArrayLike, score: ArrayLike, *, threshold: float | None = None, ax: Any = None, **kwargs: Any
    ) -> TrustHistogramDisplay:
        """Draw the scores of right and of wrong predictions.

        Parameters
        ----------
        correct : array-like of shape (n,)
            Whether each prediction is right.
        score : array-like of shape (n,)
            Confidence, larger is safer.
        threshold : float, default=None
            A threshold to draw.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.hist``.

        Returns
        -------
        display : TrustHistogramDisplay
            Drawn.
        """
        score, correct = check_score_correct(score, correct)
        if threshold is not None:
            check_threshold(threshold)
        return cls(score[correct], score[~correct], threshold=threshold).plot(ax, **kwargs)
