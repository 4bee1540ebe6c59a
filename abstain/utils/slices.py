"""Rows of a matrix on disk, by what a worker needs to find them: a path travels, the data stay."""

import mmap
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np


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
    """The memory map that an array is, or shows as a whole, and that a worker can open for itself; or None."""
    whole = X if isinstance(X, np.memmap) else X.base
    if not isinstance(whole, np.memmap) or not isinstance(whole.base, mmap.mmap):
        return None
    seen, there = X.__array_interface__, whole.__array_interface__
    return whole if all(seen[name] == there[name] for name in ("data", "shape", "typestr", "strides")) else None


def place_of(X, rows):
    """Where some rows are on disk, or the rows themselves."""
    whole = map_of(X)
    if whole is None:
        return X[rows]
    order: Literal["C", "F"] = "F" if X.flags.f_contiguous and not X.flags.c_contiguous else "C"
    return Slice(str(Path(whole.filename).resolve()), whole.dtype.str, whole.offset, whole.shape, order, rows)


def read(place):
    """Return the rows at a place."""
    return place.read() if isinstance(place, Slice) else place
