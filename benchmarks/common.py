"""What the benchmarks share: data, timing, and tables that say how they were made."""

import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
from scipy.stats import t as student

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("ABSTAIN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


class Report:
    """Lines that are printed as they come and kept at the end, unless the run is a quick one."""

    def __init__(self, name, quick):
        self.name, self.quick, self.lines = name, quick, []
        import numpy
        import scipy
        import sklearn

        settings = " (quick: small sizes, nothing is kept)" if quick else ""
        self(f"# {name}{settings}")
        self(
            f"python benchmarks/{name}.py; Python {platform.python_version()}, numpy {numpy.__version__}, "
            f"scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, {os.cpu_count()} cores"
        )
        self("")

    def __call__(self, line):
        self.lines.append(line)
        print(line, flush=True)

    def keep(self):
        if not self.quick:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{self.name}.txt").write_text("\n".join(self.lines) + "\n")


class Kept:
    """Results by key, in a JSON file beside the tables; a quick run, and `--fresh`, start with none.

    Parameters
    ----------
    name : str
        Name of the benchmark.
    quick : bool
        Whether nothing is read or written.
    """

    def __init__(self, name, quick):
        self.path, self.quick = RESULTS / f"{name}.json", quick
        fresh = quick or "--fresh" in sys.argv or not self.path.exists()
        self.results = {} if fresh else json.loads(self.path.read_text())

    def __contains__(self, key):
        return key in self.results

    def __iter__(self):
        return iter(self.results)

    def __getitem__(self, key):
        return self.results[key]

    def get(self, key):
        return self.results.get(key, {})

    def __setitem__(self, key, value):
        self.results[key] = value
        if self.quick:
            return
        RESULTS.mkdir(exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.results, indent=1, sort_keys=True))
        part.replace(self.path)
        print(f"done: {key}", file=sys.stderr, flush=True)


def mean_interval(values):
    """Mean, and half of its 95 % interval by Student's t."""
    values = np.asarray(values, dtype=float)
    if values.size < 2:
        return float(values.mean()), float("nan")
    half = student.ppf(0.975, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size)
    return float(values.mean()), float(half)


def quick():
    return "--quick" in sys.argv


def argument(name):
    """Value of ``--name=value``, or nothing."""
    return next((a.split("=", 1)[1] for a in sys.argv if a.startswith(f"--{name}=")), "")


def interleaved(functions, repeats):
    """Median seconds of each function, called in turn so that the machine's drift hits all alike."""
    times = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - started)
    return {name: float(np.median(values)) for name, values in times.items()}


def real_sets(*, limit=None):
    """Yield (name, X, y, training size) of the real data that are there."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    yield "digits", X, y, 500
    if (DATA / "tabular.npz").exists():
        tabular = np.load(DATA / "tabular.npz")
        for name, size in (("letter", 8000), ("satimage", 3000), ("spambase", 2000)):
            yield name, tabular[f"{name}_X"], tabular[f"{name}_y"], min(size, limit or size)
    if (DATA / "banking77_minilm.npz").exists():
        saved = np.load(DATA / "banking77_minilm.npz")
        X = np.concatenate([saved["train_features"], saved["test_features"]]).astype(np.float32)
        y = np.concatenate([saved["train_labels"], saved["test_labels"]])
        yield "banking77", X, y, min(6000, limit or 6000)
