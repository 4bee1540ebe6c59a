"""The share of wrong answers among all samples below a number, on average."""

import numpy as np

from abstain.policies.base import Policy
from abstain.utils.validation import check_unit


class ConformalRisk(Policy):
    r"""Answer as much as possible while the share of samples with a wrong answer stays below a number, on average.

    Parameters
    ----------
    risk : float, default=0.1
        Largest expected loss of a sample, in (0, 1), where an abstention costs nothing.

    Attributes
    ----------
    threshold_ : float
        Accept scores at or above it; ``inf`` where ``n`` is below ``1 / risk - 1``.
    certificate_ : Certificate
        Counts, and ``bound``, the number that is met.

    Notes
    -----
    The smallest threshold :math:`\theta` with :math:`(n \hat R(\theta) + 1) / (n + 1) \le` ``risk`` is taken, with
    :math:`\hat R` the mean loss of all n samples, each raised to what it costs at any larger threshold. For 0/1 losses
    that is the k-th smallest of the thresholds from which on samples are answered rightly, or not at all, with
    k = ceil((n + 1) (1 - ``risk``)).

    The promise holds for data that are exchangeable with those of ``fit``, on average over them: a given set may break
    it. And it speaks of all samples, not of those that are answered; see `TargetRisk` for both.

    References
    ----------
    A. N. Angelopoulos, S. Bates, A. Fisch, L. Lei, T. Schuster, "Conformal Risk Control", ICLR 2024.

    Examples
    --------
    >>> from abstain import ConformalRisk
    >>> ConformalRisk(0.4).fit([5, 4, 3, 2, 1], [1, 1, 0, 1, 0]).threshold_
    1.5
    """

    def __init__(self, risk: float = 0.1) -> None:
        self.risk = risk

    def _choose(self, calibration):
        risk = check_unit(self.risk, "risk")
        promise = {"method": "conformal, on average", "target": risk}
        raised, n = calibration.worst(), calibration.n
        if not raised.score.size or 1.0 / (n + 1) > risk:
            return np.inf, promise
        regions = raised.regions()
        bounds = (np.cumsum(raised.events.change[regions.order])[regions.last] + 1.0) / (n + 1)
        met = np.flatnonzero(bounds <= risk * (1 + 1e-12))
        if not met.size:
            return np.inf, promise | {"bound": 1.0 / (n + 1)}
        return float(regions.threshold[met[-1]]), promise | {"bound": float(bounds[met[-1]])}
