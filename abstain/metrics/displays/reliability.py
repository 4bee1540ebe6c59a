"""Observed frequency against confidence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from abstain.metrics._calibration import reliability_curve
from abstain.metrics._held_out import held_out
from abstain.metrics._labelled import labelled
from abstain.metrics.displays._shared import new_axes
from abstain.utils.validation import check_choice

KINDS = ("top-label", "per-class", "score")


class ReliabilityDisplay:
    """Observed frequency against confidence, for the predicted class, for each class, or for a trust score.

    Parameters
    ----------
    curves : list of (str, ndarray, ndarray, ndarray)
        Name, mean confidence, frequency and share of the samples of each curve's bins.
    kind : {"top-label", "per-class", "score"}
        What the confidence is of.
    n_samples : int, default=None
        Number of samples, by which intervals and counts are drawn; None draws none.

    Attributes
    ----------
    ax_, figure_, lines_ : matplotlib objects
        After `plot`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from abstain.metrics import ReliabilityDisplay
    >>> display = ReliabilityDisplay.from_predictions([0, 1, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    >>> len(display.lines_)
    1
    """

    def __init__(self, curves: list, *, kind: str = "top-label", n_samples: int | None = None) -> None:
        self.curves = curves
        self.kind = kind
        self.n_samples = n_samples

    def plot(self, ax: Any = None, **kwargs: Any) -> ReliabilityDisplay:
        """Draw the curves; the area of a marker is the share of the samples in its bin.

        The line passes through bins with at least 1 % of the samples. Up to four curves have exact 95 % intervals of
        the frequency in each bin, and one alone has the counts, too.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : ReliabilityDisplay
            Itself.
        """
        ax = new_axes(ax)
        ax.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
        self.lines_ = []
        for name, confidence, frequency, share in self.curves:
            told = share >= 0.01  # a bin of a few samples is a dot, not a turn of the line
            (line,) = ax.plot(confidence[told], frequency[told], **({"label": name} | kwargs))
            ax.scatter(confidence, frequency, s=10 + 300 * share, color=line.get_color(), alpha=0.5)
            self.lines_.append(line)
            if self.n_samples is not None and len(self.curves) <= 4:
                low, high = _interval(frequency, share * self.n_samples)
                ax.vlines(confidence, low, high, color=line.get_color(), linewidth=1, alpha=0.7)
        if self.n_samples is not None and len(self.curves) == 1:
            _, confidence, _, share = self.curves[0]
            for x, part in zip(confidence, share, strict=True):
                ax.annotate(
                    f"{part * self.n_samples:.0f}",
                    (x, 0.01),
                    ha="center",
                    va="bottom",
                    fontsize=6,
                    rotation=90,
                    color="0.4",
                )
        ax.set(xlabel="Confidence", ylabel="Observed frequency", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        if len(self.curves) <= 12:
            ax.legend(loc="upper left", fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, kind: str = "top-label", n_bins: int = 15, ax: Any = None,
        **kwargs: Any,
    ) -> ReliabilityDisplay:  # fmt: skip
        """Draw the reliability of a fitted classifier.

        Parameters
        ----------
        estimator : classifier
            Fitted, with ``predict_proba``.
        X, y : array-like
            Test data.
        kind : {"top-label", "per-class", "score"}, default="top-label"
            Probability of the predicted class; one curve a class; or the score of a selective classifier that estimates
            P(correct), against how often its answers are right.
        n_bins : int, default=15
            Equal-width bins.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : ReliabilityDisplay
            Drawn.
        """
        check_choice(kind, "kind", KINDS)
        if kind == "score":
            held = held_out(estimator, X, y)
            curves = [("score", *reliability_curve(held.correct, held.score, n_bins=n_bins))]
            return cls(curves, kind=kind, n_samples=len(held.score)).plot(ax, **kwargs)
        options = {"classes": estimator.classes_, "kind": kind, "n_bins": n_bins}
        return cls.from_predictions(y, estimator.predict_proba(X), **options, ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls, y_true: ArrayLike, proba: Any, *, classes: ArrayLike | None = None, kind: str = "top-label",
        n_bins: int = 15, ax: Any = None, **kwargs: Any,
    ) -> ReliabilityDisplay:  # fmt: skip
        """Draw the reliability of class probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Labels.
        proba : array-like of shape (n, n_classes), or dict
            Probabilities; or several by name, such as those before and after calibration, with a curve for each.
        classes : array-like of shape (n_classes,), default=None
            Labels of the columns; None is 0, 1, ...
        kind : {"top-label", "per-class"}, default="top-label"
            Confidence of the predicted class, or one curve a class.
        n_bins : int, default=15
            Equal-width bins.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : ReliabilityDisplay
            Drawn.
        """
        check_choice(kind, "kind", KINDS[:2])
        if isinstance(proba, dict):
            found = {name: labelled(y_true, values, classes) for name, values in proba.items()}
            check_choice(kind, "kind of several", ("top-label",))
        else:
            found = {"predicted class": labelled(y_true, proba, classes)}
        data = next(iter(found.values()))
        if kind == "top-label":
            curves = [(n, *reliability_curve(d.correct, d.confidence, n_bins=n_bins)) for n, d in found.items()]
        else:
            columns = enumerate(zip(data.classes, data.proba.T, strict=True))
            curves = [(str(c), *reliability_curve(data.codes == k, p, n_bins=n_bins)) for k, (c, p) in columns]
        return cls(curves, kind=kind, n_samples=len(data.codes)).plot(ax, **kwargs)


def _interval(frequency, count):
    """Exact 95 % interval of a frequency (Clopper and Pearson, 1934)."""
    right = frequency * count
    low = np.where(right > 0, betaincinv(np.maximum(right, 1e-9), count - right + 1, 0.025), 0.0)
    high = np.where(right < count, betaincinv(right + 1, np.maximum(count - right, 1e-9), 0.975), 1.0)
    return low, high
