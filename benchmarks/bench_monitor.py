"""RiskMonitor: false alarms, and labels until an alarm, beside MAPIE's RiskMonitoring on the same streams.

The promise is a risk of 0.05, alpha 0.05, and streams have 10,000 labelled answers. Delays are medians over streams;
for MAPIE, with the same threshold, looked at every 10 labels (it computes its history anew), up to 3,000 labels; its
column is left out where it is not there. The last lines are failures of the light that needs no labels: a risk that
has doubled while the scores have not moved, and scores that have moved while the risk has not.
"""

import importlib.util
import time
import warnings

import numpy as np
from common import Report, mean_interval, quick

from abstain import RiskMonitor, WarningLight
from abstain.monitoring import log_evidence

RISK, ALPHA = 0.05, 0.05


def first(beyond):
    """Labels until the first alarm of every stream; infinite for none."""
    return np.where(beyond.any(axis=1), beyond.argmax(axis=1) + 1.0, np.inf)


def ours(wrong):
    evidence = log_evidence(np.cumsum(wrong, axis=1), np.arange(1, wrong.shape[1] + 1), RISK)
    return first(evidence >= -np.log(ALPHA))


def mapie(wrong, step=10, most=3000):
    from mapie.exchangeability_testing import RiskMonitoring

    found = []
    for stream in wrong[:, :most]:
        monitor = RiskMonitoring("accuracy", test_level=ALPHA, threshold=RISK, warn=False)
        monitor.update(np.ones(stream.size, dtype=int), 1 - stream.astype(int))
        beyond = np.flatnonzero(monitor.online_risk_lower_bound_sequence_history > RISK)
        found.append(step * np.ceil((beyond[0] + 1) / step) if beyond.size else np.inf)
    return np.array(found)


def main():
    small = quick()
    report, rng = Report("bench_monitor", small), np.random.default_rng(0)
    n_streams, length = (100, 2000) if small else (1000, 10_000)
    peer = importlib.util.find_spec("mapie") is not None
    at = np.isfinite(ours(rng.random((n_streams, length)) < RISK))
    share, half = mean_interval(at)
    report(f"risk exactly {RISK}: false alarms in {share:.3f} ± {half:.3f} of {n_streams} streams of {length} labels")
    for factor in (1.5, 2, 3, 4):
        wrong = rng.random((n_streams, length)) < factor * RISK
        line = f"risk {factor:g} times as large: median delay {np.median(ours(wrong)):.0f} labels"
        if peer:
            some = wrong[: 5 if small else 40]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = np.median(mapie(some))
            mine = np.median(ours(some))
            line += f"; on {len(some)} of them {mine:.0f}, MAPIE {theirs:.0f} (ratio {mine / theirs:.2f})"
        report(line)
    seconds = {}
    for seen in (1000, 10_000_000):
        monitor = RiskMonitor(RISK).update(np.ones(seen, bool), np.ones(seen, bool))
        started = time.perf_counter()
        for _ in range(200):
            monitor.update(True, True)
        seconds[seen] = (time.perf_counter() - started) / 200
    few, many = (1e6 * seconds[seen] for seen in sorted(seconds))
    report(f"one more label: {few:.0f} us after 1,000, {many:.0f} us after 10,000,000")
    report("")
    n, lit = 300, {"nothing changed": 0, "risk doubled, scores as ever": 0, "scores moved, risk as ever": 0, "both": 0}
    for _ in range(n):
        light, window = WarningLight(0.8).set_reference(rng.beta(5, 1.2, 1000)), rng.beta(5, 1.2, 500)
        lit["nothing changed"] += light.check(window).lit
        lit["risk doubled, scores as ever"] += light.check(rng.beta(5, 1.2, 500)).lit
        lit["scores moved, risk as ever"] += light.check(rng.beta(5, 1.6, 500)).lit
        lit["both"] += light.check(rng.beta(4, 1.8, 500)).lit
    for name, count in lit.items():
        report(f"warning light, windows of 500, {name + ':':<34}lit in {count / n:.3f}")
    report.keep()


if __name__ == "__main__":
    main()
