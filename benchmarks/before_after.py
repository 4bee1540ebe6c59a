"""What rebuilding the seams of the library cost, and what it brought: benchmarks of two commits side by side.

    python benchmarks/before_after.py [commit]

Speed is measured anew: the same calls by processes of both commits in turn, as ratios of turns. Quality and guarantees,
which hang on no machine, are read from the tables that each commit keeps. The commit, by default the last one before
the rebuilding, has to be in the history of this clone.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from common import Report, mean_interval, quick

BEFORE = "d9b8b8c"
HERE = Path(__file__).resolve().parents[1]
TURNS = 5


def git(*words):
    return subprocess.run(["git", "-C", HERE, *words], check=True, capture_output=True, text=True).stdout


def calls(small):
    """Names, and functions of no argument, that both commits know."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression

    from abstain import AutoTrust, LinearProbe, RelativeMahalanobis, SelectiveClassifier, TargetRisk, TrustHead
    from abstain.losses import CrossEntropyLoss, SteepSlopeLoss
    from abstain.metrics import augrc, expected_calibration_error

    n, d = (2000, 32) if small else (50_000, 256)
    rng = np.random.default_rng(0)
    X, right = rng.normal(size=(n, d)).astype(np.float32), rng.random(n) < 0.8
    y = (X[:, :10] + rng.gumbel(size=(n, 10))).argmax(axis=1)
    clf = LogisticRegression(max_iter=50).fit(X[: n // 10], y[: n // 10])
    selective = SelectiveClassifier(FrozenEstimator(clf), policy=TargetRisk(0.4)).fit(X[n // 2 :], y[n // 2 :])
    distance, score, some = RelativeMahalanobis().fit(X, y), rng.random(20 * n), slice(n // 25)
    few = X[some, :16], y[some]
    return {
        "steep slope head: fit": lambda: TrustHead(SteepSlopeLoss(), random_state=0).fit(X, right),
        "network head: fit": lambda: TrustHead(
            CrossEntropyLoss(), hidden=(32,), random_state=0).fit(X[: n // 5], right[: n // 5]),
        "LinearProbe: fit": lambda: LinearProbe(1e-3).fit(X, y),
        "relative Mahalanobis: fit": lambda: RelativeMahalanobis().fit(X, y),
        "relative Mahalanobis: score": lambda: distance.score_samples(X),
        "SelectiveClassifier, frozen: fit": lambda: selective.fit(X, y),
        "SelectiveClassifier: decide": lambda: selective.decide(X),
        "AutoTrust, fast: fit": lambda: AutoTrust(LogisticRegression(), budget="fast", random_state=0).fit(*few),
        "AutoTrust: fit": lambda: AutoTrust(LogisticRegression(), random_state=0).fit(*few),
        "AUGRC": lambda: augrc(score < 0.7, score),
        "ECE": lambda: expected_calibration_error(score < 0.7, score),
    }  # fmt: skip


def times(small):
    """Seconds of each call, the better of two after one that loads what is needed."""
    warnings.simplefilter("ignore")
    found = {}
    for name, call in calls(small).items():
        took = []
        for _ in range(2 if "AutoTrust" in name or "head" in name else 3):
            started = time.perf_counter()
            call()
            took.append(time.perf_counter() - started)
        found[name] = min(took)
    return found


def speed(report, old, small):
    """Times of both commits in turn, each in a process of its own."""
    turns = []
    for _ in range(1 if small else TURNS):
        turn = []
        for root in (old, HERE):
            command = [sys.executable, __file__, "--times", *(["--quick"] if small else [])]
            run = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(root)}, check=True, capture_output=True)
            turn.append(json.loads(run.stdout))
        turns.append(turn)
    report(f"{f'seconds, medians of {len(turns)} turns':<34}{'before':>10}{'now':>10}{'now / before':>24}")
    for name in turns[0][0]:
        before, now = np.array([[side[name] for side in turn] for turn in turns]).T
        mean, half = mean_interval(now / before)
        report(f"{name:<34}{np.median(before):>10.3f}{np.median(now):>10.3f}{f'{mean:.2f} +- {half:.2f}':>24}")


def areas(text, methods):
    """Geometric mean over splits of each method's AURC over that of maximum probability, by case."""
    ratios = {}
    for key, row in json.loads(text).items():
        case = key.rsplit(" ", 1)[0]
        base = row["maximum probability"][0]
        ratios.setdefault(case, []).append([np.log(row[method][0] / base) for method in methods])
    return {case: np.exp(np.mean(rows, axis=0)) for case, rows in ratios.items()}


def quality(report, commit):
    methods = ("AutoTrust, fast", "AutoTrust")
    kept = "benchmarks/results/bench_quality.json"
    before, now = areas(git("show", f"{commit}:{kept}"), methods), areas((HERE / kept).read_text(), methods)
    report("AURC / maximum probability" + "".join(f"{f'{m}: before':>24}{'now':>8}" for m in methods))
    both = [case for case in before if case in now]
    for case in both:
        cells = (f"{b:>24.3f}{n:>8.3f}" for b, n in zip(before[case], now[case], strict=True))
        report(f"{case:<26}" + "".join(cells))
    means = [np.exp(np.mean(np.log([table[case] for case in both]), axis=0)) for table in (before, now)]
    report(f"{'geometric mean':<26}" + "".join(f"{b:>24.3f}{n:>8.3f}" for b, n in zip(*means, strict=True)))


def settings(text):
    """Mean certified coverage and share of broken promises of the default, by setting."""
    rows = [line for line in text.splitlines() if " / " in line[47:66]]
    return {line[:39].rstrip(): line[47:66].strip() for line in rows}


def guarantees(report, commit):
    kept = "benchmarks/results/bench_guarantee.txt"
    before, now = settings(git("show", f"{commit}:{kept}")), settings((HERE / kept).read_text())
    report(f"{'certified coverage / broken promises':<39}{'before':>20}{'now':>20}")
    for setting in [setting for setting in before if setting in now]:
        report(f"{setting:<39}{before[setting]:>20}{now[setting]:>20}")


def main():
    small = quick()
    if "--times" in sys.argv:
        print(json.dumps(times(small)))
        return
    commit = next((word for word in sys.argv[1:] if not word.startswith("--")), BEFORE)
    report = Report("before_after", small)
    report(f"before: {git('log', '-1', '--format=%h %s', commit).strip()}")
    report("")
    quality(report, commit)
    report("")
    guarantees(report, commit)
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "before"
        git("worktree", "add", "--detach", old, commit)
        try:
            report("")
            speed(report, old, small)
        finally:
            git("worktree", "remove", "--force", old)
    report.keep()


if __name__ == "__main__":
    main()
