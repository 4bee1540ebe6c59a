"""Policies: from held-out scores and correctness to a threshold, and from a score to a verdict. Arrays only."""

from numbers import Real

import numpy as np
from scipy.stats import beta
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from abstain.selective import certify
from abstain.selective.certificate import Certificate
from abstain.selective.certify import upper_bound
from abstain.utils.validation import check_choice, check_score_correct, check_unit, check_vector
from abstain.warnings import UncertifiedWarning, warn

_PROCEDURES = {"fst": certify.fixed_sequence, "sgr": certify.sgr, "bonferroni": certify.bonferroni}


class Policy(BaseEstimator):
    """Base of the policies. A subclass writes ``_choose(score, correct, groups)``.

    It returns the threshold and the fields of the certificate that it knows.
    """

    _holds_groups = False

    def fit(self, score, correct, *, groups=None, disjoint=None):
        """Choose the threshold on held-out data.

        Parameters
        ----------
        score : array-like of shape (n,)
            Confidence, larger is safer.
        correct : array-like of shape (n,)
            Whether each prediction was right (bool or 0/1).
        groups : array-like of shape (n,), default=None
            Group of each sample; see `TargetRisk`.
        disjoint : bool, default=None
            Whether the score was fitted on other data than these; goes into the certificate.

        Returns
        -------
        self : object
            With ``threshold_`` and ``certificate_``.

        Raises
        ------
        ValueError
            If the arrays are empty, differ in length, or hold NaN, infinities or other values than 0 and 1.
        """
        score, correct = check_score_correct(score, correct)
        if groups is not None and not self._holds_groups:
            raise ValueError(
                f"groups is for TargetRisk; {type(self).__name__} makes no promise that could hold in each."
            )
        threshold, known = self._choose(score, correct, _check_groups(groups, score.size))
        accepted = score >= threshold
        self.threshold_ = float(threshold)
        self.certificate_ = Certificate(
            n=score.size,
            accepted=int(accepted.sum()),
            errors=int((accepted & ~correct).sum()),
            disjoint=disjoint,
            **known,
        )
        return self

    def accept(self, score):
        """Say which scores are safe enough.

        Parameters
        ----------
        score : array-like of shape (n,)
            Confidence, larger is safer.

        Returns
        -------
        accept : ndarray of shape (n,) of bool
            True where ``score >= threshold_``; tied scores share a verdict.
        """
        check_is_fitted(self, "threshold_")
        return check_vector(score, "score") >= self.threshold_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.target_tags.required = True
        return tags


def _check_groups(groups, n):
    if groups is None:
        return None
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise ValueError(f"groups must have one entry a sample, shape ({n},); got shape {groups.shape}.")
    try:
        np.unique(groups)
    except TypeError as error:
        raise ValueError(f"groups must be labels of one kind, without missing values ({error}).") from error
    return groups


