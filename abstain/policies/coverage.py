"""A share of the samples to answer."""

import numpy as np
from scipy.stats import beta

from abstain.policies.base import Policy
from abstain.policies.candidates import candidates
from abstain.utils.validation import check_unit
from abstain.warnings import CoverageWarning, warn

# how much more than asked for may be answered because scores tie, before that is worth a word
_SURPLUS = 0.05


class TargetCoverage(Policy):
    """Accept a given share of the samples, the safest ones.

    Parameters
    ----------
    coverage : float, default=0.9
        Share to accept, in (0, 1].
    delta : float, default=None
        If given, new data are covered at least that much with probability 1 - delta over calibration sets.
        None takes the empirical quantile.

    Attributes
    ----------
    threshold_ : float
        Accept scores at or above it; ``-inf`` where everything is accepted.
    certificate_ : Certificate
        Counts on the data of ``fit``; with ``delta``, ``bound`` is the lower bound on the coverage.

    Warns
    -----
    CoverageWarning
        If ties make it accept many more samples than asked for.

    Notes
    -----
    The k largest scores are accepted, k = ceil(coverage n), and all that tie with the last of them. For continuous
    scores the coverage of new data is Beta(k, n + 1 - k) distributed; ``delta`` raises k until its delta-quantile meets
    the target.

    Examples
    --------
    >>> from abstain import TargetCoverage
    >>> TargetCoverage(0.5).fit([4, 3, 2, 1], [1, 1, 1, 0]).threshold_
    2.5
    """

    def __init__(self, coverage: float = 0.9, *, delta: float | None = None) -> None:
        self.coverage = coverage
        self.delta = delta

    def _choose(self, calibration):
        coverage = check_unit(self.coverage, "coverage", closed=True)
        if coverage == 0:
            raise ValueError("coverage must be positive; to abstain on everything use FixedThreshold(inf).")
        k = max(int(np.ceil(coverage * calibration.n - 1e-9)), 1)
        if self.delta is None:
            promise = {"method": "empirical quantile", "target": coverage}
        else:
            delta = check_unit(self.delta, "delta")
            k, bound = _raised(k, calibration.n, coverage, delta)
            promise = {"method": "coverage lower bound", "target": coverage, "delta": delta, "bound": bound}
        if not calibration.score.size:
            return np.inf, promise
        regions = candidates(calibration.score[:, -1], calibration.rounding)
        at = min(int(np.searchsorted(regions.accepted, k)), regions.last.size - 1)
        surplus = (regions.accepted[at] - k) / calibration.n
        if surplus > _SURPLUS:
            warn(
                f"scores tie, so that a coverage of {regions.accepted[at] / calibration.n:.3f} is the least that "
                f"reaches {k / calibration.n:.3f}. Use a score that tells samples apart, or a smaller coverage.",
                CoverageWarning,
            )
        return float(regions.threshold[at]), promise


def _raised(k, n, coverage, delta):
    """Number to accept so that new data are covered with confidence, and the bound on their coverage."""
    sizes = np.arange(k, n + 1)
    bounds = beta.ppf(delta, sizes, n + 1 - sizes)
    met = np.flatnonzero(bounds >= coverage)
    return (int(sizes[met[0]]), float(bounds[met[0]])) if met.size else (n + 1, 1.0)
