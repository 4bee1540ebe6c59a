"""Risk against coverage."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from abstain.metrics._held_out import held_out
from abstain.metrics._risk_coverage import aurc, risk_coverage_curve
from abstain.metrics.displays._shared import new_axes


class RiskCoverageDisplay:
    """Selective risk at every coverage, with the operating point of a policy.

    Parameters
    ----------
    coverage, risk : ndarray of shape (n_thresholds,)
        The curve.
    aurc : float
        The area under it.
    name : str, default=None
        Label of the curve.
    operating_point : tuple of float, default=None
        Coverage and risk of a threshold in use.
    target_risk : float, default=None
        A risk to draw as a line.

    Attributes
    ----------
    ax_, figure_, line_ : matplotlib objects
        After `plot`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from abstain.metrics import RiskCoverageDisplay
    >>> display = RiskCoverageDisplay.from_predictions([1, 1, 0, 1], [0.9, 0.8, 0.3, 0.6])
    >>> display.ax_.get_xlabel()
    'Coverage'
    """

    def __init__(
        self, coverage: np.ndarray, risk: np.ndarray, aurc: float, *, name: str | None = None,
        operating_point: tuple[float, ...] | None = None, target_risk: float | None = None,
    ) -> None:  # fmt: skip
        self.coverage = coverage
        self.risk = risk
        self.aurc = aurc
        self.name = name
        self.operating_point = operating_point
        self.target_risk = target_risk

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> RiskCoverageDisplay:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes new ones.
        name : str, default=None
            Label of the curve.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : RiskCoverageDisplay
            Itself.
        """
        ax, name = new_axes(ax), name or self.name
        label = f"AURC {self.aurc:.4f}" if name is None else f"{name} (AURC {self.aurc:.4f})"
        (self.line_,) = ax.plot(self.coverage, self.risk, drawstyle="steps-post", **({"label": label} | kwargs))
        if self.operating_point is not None:
            ax.plot(*self.operating_point, "o", color=self.line_.get_color(), markersize=7)
        if self.target_risk is not None:
            ax.axhline(self.target_risk, color="0.5", linewidth=1, linestyle="--")
        ax.set(xlabel="Coverage", ylabel="Selective risk", xlim=(0, 1))
        ax.set_ylim(bottom=0)
        ax.legend(loc="upper left")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, name: str | None = None, ax: Any = None, **kwargs: Any
    ) -> RiskCoverageDisplay:
        """Draw the curve of a selective classifier, with the point where its policy stands.

        Parameters
        ----------
        estimator : selective classifier
            Fitted.
        X, y : array-like
            Test data.
        name : str, default=None
            Label; None is the class name.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : RiskCoverageDisplay
            Drawn.
        """
        held = held_out(estimator, X, y)
        classifier, correct, score = held.classifier, held.correct, held.score
        policy, point = classifier.policy_, None
        if not isinstance(policy.threshold_, dict):  # one of each group has no point of its own
            accepted = policy.accept(score)
            point = (accepted.mean(), 1 - correct[accepted].mean()) if accepted.any() else None
        target = getattr(policy, "risk", None)
        name = type(classifier).__name__ if name is None else name
        options = {"operating_point": point, "target_risk": target, "name": name}
        return cls._computed(correct, score, options).plot(ax, **kwargs)

    @classmethod
    def from_predictions(
        cls, correct: ArrayLike, score: ArrayLike, *, name: str | None = None, ax: Any = None, **kwargs: Any
    ) -> RiskCoverageDisplay:
        """Draw the curve of a score.

        Parameters
        ----------
        correct : array-like of shape (n,)
            Whether each prediction is right.
        score : array-like of shape (n,)
            Confidence, larger is safer.
        name : str, default=None
            Label.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : RiskCoverageDisplay
            Drawn.
        """
        return cls._computed(correct, score, {"name": name}).plot(ax, **kwargs)

    @classmethod
    def _computed(cls, correct, score, options):
        coverage, risk, _ = risk_coverage_curve(correct, score)
        return cls(coverage, risk, aurc(correct, score), **options)
