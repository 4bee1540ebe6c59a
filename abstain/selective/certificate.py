"""What the data say of a threshold, and what is promised of it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Certificate:
    """What the data of ``fit`` say of the threshold, in integer counts.

    Parameters
    ----------
    n : int
        Samples the threshold was chosen on.
    accepted, errors : int
        How many of them it accepts, and how many of those are errors.
    method : str
        How the threshold was chosen.
    target : float, default=nan
        The number asked for.
    delta : float, default=nan
        Chance, over calibration sets, that the promise is broken. NaN where nothing is promised.
    bound : float, default=nan
        Upper bound on the selective risk (lower bound on the coverage for a coverage target).
    groups : dict, default=None
        Per group, ``(errors, accepted)``; the bound is that of the worst group.
    disjoint : bool, default=None
        Whether the data were disjoint from what the score was fitted on. None: arrays came without their history,
        or they share no more rows with it than samples of discrete data do by chance. What a frozen classifier was
        trained on is not known to it.
    """

    n: int
    accepted: int
    errors: int
    method: str
    target: float = float("nan")
    delta: float = float("nan")
    bound: float = float("nan")
    groups: dict | None = None
    disjoint: bool | None = None

    @property
    def coverage(self) -> float:
        """Share of the samples accepted."""
        return self.accepted / self.n

    @property
    def guaranteed(self) -> bool:
        """Whether a promise holds: a bound was met, on data not known to have been fitted on."""
        return bool(np.isfinite(self.bound)) and self.accepted > 0 and self.disjoint is not False

    def __str__(self):
        risk = f"{self.errors / self.accepted:.4f}" if self.accepted else "none"
        lines = [
            f"method      {self.method}",
            f"accepted    {self.accepted} of {self.n} (coverage {self.coverage:.3f})",
            f"errors      {self.errors} (selective risk {risk})",
        ]
        if np.isfinite(self.bound):
            lines.append(f"bound       {self.bound:.4f} at confidence {1 - self.delta:g} (target {self.target:g})")
        history = {None: "not known", True: "yes", False: "no: nothing is guaranteed"}[self.disjoint]
        lines.append(f"disjoint    {history}")
        return "\n".join(lines)
