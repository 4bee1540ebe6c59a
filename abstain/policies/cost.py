"""Errors and abstentions weighed by cost."""

import numpy as np

from abstain.policies.base import Policy
from abstain.utils.validation import check_number


class RejectCost(Policy):
    """Chow's rule: abstain where an answer is expected to cost more than asking.

    Parameters
    ----------
    cost : float, default=0.1
        Cost of an abstention, above 0 and below that of an error; a right answer costs nothing.
    error_cost : float, default=1.0
        Cost of an error, in the same unit.

    Attributes
    ----------
    threshold_ : float
        The threshold of smallest mean cost on the data of ``fit``; ``inf`` where abstaining always is cheapest.
    certificate_ : Certificate
        Counts on the data of ``fit``, and their ``mean_cost``, in the unit of the costs.

    Notes
    -----
    Minimising the mean cost over thresholds is accepting while the isotonic estimate of the expected loss at a score
    is at most ``cost / error_cost``, so the score need not be a probability.

    References
    ----------
    C. K. Chow, "On Optimum Recognition Error and Reject Tradeoff", IEEE Trans. Inf. Theory 1970.

    Examples
    --------
    >>> from abstain import RejectCost
    >>> policy = RejectCost(15, error_cost=50).fit([4, 3, 2, 1], [1, 1, 0, 0])
    >>> policy.threshold_, policy.certificate_.mean_cost
    (2.5, 7.5)
    """

    def __init__(self, cost: float = 0.1, *, error_cost: float = 1.0) -> None:
        self.cost = cost
        self.error_cost = error_cost

    def _spent(self, losses, n):
        return {"mean_cost": float((self.error_cost * losses.sum() + self.cost * (n - losses.size)) / n)}

    def _choose(self, calibration):
        check_number(self.error_cost, "error_cost", above=0)
        check_number(self.cost, "cost", above=0)
        worst = float(self.error_cost)
        if self.cost >= worst:
            raise ValueError(
                f"cost must lie in (0, {worst:g}), below error_cost, or abstaining never pays; got {self.cost!r}. Both "
                "are in one unit."
            )
        cost = self.cost / worst
        promise: dict = {"method": "empirical cost"}
        if not calibration.score.size:
            return np.inf, promise | {"mean_cost": float(self.cost)}
        regions, events = calibration.regions(), calibration.events
        lost = np.cumsum(events.change[regions.order])[regions.last]
        accepted = np.cumsum(events.enters[regions.order])[regions.last]
        gain = np.concatenate([[0.0], cost * accepted - lost])  # against abstaining on everything
        best = int(np.flatnonzero(gain >= gain.max() - 1e-12)[-1])
        promise["mean_cost"] = float(self.cost - worst * gain[best] / calibration.n)
        return np.inf if best == 0 else float(regions.threshold[best - 1]), promise
