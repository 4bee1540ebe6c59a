"""Where batches come from: rows of a design, as tensors on a device. Data stay NumPy and are copied at the border."""

from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import joblib
import numpy as np
import torch


class Batch(NamedTuple):
    """Some samples, as tensors on the device of the network."""

    rows: np.ndarray  # their numbers
    inputs: tuple[Any, ...]  # what the network takes
    targets: tuple[Any, ...]  # what the loss takes besides

    @property
    def size(self):
        """Number of samples."""
        return self.rows.size

    def in_parts(self, count):
        """Return the same samples in about so many batches."""
        if count == 1 or self.size == 1:
            return [self]
        edges = np.linspace(0, self.size, min(count, self.size) + 1).astype(int).tolist()
        return [
            Batch(self.rows[a:b], *(tuple(None if x is None else x[a:b] for x in group) for group in self[1:]))
            for a, b in pairwise(edges)
        ]


class Source(Protocol):
    """Gives samples by their numbers."""

    targets: tuple  # arrays of what the loss takes besides outputs

    def batches(self, parts, epoch=None):
        """Yield a `Batch` for each of some arrays of rows; without an epoch nothing is drawn at random."""

    def targets_of(self, rows):
        """What the loss takes besides outputs, for some rows."""

    def sample(self):
        """A hash of what some rows hold, for processes that must have been given the same."""


class DesignSource:
    """Rows of a design, and of other arrays.

    Parameters
    ----------
    design : Design
        The input.
    targets : tuple of ndarray
        What the loss takes besides: integers stay integers, all else becomes float32.
    device : torch.device
        Where the tensors go.
    others : tuple of ndarray, default=()
        What the network takes besides.
    """

    def __init__(self, design, targets, device, others=()):
        self.design, self.targets, self.device, self.others = design, targets, device, others
        self.codes = None if design.codes is None else design.codes.astype(np.int64)
        arrays = [*design.matrices, *others, *targets, *(() if self.codes is None else (self.codes,))]
        self._there = _Resident(device) if fits(arrays, device) else None

    def batches(self, parts, epoch=None):
        """Yield a `Batch` for each of some arrays of rows."""
        for rows in parts:
            pick = self._picking(rows)
            codes = None if self.codes is None else pick(self.codes)
            inputs = self._columns(pick, len(rows)), codes, *map(pick, self.others)
            yield Batch(rows, inputs, tuple(map(pick, self.targets)))

    def targets_of(self, rows):
        """What the loss takes besides outputs, for some rows."""
        return tuple(map(self._picking(rows), self.targets))

    def sample(self):
        """A hash of what some rows hold."""
        rows = some_of(self.design.n)
        arrays = [*self.design.matrices, *self.others, *(() if self.codes is None else (self.codes,))]
        return joblib.hash([np.ascontiguousarray(array[rows]) for array in arrays])

    def _picking(self, rows):
        """A function that takes some rows of an array to the device."""
        if self._there is None:
            return lambda array: tensor(np.take(array, rows, axis=0), self.device)
        where = tensor(rows, self.device)
        return lambda array: self._there(array)[where]

    def _columns(self, pick, n):
        parts = [pick(matrix) for matrix in self.design.matrices]
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts, dim=1) if parts else torch.zeros((n, 0), device=self.device)


class _Resident:
    """Arrays that stay on a device once they have been asked for, so that batches are picked there."""

    def __init__(self, device):
        self.device, self.kept = device, {}

    def __call__(self, array):
        if id(array) not in self.kept:
            whole = array if array.flags.writeable else np.array(array)  # torch takes no read-only memory
            self.kept[id(array)] = array, tensor(whole, self.device)
        return self.kept[id(array)][1]


def fits(arrays, device):
    """Whether arrays take less than half of the free memory of a GPU; on a CPU, copies would gain nothing."""
    if device.type != "cuda":
        return False
    return 4 * sum(array.size for array in arrays) < torch.cuda.mem_get_info(device)[0] / 2


def some_of(n, most=1000):
    """Rows that are spread evenly over n of them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int))


def tensor(rows, device):
    """Copy rows of an array to a device: integers stay integers, all else becomes float32."""
    # indexing made a copy, so that read-only memory maps stay behind
    kind = torch.int64 if rows.dtype.kind == "i" else torch.float32
    # CUDA has taken such memory before it returns, and need not be waited for
    return torch.from_numpy(np.ascontiguousarray(rows)).to(device, kind, non_blocking=device.type == "cuda")


def parts_of(rows, size):
    """Rows in parts of about one size."""
    return np.array_split(rows, -(-len(rows) // size)) if len(rows) else []
