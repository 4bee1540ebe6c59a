"""A promise over time: the risk of the answers, and the evidence against it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from abstain.metrics.displays._shared import new_axes
from abstain.monitoring.evidence import log_evidence
from abstain.monitoring.stream import accepted_mask, known_losses
from abstain.utils.validation import check_unit


class RiskMonitorDisplay:
    """Evidence that the risk of the answers has risen, label by label, and where the alarm is.

    Parameters
    ----------
    evidence : ndarray of shape (m,)
        Logarithm of the evidence after each label.
    risk : ndarray of shape (m,)
        Share of errors so far.
    promised : float
        The promise.
    alpha : float
        Chance of a false alarm.

    Attributes
    ----------
    alarm_at_ : int or None
        Labels after which the alarm goes off.
    ax_, figure_ : matplotlib objects
        After `plot`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import numpy as np
    >>> from abstain.monitoring import RiskMonitorDisplay
    >>> correct = np.random.default_rng(0).random(400) > 0.2
    >>> RiskMonitorDisplay.from_predictions(np.ones(400, bool), correct, risk=0.05).alarm_at_ < 100
    True
    """

    def __init__(self, evidence: np.ndarray, risk: np.ndarray, *, promised: float, alpha: float) -> None:
        self.evidence = evidence
        self.risk = risk
        self.promised = promised
        self.alpha = alpha

    def plot(self, ax: Any = None, **kwargs: Any) -> RiskMonitorDisplay:
        """Draw the evidence on a logarithmic axis, with the alarm.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : RiskMonitorDisplay
            Itself.
        """
        ax, labels = new_axes(ax), np.arange(1, self.evidence.size + 1)
        shown = np.maximum(self.evidence / np.log(10), -3)  # what speaks for the promise is of no interest
        ax.plot(labels, shown, **({"color": "tab:blue", "label": "evidence that the risk has risen"} | kwargs))
        limit = -np.log10(self.alpha)
        ax.axhline(
            limit, color="tab:red", linestyle="--", linewidth=1.2, label=f"alarm (false with chance {self.alpha:g})"
        )
        beyond = np.flatnonzero(self.evidence >= -np.log(self.alpha))
        self.alarm_at_ = int(labels[beyond[0]]) if beyond.size else None
        said = "no alarm"
        if beyond.size:
            said = f"alarm after {self.alarm_at_} labels"
            ax.plot(self.alarm_at_, shown[beyond[0]], "o", color="tab:red")
        ticks = np.arange(-3, max(limit, shown.max(initial=0)) + 1).astype(int)
        step = max(len(ticks) // 8, 1)
        ax.set_yticks(ticks[::step], [f"$10^{{{tick}}}$" for tick in ticks[::step]])
        risk = f"{self.risk[-1]:.3f}" if self.risk.size else "unknown"
        ax.set(
            xlabel="Answers with a label", ylabel="Evidence", title=f"Promised {self.promised:g}, found {risk}: {said}"
        )
        ax.legend(loc="best")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_predictions(
        cls, accepted: ArrayLike, correct: ArrayLike | None = None, *, risk: float, alpha: float = 0.05,
        loss: ArrayLike | None = None, ax: Any = None, **kwargs: Any,
    ) -> RiskMonitorDisplay:  # fmt: skip
        """Draw the evidence of decisions in the order in which they came.

        Parameters
        ----------
        accepted : array-like of shape (n,) of bool
            Whether each sample was answered.
        correct : array-like of shape (n,), default=None
            Whether each answer was right; NaN where no label is known.
        risk : float
            The promise, in (0, 1).
        alpha : float, default=0.05
            Chance of a false alarm, in (0, 1).
        loss : array-like of shape (n,), default=None
            Losses in [0, 1], instead of ``correct``.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : RiskMonitorDisplay
            Drawn.
        """
        check_unit(risk, "risk")
        check_unit(alpha, "alpha")
        answered = accepted_mask(accepted)
        losses = known_losses(correct, loss, answered.size)
        losses = losses[answered & ~np.isnan(losses)]
        seen, lost = np.arange(1, losses.size + 1), np.cumsum(losses)
        return cls(log_evidence(lost, seen, risk), lost / seen, promised=risk, alpha=alpha).plot(ax, **kwargs)
