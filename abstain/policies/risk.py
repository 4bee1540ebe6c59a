"""The error rate of the answers below a number, with a guarantee."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from abstain.policies import sequences
from abstain.policies.base import Policy
from abstain.policies.betting import Betting, ClusterBetting
from abstain.policies.binomial import Binomial
from abstain.policies.certificate import Tally, by_group
from abstain.utils.validation import check_choice, check_groups, check_unit
from abstain.warnings import UncertifiedWarning, warn

# regions among which one threshold for many groups is sought
_MOST = 512
_SEARCHES = {"fst": sequences.fixed_sequence, "sgr": sequences.sgr, "bonferroni": sequences.bonferroni}


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
        with levels handed on, the binary search of Geifman and El-Yaniv, or a Bonferroni grid. ``"fst"`` certifies most
        on average in the benchmark of this project.
    groupwise : bool, default=False
        Whether each group in ``groups`` gets a threshold of its own, at ``delta`` over their number. False looks for
        one threshold that passes in every group.

    Attributes
    ----------
    threshold_ : float or dict of label to float
        Accept scores at or above it; ``inf``, with a warning, where nothing can be certified. One for each group, if
        ``groupwise``.
    certificate_ : Certificate
        Errors, accepted, bound, delta and method, and the same by group.

    Notes
    -----
    P(risk of the accepted > ``risk``) <= ``delta`` needs calibration data that are independent draws of what comes
    later and that neither the classifier nor the score was fitted on. Nothing is promised under shift, nor for a
    threshold chosen inside ``fit`` of a classifier.

    Errors of independent samples are tested by exact binomial tails. Graded losses, and samples that come in
    ``clusters``, are tested by betting on a bounded mean: with clusters the promise is
    :math:`E[\sum (\mathrm{loss} - r)\,\mathrm{accepted}] \le 0`, the sum over the samples of a cluster divided by their
    number, so that a cluster counts once, whatever its size.

    With ``groups`` the bound holds in every group at once. One threshold passes only if it passes in each, so that a
    group that is too small, or too hard, makes everything uncertifiable; ``groupwise=True`` pays for a threshold in
    each group instead, and abstains in the groups that cannot be certified.

    References
    ----------
    Y. Geifman, R. El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.

    A. N. Angelopoulos et al., "Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control", 2021.

    B. L. Wiens, A. Dmitrienko, "The Fallback Procedure for Evaluating a Single Family of Hypotheses", J. Biopharm.
    Stat. 2005.

    I. Waudby-Smith, A. Ramdas, "Estimating Means of Bounded Random Variables by Betting", J. R. Stat. Soc. B 2024.

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
    _holds_clusters = True

    def __init__(
        self, risk: float = 0.05, *, delta: float = 0.05, method: str = "fst", groupwise: bool = False
    ) -> None:
        self.risk = risk
        self.delta = delta
        self.method = method
        self.groupwise = groupwise

    def _choose(self, calibration):
        risk, delta = check_unit(self.risk, "risk"), check_unit(self.delta, "delta")
        search = _SEARCHES[check_choice(self.method, "method", _SEARCHES)]
        promise = {"method": self.method, "target": risk, "delta": delta}
        if not self.groupwise:
            threshold, known = self._one_threshold(calibration, search, risk, delta)
            return threshold, promise | known
        if calibration.groups is None:
            raise ValueError("groupwise=True needs groups=, the group of each sample.")
        thresholds, counts, failing = {}, {}, {}
        members = _members(calibration.groups)
        share = delta / len(members)
        for name, rows in members.items():
            part = calibration.among(rows)
            regions = part.regions()
            test = _test(part, regions, None)
            choice = search(test, risk, share)
            if choice is None:
                failing[name] = test
            thresholds[name] = np.inf if choice is None else float(regions.threshold[choice.position])
            counts[name] = _count(test, choice)
        if failing:
            largest = max(failing, key=lambda name: int(failing[name].size[-1]))
            self._warn(search, failing[largest], risk, share, {largest: failing[largest]}, others=len(failing) - 1)
        bounds = [count.bound for count in counts.values() if count.accepted]
        return thresholds, promise | {"bound": max(bounds, default=np.nan)} | by_group(counts)

    def _one_threshold(self, calibration, search, risk, delta):
        """One threshold for all samples, and what is known of it."""
        if not calibration.score.size:
            self._warn(None, None, risk, delta, {})
            return np.inf, {}
        regions = calibration.regions()
        if calibration.groups is None:
            tests, test = {}, _test(calibration, regions, None)
        else:
            regions = regions.thinned(_MOST)
            members = _members(calibration.groups[calibration.events.row[regions.order]])
            tests = {name: _test(calibration, regions, ranks) for name, ranks in members.items()}
            test = sequences.Together(list(tests.values()))
        choice = search(test, risk, delta)
        counts = {name: _count(part, choice) for name, part in tests.items()}
        if choice is None:
            self._warn(search, test, risk, delta, tests)
            return np.inf, by_group(counts)
        bound = {"bound": float(test.bound(choice.position, choice.level))}
        return float(regions.threshold[choice.position]), bound | by_group(counts)

    def _risk_target(self):
        return float(self.certificate_.target)

    def thresholds(self, n: int, groups: ArrayLike | None = None) -> float | np.ndarray:
        """Return the threshold for each of some samples.

        Parameters
        ----------
        n : int
            Number of samples.
        groups : array-like of shape (n,), default=None
            Group of each sample, where each has a threshold of its own.

        Returns
        -------
        threshold : float or ndarray of shape (n,)
            One for all, or one for each sample.
        """
        threshold = super().thresholds(n, groups)
        if not isinstance(threshold, dict):
            return threshold
        if groups is None:
            raise ValueError("groups= is needed: each group has a threshold of its own.")
        groups = check_groups(groups, n)
        names, codes = np.unique(groups, return_inverse=True)
        unknown = [name for name in names.tolist() if name not in threshold]
        if unknown:
            raise ValueError(
                f"groups holds {unknown[:3]}, for which there is no threshold; known are {list(threshold)[:5]}."
            )
        return np.array([threshold[name] for name in names.tolist()])[codes]

    @staticmethod
    def _warn(search, test, risk, delta, tests, others=None):
        """Say what could not be certified; of groups that stand alone the largest, and how many others there are."""
        alone = others is not None
        if test is None:
            warn("no sample has a score, so that nothing can be certified: all are abstained on.", UncertifiedWarning)
            return
        reachable, least = sequences.reachable_risk(search, test, risk, delta), test.smallest(risk, delta)
        everything = f"abstains on {'that group' if alone else 'everything'}"
        where = " in every group" if tests and not alone else ""
        who = ""
        if tests:
            worst = max(tests, key=lambda name: sequences.reachable_risk(search, tests[name], risk, delta))
            who = f" The group that fails is {worst!r}, with {int(tests[worst].size[-1])} samples."
            who += f" So do {others} other groups, none of them larger." if others else ""
        warn(
            f"no threshold certifies a selective risk of {risk:g}{where} at delta={delta:g}: the policy {everything}."
            f"{who} The smallest risk reachable with these {int(test.size[-1])} samples is about {reachable:.3g}; at "
            f"least {least} accepted samples{where} without an error would be needed for {risk:g}. Give more "
            f"calibration data, a larger risk or delta{', or use groupwise=True' if tests and not alone else ''}.",
            UncertifiedWarning,
        )


def _test(calibration, regions, ranks):
    """The test for what is calibrated on, of all rows or of those at some ranks."""
    if calibration.clusters is not None:
        return ClusterBetting(regions, calibration.events, ranks, calibration.clusters)
    kind = Betting if calibration.graded else Binomial
    return kind(regions, calibration.events, ranks)


def _members(groups):
    """Rows of each group, in order, by its name."""
    names, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(sizes)[:-1])
    return dict(zip(names.tolist(), rows, strict=True))


def _count(test, choice):
    """What a choice accepts of the samples of a test."""
    size = int(test.accepted[-1])
    if choice is None:
        return Tally(0, 0, size, np.nan)
    lost, accepted = float(test.lost[choice.position]), int(test.accepted[choice.position])
    return Tally(int(lost) if lost.is_integer() else lost, accepted, size, float(test.bound(*choice)))
