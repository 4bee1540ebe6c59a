"""Broken promises of certified thresholds under laws that are hard on them: 0/1 losses, graded losses, and clusters.

The score takes a few values, so that the risk of every threshold is known exactly. Whether a promise is broken is a
matter of the law, not of a test set. ``--only=`` takes the laws whose names hold these words, and ``--sets=`` so many
calibration sets; with one of them nothing is kept.
"""

import warnings
from typing import NamedTuple

import numpy as np
from common import Report, argument, quick

from abstain import TargetRisk
from abstain.warnings import AbstainWarning

RISK = DELTA = 0.1
MEAN_SIZE = 5  # rows a cluster


class Law(NamedTuple):
    """Values of the score from the safest down: the share of each, and the mean loss at it."""

    share: np.ndarray
    loss: np.ndarray


def even(loss):
    """A law whose values of the score are all as frequent."""
    return Law(np.full(len(loss), 1 / len(loss)), np.asarray(loss, dtype=float))


def laws():
    """Laws by name: kind ones, ties, risks at the target, and scores that mislead."""
    steps, many = np.linspace(0, 1, 10), np.linspace(0, 1, 50)
    halves = 0.5 ** np.arange(1, 9)
    rare = np.append(1 - halves[1:].sum(), halves[1:])
    return {
        "one value, just above": even([0.1001]),
        "one value, below": even([0.05]),
        "three values": Law(np.array([0.3, 0.3, 0.4]), np.array([0.02, 0.1, 0.4])),
        "three values, safest at the target": Law(np.array([0.3, 0.3, 0.4]), np.array([0.1001, 0.1001, 0.5])),
        "three values, safest bad": Law(np.array([0.1, 0.4, 0.5]), np.array([0.5, 0.02, 0.1])),
        "two values around the target": Law(np.array([0.5, 0.5]), np.array([0.09, 0.12])),
        "two values, safest just above": even([0.1001, 0.02]),
        "plateau just above the target": even(np.where(steps < 0.6, 0.1001, 0.5)),
        "plateau below, then above": even(np.where(steps < 0.5, 0.08, 0.14)),
        "safest scores bad": even(np.where(steps < 0.1, 0.5, np.where(steps < 0.6, 0.02, 0.5))),
        "slow rise": even(0.4 * steps),
        "useless score, just above": even(np.full(10, 0.1001)),
        "useless score, below": even(np.full(10, 0.07)),
        "a few bad at the top": even(np.where(steps < 0.1, 0.6, 0.3 * steps)),
        "steep": even(steps**3),
        "50 values, slow rise": even(0.4 * many),
        "50 values, steep": even(many**3),
        "50 values, just above throughout": even(np.full(50, 0.1001)),
        "50 values, below, then just above": even(np.where(many < 0.3, 0.02, 0.2)),
        "50 values, reversed": even(0.2 * (1 - many)),
        "50 values, risk climbs to the target at half": even(0.2001 * np.minimum(2 * many, 1)),
        "50 values, saw around the target": even(np.where(np.arange(50) % 2, 0.15, 0.0502)),
        "50 values, bad at an eighth": even(np.where(np.abs(many - 0.15) < 0.05, 0.6, 0.05)),
        "50 values, bad at a quarter": even(np.where(np.abs(many - 0.3) < 0.08, 0.6, 0.04)),
        "50 values, bad at the last": even(np.where(many > 0.9, 0.95, 0.01)),
        "50 values, no losses but at the last": even(np.where(many > 0.89, 0.9, 0.0)),
        "shares halve, safest just above": Law(rare, np.append(0.1001, np.full(7, 0.3))),
        "shares halve, rare values safest": Law(rare[::-1], 0.02 * np.arange(1.0, 9.0)),
        "shares halve, rare values bad": Law(rare[::-1], np.append(np.full(7, 0.5), 0.05)),
        "nine tenths at the target, a tenth safe": Law(np.array([0.1, 0.9]), np.array([0.01, 0.1102])),
        "certain losses in a tenth": Law(np.array([0.9, 0.1]), np.array([0.0001, 1.0])),
    }


def draw(law, kind, n, rng):
    """A calibration set: index of the value of the score, loss, and clusters or None."""
    value = rng.choice(len(law.share), size=n, p=law.share)
    if kind == "0/1":
        return value, (rng.random(n) < law.loss[value]).astype(float), None
    if kind == "graded":
        return value, rng.beta(2 * law.loss[value] + 1e-9, 2 * (1 - law.loss[value]) + 1e-9), None
    size = rng.integers(1, 2 * MEAN_SIZE, n)
    cluster = np.repeat(np.arange(n), size)[:n]
    luck = rng.random(n)[cluster]  # the rows of a cluster fail together
    return value, (luck < law.loss[value]).astype(float), cluster


def broken(law, kind, n, n_sets):
    """Share of calibration sets whose threshold has a risk above the target, and the mean coverage."""
    rng, wrong, coverage = np.random.default_rng(0), 0, 0.0
    accepted = np.cumsum(law.share)
    risk = np.cumsum(law.share * law.loss) / accepted
    level = -np.arange(len(law.share), dtype=float)
    for _ in range(n_sets):
        value, loss, cluster = draw(law, kind, n, rng)
        policy = TargetRisk(RISK, delta=DELTA)
        given = (1 - loss).astype(bool) if kind == "0/1" else None
        policy.fit(level[value], given, loss=None if kind == "0/1" else loss, clusters=cluster)
        reached = np.flatnonzero(level >= policy.threshold_)
        if reached.size:
            wrong += risk[reached[-1]] > RISK
            coverage += accepted[reached[-1]]
    return wrong / n_sets, coverage / n_sets


def main():
    """Every law, loss and size; one line a law."""
    small = quick()
    warnings.simplefilter("ignore", AbstainWarning)
    only, sets, sizes = argument("only"), argument("sets"), (30, 200)
    n_sets = int(sets) if sets else 2 if small else 1000
    report = Report("bench_promises", small or bool(only or sets))
    report(f"risk = {RISK}, delta = {DELTA}; {n_sets} calibration sets a cell")
    report("each cell: share of broken promises / mean coverage")
    report("")
    report(f"{'law':<46}{'losses':<10}" + "".join(f"{f'n = {n}':>16}" for n in sizes))
    worst = 0.0
    for name, law in ((name, law) for name, law in laws().items() if only in name):
        for kind in ("0/1", "graded", "clusters"):
            cells = [broken(law, kind, n, n_sets) for n in sizes]
            worst = max(worst, *(share for share, _ in cells))
            report(f"{name:<46}{kind:<10}" + "".join(f"{f'{share:.3f} / {mean:.2f}':>16}" for share, mean in cells))
    limit = DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / n_sets)
    report("")
    report(f"worst share of broken promises {worst:.3f}; delta + 3 standard errors is {limit:.3f}: {worst <= limit}")
    report.keep()


if __name__ == "__main__":
    main()
