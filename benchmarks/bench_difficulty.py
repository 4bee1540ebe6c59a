"""Speed and memory of relative Mahalanobis distances and of the linear probe, as ratios to floors and peers.

Both sides of a ratio are called in turn in one process; medians. The features have a spectrum of condition 1e6 and a
mean far from 0, as features after an activation do. Peers that are not installed leave their rows out.
"""

import functools
import importlib.util
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from bench_speed import line
from common import Report, interleaved, quick
from joblib import Parallel, delayed
from scipy.special import log_softmax
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from abstain import LinearProbe, RelativeMahalanobis


def features(n, d, k, spread=1.0, seed=0):
    """Rows of a power-law spectrum with class means and an offset, float32."""
    rng = np.random.default_rng(seed)
    scale = (np.arange(1, d + 1, dtype=np.float32) ** -1.0) * 1e0
    scale = np.maximum(scale / scale[0], 1e-3)
    y = rng.integers(0, k, n)
    means = rng.normal(size=(k, d)).astype(np.float32) * scale * spread
    X = rng.normal(size=(n, d)).astype(np.float32) * scale
    X += means[y]
    X += 1.5
    return X, y


def pytorch_ood(X, y):
    """The peer's fit and score, or nothing."""
    if not (importlib.util.find_spec("pytorch_ood") and importlib.util.find_spec("torch")):
        return None
    import torch
    from pytorch_ood.detector import RMD

    z, labels = torch.from_numpy(X), torch.from_numpy(y)

    def fit():
        detector = RMD(None)
        detector.fit_features(z, labels)
        return detector

    def score(detector, rows):
        return detector.predict_features(torch.from_numpy(rows))

    return fit, score


