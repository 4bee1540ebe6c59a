"""Features that several processes extract together: each writes a part of its own, and the first joins them."""

from pathlib import Path

import numpy as np

from abstain.backbones.store import FeatureStore, locked
from abstain.solvers.ranks import Ranks
from abstain.solvers.sources import parts_of

_ROWS = 1 << 14


def extract_together(extract, described, source, out):
    """Let the processes of a group extract features into one file; every one of them has to call this.

    Parameters
    ----------
    extract : callable
        ``extract(images, path) -> memmap`` of one process.
    described : callable
        ``described(images) -> (shape, key, states)``, of the whole file, as `FeatureStore` takes them.
    source : Images
        All images.
    out : str or Path
        The file.

    Returns
    -------
    features : memmap of shape (n, d)
        Of all images.

    Raises
    ------
    RuntimeError
        In every process, if another one failed; its parts are kept, and the next call goes on from there.
    """
    ranks, out = Ranks(), Path(out)
    if ranks.world == 1:
        return extract(source, out)
    missing = ranks.from_first(lambda: _missing(out, described(source)))
    if missing.size:
        rows = np.array_split(missing, ranks.world)
        paths = [out.with_name(f"{out.name}.{i}-of-{ranks.world}.npy") for i in range(ranks.world)]
        own = rows[ranks.rank]
        ranks.all_well(lambda: extract(source[own], paths[ranks.rank]) if own.size else None)
        ranks.all_well(lambda: _join(paths, rows, described(source), out) if ranks.rank == 0 else None)
    return np.load(out, mmap_mode="r")


def _missing(out, description):
    with locked(out):
        return FeatureStore(out, *description).missing()


def _join(paths, rows, description, out):
    with locked(out):
        store = FeatureStore(out, *description)
        for path, own in zip(paths, rows, strict=True):
            part = np.load(path, mmap_mode="r") if own.size else np.empty((0, 0))
            for block in parts_of(np.arange(own.size), _ROWS):
                features = np.array(part[block])
                read = ~np.isnan(features).all(axis=1)
                store.write(own[block][read], features[read])
        store.finish()
    for path in paths:
        for ending in ("", ".key", ".lock"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