class FixedThreshold(Policy):
    """Accept every score at or above a number that you bring.

    Parameters
    ----------
    threshold : float, default=0.5
        The number. 0.5 means something only for a score that is a calibrated probability.

    Attributes
    ----------
    threshold_ : float
        The same number.
    certificate_ : Certificate
        Counts on the data of ``fit``.

    Examples
    --------
    >>> from abstain import FixedThreshold
    >>> FixedThreshold(0.7).fit([0.9, 0.6], [1, 0]).accept([0.7, 0.5])
    array([ True, False])
    """

    def __init__(self, threshold=0.5):
        self.threshold = threshold

    def _choose(self, score, correct, groups):
        if not isinstance(self.threshold, Real) or np.isnan(float(self.threshold)):
            raise ValueError(f"threshold must be a number; got {self.threshold!r}.")
        return self.threshold, {"method": "fixed threshold"}


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
        Accept scores at or above it; ``-inf`` where only accepting everything keeps the promise.
    certificate_ : Certificate
        Counts on the data of ``fit``; with ``delta``, ``bound`` is the lower bound on the coverage.

    Notes
    -----
    The threshold is the k-th largest score, k = ceil(coverage n): exact up to ties. For continuous scores the
    coverage of new data is Beta(k, n + 1 - k) distributed; ``delta`` raises k until its delta-quantile meets the
    target.

    Examples
    --------
    >>> from abstain import TargetCoverage
    >>> TargetCoverage(0.5).fit([4, 3, 2, 1], [1, 1, 1, 0]).threshold_
    3.0
    """

    def __init__(self, coverage=0.9, *, delta=None):
        self.coverage = coverage
        self.delta = delta

    def _choose(self, score, correct, groups):
        coverage = check_unit(self.coverage, "coverage", closed=True)
        if coverage == 0:
            raise ValueError("coverage must be positive; to abstain on everything use FixedThreshold(inf).")
        n = score.size
        k = max(int(np.ceil(coverage * n - 1e-9)), 1)
        if self.delta is None:
            return np.partition(score, n - k)[n - k], {"method": "empirical quantile", "target": coverage}
        delta = check_unit(self.delta, "delta")
        sizes = np.arange(k, n + 1)
        bounds = beta.ppf(delta, sizes, n + 1 - sizes)
        met = np.flatnonzero(bounds >= coverage)
        promise = {"method": "coverage lower bound", "target": coverage, "delta": delta}
        if not met.size:
            return -np.inf, promise | {"bound": 1.0}
        k = int(sizes[met[0]])
        return np.partition(score, n - k)[n - k], promise | {"bound": float(bounds[met[0]])}


class TargetRisk(Policy):
    r"""Answer as much as possible while the error rate of the answers stays below a number, with a guarantee.

    Parameters
    ----------
    risk : float, default=0.05
        Largest selective risk wanted, in (0, 1).
    delta : float, default=0.05
        Allowed chance, over calibration sets, that the true risk exceeds it, in (0, 1).
    method : {"fst", "sgr", "bonferroni"}, default="fst"
        How many thresholds are tested without losing the guarantee: fixed-sequence testing from several starts
        with levels handed on, the binary search of Geifman and El-Yaniv, or a Bonferroni grid. All use exact
        Clopper-Pearson bounds on integer counts. ``"fst"`` certifies most on average in the benchmark of this project.

    Attributes
    ----------
    threshold_ : float
        Accept scores at or above it; ``inf``, with a warning, where nothing can be certified.
    certificate_ : Certificate
        Errors, accepted, bound, delta and method.

    Notes
    -----
    P(risk of the accepted > ``risk``) <= ``delta`` needs calibration data that are independent draws of what comes
    later and that neither the classifier nor the score was fitted on. Nothing is promised under shift, nor for a
    threshold chosen inside ``fit`` of a classifier.

    With ``groups`` in ``fit`` the bound holds in every group at once: a threshold passes only if it passes in each
    (an intersection-union test, so no level is lost to a correction). A group that is too small to be certified
    makes everything uncertifiable; pool it.

    References
    ----------
    Y. Geifman, R. El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.

    A. N. Angelopoulos et al., "Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control", 2021.

    B. L. Wiens, A. Dmitrienko, "The Fallback Procedure for Evaluating a Single Family of Hypotheses", J. Biopharm.
    Stat. 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain import TargetRisk
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(2000)
    >>> policy = TargetRisk(0.05, delta=0.1).fit(score, rng.random(2000) < 0.7 + 0.3 * score)
    >>> policy.certificate_.bound <= 0.05
    True
    """

    _holds_groups = True

    def __init__(self, risk=0.05, *, delta=0.05, method="fst"):
        self.risk = risk
        self.delta = delta
        self.method = method

    def _choose(self, score, correct, groups):
        risk, delta = check_unit(self.risk, "risk"), check_unit(self.delta, "delta")
        procedure = _PROCEDURES[check_choice(self.method, "method", _PROCEDURES)]
        promise = {"method": self.method, "target": risk, "delta": delta}
        table = certify.candidates(score, correct, groups)
        choice = procedure(table, risk, delta)
        if choice is None:
            self._warn(procedure, table, risk, delta, groups)
            return np.inf, promise
        failed, tested = table.failed[choice.position], table.tested[choice.position]
        promise["bound"] = float(upper_bound(failed, tested, choice.level).max())
        if groups is not None:
            counts = zip(table.errors[choice.position].tolist(), table.accepted[choice.position].tolist(), strict=True)
            promise["groups"] = dict(zip(np.unique(groups).tolist(), counts, strict=True))
        return table.threshold[choice.position], promise

    @staticmethod
    def _warn(procedure, table, risk, delta, groups):
        reachable = certify.reachable_risk(procedure, table, risk, delta)
        least = certify.smallest_sample(risk, delta)
        where = "" if groups is None else " in every group"
        warn(
            f"no threshold certifies a selective risk of {risk:g}{where} at delta={delta:g}: the policy abstains on "
            f"everything. The smallest risk reachable with these {int(table.accepted[-1].sum())} samples is about "
            f"{reachable:.3g}; at least {least} accepted samples{where} without an error would be needed for {risk:g}. "
            "Give more calibration data, or a larger risk or delta.",
            UncertifiedWarning,
        )


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
    Minimising the mean cost over thresholds is accepting while the isotonic estimate of P(error | score) is at most
    ``cost``, so the score need not be a probability.

    References
    ----------
    C. K. Chow, "On Optimum Recognition Error and Reject Tradeoff", IEEE Trans. Inf. Theory 1970.

    Examples
    --------
    >>> from abstain import RejectCost
    >>> RejectCost(0.3).fit([4, 3, 2, 1], [1, 1, 0, 0]).threshold_
    3.0
    """

    def __init__(self, cost=0.1):
        self.cost = cost

    def _choose(self, score, correct, groups):
        cost = check_unit(self.cost, "cost")
        table = certify.candidates(score, correct)
        accepted, errors = table.accepted[:, 0], table.errors[:, 0]
        gain = np.concatenate([[0.0], cost * accepted - errors])  # against abstaining on everything
        best = int(np.flatnonzero(gain >= gain.max() - 1e-12)[-1])
        threshold = np.inf if best == 0 else table.threshold[best - 1]
        return threshold, {"method": "empirical cost", "target": cost}
