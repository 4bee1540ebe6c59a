"""Errors and abstentions weighed by cost."""

import numpy as np

from abstain.policies.base import Policy
from abstain.utils.validation import check_unit


class RejectCost(Policy):
    """Chow's rule: abstain where an answer is expected to cost more than asking.

    Parameters
    ----------
    cost : float, default=0.1
        Cost of an abstention, in (0, 1), where an error costs 1 and a right answer 0.

    Attributes
    ----------
    threshold_ : float
        The threshold of smallest mean cost on the data of ``fit``; ``inf`` where abstaining always is cheapest.
    certificate_ : Certificate
        Counts on the data of ``fit``.

    Notes
    -----
    Minimising the mean cost over thresholds is accepting while the isotonic estimate of the expected loss at a score
    is at most ``cost``, so the score need not be a probability.

    References
    ----------
    C. K. Chow, "On Optimum Recognition Error and Reject Tradeoff", IEEE Trans. Inf. Theory 1970.

    Examples
    --------
    >>> from abstain import RejectCost
    >>> RejectCost(0.3).fit([4, 3, 2, 1], [1, 1, 0, 0]).threshold_
    2.5
    """

    def __init__(self, cost=0.1):
        self.cost = cost

    def _choose(self, calibration):
        cost = check_unit(self.cost, "cost")
        promise = {"method": "empirical cost", "target": cost}
        if not calibration.score.size:
            return np.inf, promise
        regions, events = calibration.regions(), calibration.events
        lost = np.cumsum(events.change[regions.order])[regions.last]
        accepted = np.cumsum(events.enters[regions.order])[regions.last]
        gain = np.concatenate([[0.0], cost * accepted - lost])  # against abstaining on everything
        best = int(np.flatnonzero(gain >= gain.max() - 1e-12)[-1])
        return np.inf if best == 0 else float(regions.threshold[best - 1]), promise
