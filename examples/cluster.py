"""
Statistics over a cluster
=========================

Class statistics of a matrix on disk, by two workers of a local dask cluster: workers are given a path and a range of
rows, read them for themselves, and send back sums of a few megabytes. A cluster of machines is the same, if they see
the file::

    python examples/cluster.py --rows 200000 --scheduler tcp://...
"""

# sphinx_gallery_thumbnail_path = "thumbnails/cluster.svg"

import argparse
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np

from abstain import RelativeMahalanobis
from abstain.scores import fit_in_parts


def features(path, n, d=256, n_classes=100):
    """Write features block by block; they never are in memory as a whole."""
    rng = np.random.default_rng(0)
    centres, y = rng.normal(size=(n_classes, d)), rng.integers(n_classes, size=n)
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
    for start in range(0, n, 20_000):
        labels = y[start : start + 20_000]
        out[start : start + 20_000] = centres[labels] + rng.normal(size=(len(labels), d))
    return y


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--scheduler", help="address of a running scheduler; a local cluster is started without")
    arguments = parser.parse_args()
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        print("this example needs dask: pip install distributed")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        y = features(path, arguments.rows)
        started = time.perf_counter()
        alone = RelativeMahalanobis().fit(np.load(path, mmap_mode="r"), y)
        seconds = {"one process": time.perf_counter() - started}
        where = arguments.scheduler or LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        with Client(where):
            for run in ("two workers, first call", "two workers"):  # the first one imports
                started = time.perf_counter()
                with joblib.parallel_config(backend="dask"):
                    shared = fit_in_parts(RelativeMahalanobis(), path, y, n_jobs=2)
                seconds[run] = time.perf_counter() - started
        if arguments.scheduler is None:
            where.close()
        some = np.load(path, mmap_mode="r")[:1000]
        scores = alone.score_samples(some)
        difference = np.abs(shared.score_samples(some) - scores).max() / scores.std()
    print(f"{arguments.rows} rows, 256 features, 100 classes")
    for name, value in seconds.items():
        print(f"{name:<26}{value:8.2f} s")
    print(f"largest difference of a score: {difference:.1e} of their spread")


if __name__ == "__main__":
    main()