def scoring(report, n, d, k, peer_rows):
    X, y = features(n, d, k)
    scorer = RelativeMahalanobis().fit(X, y)
    basis, means, *_ = scorer._solve()
    r = basis.shape[1]
    left, inner = np.ones((4096, d), dtype=np.float32), np.ones((4096, r), dtype=np.float32)
    right, last = np.ones((d, r), dtype=np.float32), np.ones((r, len(means)), dtype=np.float32)
    whiten = np.linalg.inv(np.linalg.cholesky(scorer.statistics_.total / n + 1e-9 * np.eye(d))).T.astype(np.float32)
    centres = np.ones((d, k), dtype=np.float32)

    def two_whitenings():
        for i in range(0, n, 4096):
            block = X[i : i + 4096]
            ((block @ whiten) @ centres).min(axis=1) - np.square(block @ whiten).sum(axis=1)

    functions = {
        "ours": lambda: scorer.difficulty(X),
        "matmul": lambda: [(left @ right, inner @ last) for _ in range(n // 4096)],
        "two": two_whitenings,
    }
    if importlib.util.find_spec("faiss"):
        import faiss

        white = np.ascontiguousarray(
            ((scorer.statistics_.mean + scorer.statistics_.offsets) @ whiten), dtype=np.float32
        )
        index = faiss.IndexFlatL2(d)
        index.add(white)
        functions["faiss"] = lambda: index.search(np.ascontiguousarray(X @ whiten), 1)
    times = interleaved(functions, 3)
    name = f"RMD score ({n} x {d}, {k} classes)"
    rate = f"{n / times['ours']:,.0f} rows/s"
    if k >= 100:
        line(report, f"{name}: share of matmul peak", times["matmul"] * n / (n // 4096 * 4096) / times["ours"], 0.85,
             rate, at_least=True)  # fmt: skip
        if "faiss" in times:
            line(report, f"{name}: faiss on whitened / ours", times["faiss"] / times["ours"], 1.4, "", at_least=True)
        found = pytorch_ood(X[:peer_rows], y[:peer_rows])
        if found is not None:
            fit, score = found
            detector, few = fit(), X[:256]
            started = time.perf_counter()
            score(detector, few)
            peer = (time.perf_counter() - started) / len(few)
            line(report, f"{name}: pytorch-ood / ours", peer / (times["ours"] / n), 200, "", at_least=True)
    else:
        line(report, f"{name}: two whitenings / ours", times["two"] / times["ours"], 8, rate, at_least=True)


def fitting(report, n, d, k):
    X, y = features(n, d, k)
    one = X[:1]
    functions = {
        "f64": lambda: RelativeMahalanobis().fit(X, y),
        "f32": lambda: RelativeMahalanobis(precision="float32").fit(X, y),
        "f64, first score": lambda: RelativeMahalanobis().fit(X, y).difficulty(one),
        "f32, first score": lambda: RelativeMahalanobis(precision="float32").fit(X, y).difficulty(one),
    }
    found = pytorch_ood(X, y)
    if found is not None:
        fit, score = found
        functions |= {"pytorch-ood": fit, "pytorch-ood, first score": lambda: score(fit(), one)}
    times = interleaved(functions, 5)
    for name, target in (("f64", 0.5), ("f32", 0.3)):
        if found is not None:
            line(report, f"RMD fit, {name} ({n} x {d}, {k}) / pytorch-ood", times[name] / times["pytorch-ood"], target,
                 f"{times[name]:.2f} s", at_least=False)  # fmt: skip
            both = times[f"{name}, first score"], times["pytorch-ood, first score"]
            report(f"  and the score of one row: {both[0] / both[1]:.2f} ({both[0]:.2f} s)")
        else:
            report(f"RMD fit, {name}: {times[name]:.2f} s (pytorch-ood is not installed)")
    part = X[:5000]
    exact = RelativeMahalanobis().fit(X.astype(np.float64), y).difficulty(part.astype(np.float64))
    for name in ("f64", "f32"):
        order = spearmanr(functions[name]().difficulty(part), exact)[0]
        line(report, f"RMD fit, {name}: Spearman with all in float64", order, 0.99999, "", at_least=True)


def scale_out(report, n, d, k):
    X, y = features(n, d, k)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "X.npy", X)
        stored = np.load(Path(folder) / "X.npy", mmap_mode="r")
        edges = np.linspace(0, n, 3).astype(int)
        with Parallel(n_jobs=2) as pool:

            def workers():
                jobs = (delayed(_fit)(stored[a:b], y[a:b]) for a, b in pairwise(edges.tolist()))
                return functools.reduce(RelativeMahalanobis.merge, pool(jobs))

            times = interleaved({"workers": workers, "one": lambda: _fit(stored, y)}, 3)
            merged = workers().difficulty(X[:1000])
    line(report, f"RMD fit by 2 workers / one process ({n} x {d})", times["workers"] / times["one"], 1.2,
         f"{times['one']:.2f} s", at_least=False)  # fmt: skip
    whole = _fit(X, y).difficulty(X[:1000])
    line(report, "  largest difference, relative", np.abs(merged / whole - 1).max(), 1e-3, "", at_least=False)


def _fit(X, y):
    return RelativeMahalanobis().partial_fit(X, y)


MEMORY = """
import sys, threading, time
import numpy as np, sklearn.utils.validation, scipy.sparse, scipy.linalg
from abstain import RelativeMahalanobis
RelativeMahalanobis().fit(np.eye(4), [0, 0, 1, 1]).difficulty(np.eye(4))

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("RssAnon"))

X = np.load(sys.argv[1], mmap_mode="r")
y = np.arange(len(X)) % int(sys.argv[2])
base, peak, done = anonymous(), [0.0], []

def watch():
    while not done:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.002)

watcher = threading.Thread(target=watch)
watcher.start()
scorer = RelativeMahalanobis().fit(X, y)
scorer.difficulty(X)
done.append(1)
watcher.join()
print(peak[0] - base, anonymous())
"""


def memory(report, n, d, k):
    if not Path("/proc/self/status").exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.npy"
        stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
        for i in range(0, n, 50_000):
            stored[i : i + 50_000] = features(min(50_000, n - i), d, k, seed=i)[0]
        stored.flush()
        size = path.stat().st_size / 2**20
        run = subprocess.run(
            [sys.executable, "-c", MEMORY, str(path), str(k)], capture_output=True, text=True, check=True
        )
    extra = float(run.stdout.split()[0])
    line(report, f"RMD fit and score of a {size:.0f} MB file: MB in memory", extra, 300, "", at_least=False)


def probe(report, n, d, k, iterations):
    X, y = features(n, d, k, spread=0.15)
    X *= 10  # so that scikit-learn's solver, which has no scaling of its own, is not held up by the units

    def loss(model):
        total = 0.0
        for i in range(0, n, 5000):
            z = X[i : i + 5000].astype(np.float64) @ model.coef_.T + model.intercept_
            total -= log_softmax(z, axis=1)[np.arange(len(z)), y[i : i + 5000]].sum()
        return (total + 0.5 * np.sum(model.coef_**2)) / n

    started = time.perf_counter()
    ours = LinearProbe(standardise=False).fit(X, y)
    seconds = time.perf_counter() - started
    best, ratio, reached = loss(ours), 0.0, False
    while ratio < 10 and not reached:  # more iterations, until the loss is there or the time is past the target anyway
        started = time.perf_counter()
        theirs = LogisticRegression(max_iter=iterations).fit(X, y)
        ratio, iterations = (time.perf_counter() - started) / seconds, 2 * iterations
        reached = loss(theirs) < 1.001 * best
    line(
        report, f"scikit-learn / LinearProbe ({n} x {d}, {k}), time to one loss{'' if reached else ', at least'}",
        ratio, 10, f"{seconds:.1f} s, {ours.n_iter_} passes; loss {best:.4f}, scikit-learn's {loss(theirs):.4f} after "
        f"{theirs.n_iter_[0]} iterations", at_least=True,
    )  # fmt: skip


def main():
    small = quick()
    import warnings

    warnings.simplefilter("ignore")
    report = Report("bench_difficulty", small)
    report(f"{'ratio':<52}{'':>9}   target")
    scoring(report, *((8192, 128, 100, 2000) if small else (40_000, 768, 1000, 20_000)))
    scoring(report, *((20_000, 128, 10, 0) if small else (60_000, 768, 10, 0)))
    fitting(report, *((10_000, 128, 20) if small else (100_000, 768, 1000)))
    scale_out(report, *((20_000, 128, 20) if small else (200_000, 768, 1000)))
    memory(report, *((100_000, 64, 20) if small else (700_000, 768, 100)))
    probe(report, *((4000, 128, 20, 50) if small else (50_000, 1280, 100, 100)))
    report.keep()


if __name__ == "__main__":
    main()
