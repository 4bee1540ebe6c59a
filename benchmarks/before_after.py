"""What rebuilding the seams of the library cost, and what it brought: benchmarks of two commits side by side.

    python benchmarks/before_after.py [commit]

Speed is measured anew, of both commits in turn on this machine. Quality and guarantees, which hang on no machine, are
read from the tables that each commit keeps. The commit, by default the last one before the rebuilding, has to be in
the history of this clone.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import Report, quick

BEFORE = "d9b8b8c"
HERE = Path(__file__).resolve().parents[1]
SPEED = ("bench_speed", "bench_difficulty")


def git(*words):
    return subprocess.run(["git", "-C", HERE, *words], check=True, capture_output=True, text=True).stdout


def speed(report, root, small):
    """Run the benchmarks of speed of one commit; its tables stay in its own folder."""
    for name in SPEED:
        command = [sys.executable, f"benchmarks/{name}.py", *(["--quick"] if small else [])]
        run = subprocess.run(
            command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, check=True, capture_output=True, text=True
        )
        for line in run.stdout.splitlines()[3:]:
            report(f"    {line}")


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
            for name, root in (("before", old), ("now", HERE)):
                report("")
                report(f"speed {name}:")
                speed(report, root, small)
        finally:
            git("worktree", "remove", "--force", old)
    report.keep()


if __name__ == "__main__":
    main()
