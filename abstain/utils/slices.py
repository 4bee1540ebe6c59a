"""Rows of a matrix on disk, by what a worker needs to find them: a path travels, the data stay."""

import mmap
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from joblib import Parallel, effective_n_jobs


class Slice(NamedTuple):
    """Some rows of a matrix on disk."""

    path: str
    dtype: str
    offset: int
    shape: tuple
    order: Literal["C", "F"]
    rows: slice

    def read(self):
        """Return the rows, memory-mapped."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)[self.rows]


def map_of(X):
    """The memory map that an array is, or shows as a whole, and that a worker can open for itself; or None.

    A map whose changes stay in memory (mode "c"), or whose file has no name or is another by now, is none.
    """
    whole = X if isinstance(X, np.memmap) else X.base
    if not isinstance(whole, np.memmap) or not isinstance(whole.base, mmap.mmap) or whole.mode == "c":
        return None
    if whole.filename is None or not Path(whole.filename).is_file():
        return None
    seen, there = X.__array_interface__, whole.__array_interface__
    same = all(seen[name] == there[name] for name in ("data", "shape", "typestr", "strides"))
    return whole if same and _still_there(whole) else None


def place_of(X, rows):
    """Where some rows are on disk, or the rows themselves."""
    whole = map_of(X)
    return X[rows] if whole is None else _slice(whole, rows)


def _slice(whole, rows):
    order: Literal["C", "F"] = "F" if whole.flags.f_contiguous and not whole.flags.c_contiguous else "C"
    return Slice(str(Path(whole.filename).resolve()), whole.dtype.str, whole.offset, whole.shape, order, rows)


def _still_there(whole):
    """Whether the file has, by the look of some rows, what is mapped; it may have been replaced meanwhile."""
    try:
        found = _slice(whole, slice(None)).read()
    except (OSError, ValueError):
        return False
    some = np.unique(np.linspace(0, len(whole) - 1, 32).astype(int))
    return np.ascontiguousarray(found[some]).tobytes() == np.ascontiguousarray(whole[some]).tobytes()


def workers(n_jobs, elsewhere):
    """A pool for passes over rows, which are not shipped: workers share them, or read them elsewhere, from disk."""
    return Parallel(n_jobs=n_jobs, **({"prefer": "threads"} if elsewhere else {"require": "sharedmem"}))


def shares_of(n, n_jobs, least=1):
    """Slices of n rows, as even as they can be, one for each worker, but none of fewer rows than are worth it."""
    count = min(effective_n_jobs(n_jobs), max(n // least, 1))
    edges = np.linspace(0, n, count + 1).astype(int).tolist()
    return [slice(a, b) for a, b in pairwise(edges)]


def read(place):
    """Return the rows at a place."""
    return place.read() if isinstance(place, Slice) else place
