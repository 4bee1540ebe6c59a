"""A threshold that somebody brings."""

from abstain.policies.base import Policy
from abstain.policies.betting import risk_bound
from abstain.utils.validation import check_threshold, check_unit


class FixedThreshold(Policy):
    """Accept every score at or above a number that you bring.

    Parameters
    ----------
    threshold : float, default=0.5
        The number. 0.5 means something only for a score that is a calibrated probability.
    delta : float, default=0.05
        One minus the confidence of the bound on the selective risk, in (0, 1).

    Attributes
    ----------
    threshold_ : float
        The same number.
    certificate_ : Certificate
        Counts on the data of ``fit``, and what they say of the risk: nothing was chosen on them, so that the bound is
        one test, without a search to pay for.

    Examples
    --------
    >>> from abstain import FixedThreshold
    >>> FixedThreshold(0.7).fit([0.9, 0.6], [1, 0]).accept([0.7, 0.5])
    array([ True, False])
    """

    def __init__(self, threshold: float = 0.5, *, delta: float = 0.05) -> None:
        self.threshold = threshold
        self.delta = delta

    def _choose(self, calibration):
        delta, threshold = check_unit(self.delta, "delta"), check_threshold(self.threshold)
        loss = calibration.in_force(threshold)
        promise = {"method": "fixed threshold", "delta": delta}
        if not loss.size:
            return threshold, promise
        return threshold, promise | {"bound": risk_bound(loss, calibration.graded, delta)}
