"""Whether the error rate of the answers has risen above what was promised."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from abstain.monitoring.evidence import log_evidence
from abstain.monitoring.stream import accepted_mask, known_losses
from abstain.utils.html import html_text
from abstain.utils.validation import check_unit

_STATE = "answered_", "labelled_", "lost_", "highest_"


class RiskMonitor(BaseEstimator):
    """Alarm when the selective risk has risen above a number; look as often as you like.

    Parameters
    ----------
    risk : float, default=0.05
        The promise: largest share of errors among the answers, in (0, 1).
    alpha : float, default=0.05
        Chance of a false alarm, ever, while the promise is kept, in (0, 1).

    Attributes
    ----------
    alarm_ : bool
        Whether the evidence has ever reached 1 / ``alpha``. An alarm stays.
    evidence_ : float
        How many times likelier the labels are under a larger risk, now.
    answered_ : int
        Answers so far, with and without labels.
    labelled_ : int
        Answers with labels.
    lost_ : float
        Errors among them; the sum of their losses.
    risk_ : float
        ``lost_`` / ``labelled_``; NaN before the first label.
    highest_ : float
        Logarithm of the largest evidence so far.

    Notes
    -----
    The guarantee asks that labels are requested independently of whether the answer is right: all answers, or a random
    share of them. It holds at every look, under any stopping, and while the risk drifts as long as it stays below
    ``risk``. Errors beyond the threshold, among abstentions, do not count.

    References
    ----------
    `abstain.monitoring.log_evidence` names the test.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.monitoring import RiskMonitor
    >>> rng = np.random.default_rng(0)
    >>> monitor = RiskMonitor(0.05).update(np.ones(500, bool), rng.random(500) > 0.03)
    >>> monitor.alarm_
    False
    >>> monitor.update(np.ones(500, bool), rng.random(500) > 0.15).alarm_  # the world has changed
    True
    """

    answered_: int
    labelled_: int
    lost_: float
    highest_: float

    def __init__(self, risk: float = 0.05, *, alpha: float = 0.05) -> None:
        self.risk = risk
        self.alpha = alpha

    def update(self, accepted: ArrayLike, correct: ArrayLike | None = None, *, loss: ArrayLike | None = None) -> Self:
        """Take in decisions and their labels, in the order in which they came.

        Parameters
        ----------
        accepted : bool or array-like of shape (n,) of bool
            Whether each sample was answered.
        correct : bool or array-like of shape (n,), default=None
            Whether the answer was right, bool or 0/1; NaN where no label is known. Of samples that were not answered
            it is not looked at.
        loss : float or array-like of shape (n,), default=None
            Loss of each answer in [0, 1], instead of ``correct``; NaN where it is not known.

        Returns
        -------
        self : object
            Up to date.

        Raises
        ------
        ValueError
            If lengths differ, or entries are no booleans, or losses outside [0, 1]; nothing is taken in then.
        """
        risk, answered = check_unit(self.risk, "risk"), accepted_mask(accepted)
        check_unit(self.alpha, "alpha")
        losses = known_losses(correct, loss, answered.size) if answered.size else np.empty(0)
        losses = losses[answered & ~np.isnan(losses)]
        self._begin()
        lost = self.lost_ + np.cumsum(losses)
        seen = self.labelled_ + np.arange(1, losses.size + 1)
        self.highest_ = float(log_evidence(lost, seen, risk).max(initial=self.highest_))
        self.answered_ += int(answered.sum())
        self.labelled_ += losses.size
        self.lost_ += float(losses.sum())
        return self

    def merge(self, other: RiskMonitor) -> Self:
        """Take in what another monitor has seen, such as that of another server.

        Parameters
        ----------
        other : RiskMonitor
            With the same ``risk`` and ``alpha``, on other samples. It stays as it is.

        Returns
        -------
        self : object
            With the evidence of all labels together. An alarm of one of the two alone does not carry over: each of
            several monitors has a chance ``alpha`` of a false one.

        Raises
        ------
        ValueError
            If the two watch different promises.
        """
        if not isinstance(other, RiskMonitor) or (other.risk, other.alpha) != (self.risk, self.alpha):
            raise ValueError(f"merge needs a RiskMonitor of the same promise, {self!r}; got {other!r}.")
        self._begin()
        if hasattr(other, "labelled_"):
            self.answered_ += other.answered_
            self.labelled_ += other.labelled_
            self.lost_ += other.lost_
        self.highest_ = max(0.0, self._log_evidence())
        return self

    def state(self) -> dict:
        """Return what was seen, in plain numbers.

        Returns
        -------
        state : dict
            For JSON, and `from_state`.
        """
        self._begin()
        return {"risk": self.risk, "alpha": self.alpha, **{name: getattr(self, name) for name in _STATE}}

    @classmethod
    def from_state(cls, state: dict) -> RiskMonitor:
        """Return a monitor that goes on where another was.

        Parameters
        ----------
        state : dict
            From `state`.

        Returns
        -------
        monitor : RiskMonitor
            In that state.

        Raises
        ------
        ValueError
            If something is missing, or cannot be a state.
        """
        wanted = {"risk", "alpha", *_STATE}
        if set(state) != wanted:
            raise ValueError(f"state must hold {sorted(wanted)}; got {sorted(state)}.")
        monitor = cls(check_unit(state["risk"], "risk"), alpha=check_unit(state["alpha"], "alpha"))
        for name in _STATE:
            setattr(monitor, name, state[name])
        if not 0 <= monitor.lost_ <= monitor.labelled_ <= monitor.answered_ or not monitor.highest_ >= 0:
            raise ValueError(f"state has more errors than labels, or labels than answers, or no evidence: {state}.")
        return monitor

    @property
    def alarm_(self) -> bool:
        """Whether the evidence has ever reached 1 / ``alpha``."""
        return bool(self._seen("highest_") >= -np.log(self.alpha))

    @property
    def evidence_(self) -> float:
        """How many times likelier the labels are under a larger risk, now."""
        self._seen("labelled_")
        return float(np.exp(min(self._log_evidence(), 700.0)))

    @property
    def risk_(self) -> float:
        """Errors among the answers with labels."""
        return self.lost_ / self.labelled_ if self._seen("labelled_") else float("nan")

    def _log_evidence(self):
        return float(log_evidence(self.lost_, self.labelled_, self.risk))

    def _begin(self):
        if not hasattr(self, "labelled_"):
            self.answered_, self.labelled_ = 0, 0
            self.lost_, self.highest_ = 0.0, 0.0

    def _seen(self, name):
        if not hasattr(self, "labelled_"):
            raise NotFittedError("This RiskMonitor has seen nothing yet; call update first.")
        return getattr(self, name)

    def __str__(self):
        if not hasattr(self, "labelled_"):
            return f"{self!r}: nothing seen yet"
        risk = f"{self.risk_:.4f}" if self.labelled_ else "none"
        return (
            f"{'ALARM' if self.alarm_ else 'no alarm'}: risk {risk} in {self.labelled_} labels of {self.answered_} "
            f"answers, promised {self.risk:g}; evidence {self.evidence_:.3g}, alarm at {1 / self.alpha:g}"
        )

    def _repr_html_(self):
        return html_text(self)
