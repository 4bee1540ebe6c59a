"""What the data say of a threshold, and what is promised of it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from abstain.utils.html import html_text


class GroupCount(NamedTuple):
    """What a threshold accepts in one group."""

    errors: float  # sum of losses among the accepted; errors, where losses are 0 and 1
    accepted: int


class Tally(NamedTuple):
    """What a threshold accepts in one group of some size, and the bound on its risk there."""

    errors: float
    accepted: int
    size: int
    bound: float


def by_group(tallies):
    """Fields of a certificate that are by group, from a tally for each; none without groups."""
    if not tallies:
        return {}
    return {
        "groups": {name: GroupCount(tally.errors, tally.accepted) for name, tally in tallies.items()},
        "group_sizes": {name: tally.size for name, tally in tallies.items()},
        "group_bounds": {name: tally.bound for name, tally in tallies.items()},
    }


@dataclass(frozen=True)
class Certificate:
    """What the data of ``fit`` say of the threshold.

    Parameters
    ----------
    n : int
        Samples the threshold was chosen on, with those that could not be scored.
    accepted : int
        How many of them it accepts.
    errors : int or float
        How many of those are errors; the sum of their losses, where those are graded.
    method : str
        How the threshold was chosen.
    target : float, default=nan
        The number asked for.
    delta : float, default=nan
        Chance, over calibration sets, that the promise is broken. NaN where nothing is promised, or on average only.
    bound : float, default=nan
        Upper bound on the selective risk, of the worst group; lower bound on the coverage for a coverage target.
        Without ``delta``, what holds on average, of all samples.
    groups : dict of label to GroupCount, default=None
        Errors and accepted by group.
    group_sizes : dict of label to int, default=None
        Samples of each group.
    group_bounds : dict of label to float, default=None
        Bound in each group; NaN where nothing is certified.
    clusters : int, default=None
        Number of clusters, where those are what is exchangeable; risk and bound are then those of means over clusters.
    unscored : int, default=0
        Samples without a score, which are abstained on.
    disjoint : bool, default=None
        Whether the data were disjoint from what the score was fitted on. None: not known. What a frozen classifier was
        trained on is not known to it.
    seen : int, default=0
        Samples that are equal to samples of ``fit``, if only by chance.
    compared : bool, default=True
        False where samples should have been compared with those of ``fit`` and could not be: nothing is guaranteed.
        Arrays that are given by hand come with the word of the caller.
    mean_cost : float, default=nan
        Cost of a sample on average, where answers were weighed by cost.
    """

    n: int
    accepted: int
    errors: float
    method: str
    target: float = float("nan")
    delta: float = float("nan")
    bound: float = float("nan")
    groups: dict | None = None
    group_sizes: dict | None = None
    group_bounds: dict | None = None
    clusters: int | None = None
    unscored: int = 0
    disjoint: bool | None = None
    seen: int = 0
    compared: bool = True
    mean_cost: float = float("nan")

    @property
    def coverage(self) -> float:
        """Share of the samples accepted."""
        return self.accepted / self.n

    @property
    def guaranteed(self) -> bool:
        """Whether a promise holds: a bound was met, on data not known to have been fitted on."""
        return bool(np.isfinite(self.bound)) and self.accepted > 0 and self.disjoint is not False and self.compared

    def __str__(self):
        risk = f"{self.errors / self.accepted:.4f}" if self.accepted else "none"
        lines = [
            f"method      {self.method}",
            f"accepted    {self.accepted} of {self.n} (coverage {self.coverage:.3f})",
            f"errors      {self.errors:g} (selective risk {risk})",
        ]
        if self.unscored:
            lines.append(f"unscored    {self.unscored} samples without a score are abstained on")
        if self.clusters is not None:
            lines.append(f"clusters    {self.clusters}")
        if np.isfinite(self.bound) and np.isnan(self.delta):
            lines.append(f"bound       {self.bound:.4f} on average, of all samples (target {self.target:g})")
        elif np.isfinite(self.bound):
            target = "" if np.isnan(self.target) else f" (target {self.target:g})"
            lines.append(f"bound       {self.bound:.4f} at confidence {1 - self.delta:g}{target}")
        for name, (errors, accepted) in (self.groups or {}).items():
            size, bound = (self.group_sizes or {})[name], (self.group_bounds or {})[name]
            held = f"bound {bound:.4f}" if np.isfinite(bound) else "not certified"
            lines.append(f"group       {name}: {errors:g} errors among {accepted} accepted of {size}, {held}")
        if np.isfinite(self.mean_cost):
            lines.append(f"mean cost   {self.mean_cost:.4g} a sample")
        lines.append(f"disjoint    {self._history()}")
        if not self.accepted and np.isfinite(self.target) and self.method != "check":
            lines.append(
                "promise     none: no threshold met the target on these samples. Ask for less, or give more of them"
            )
        if self.method.startswith("empirical"):
            lines.append("promise     none: no error rate is guaranteed, as TargetRisk(0.05) would guarantee one")
        return "\n".join(lines)

    def _repr_html_(self):
        return html_text(self)

    def _history(self):
        if not self.compared:
            return "could not be compared with the data of fit: nothing is guaranteed"
        if self.disjoint is None:
            return "not known"
        if not self.disjoint:
            count = f", {self.seen} samples were in fit" if self.seen else ""
            return f"no{count}: nothing is guaranteed"
        return f"yes ({self.seen} samples are equal to some of fit, as chance explains)" if self.seen else "yes"
