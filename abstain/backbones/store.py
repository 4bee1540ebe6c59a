"""A feature matrix that grows on disk block by block and survives a kill, a full disk, and a second start.

Rows go into ``<out>.part``, finished ranges into ``<out>.journal``; when all are there, the part is renamed to
``<out>``, with its key in ``<out>.key``, and a later call returns it. Plain writes are used, since a memory map on a
full disk ends the process instead of raising.
"""

import json
import math
import os
import time
from pathlib import Path

import numpy as np


class FeatureStore:
    """Writer of one ``.npy`` file of float32 rows.

    Parameters
    ----------
    out : str or Path
        The file to make.
    shape : tuple of int
        Rows and columns.
    key : str
        What the features are computed from; work of another key is not resumed.
    final_key : str, default=None
        What identifies a complete file, contents of the images included; None is ``key``.

    Attributes
    ----------
    started : float
        When the work began, in seconds since the epoch; infinity for a complete file.
    """

    def __init__(self, out, shape, key, final_key=None):
        self.out = Path(out)
        self.shape, self.key, self.final_key = shape, key, key if final_key is None else final_key
        self.started = math.inf
        self.part = self.out.with_name(self.out.name + ".part")
        self.journal = self.out.with_name(self.out.name + ".journal")
        self.stamp = self.out.with_name(self.out.name + ".key")
        self.complete = (
            self.out.exists() and self.stamp.exists() and self.stamp.read_text() == self._header(self.final_key)
        )
        self.done = np.ones(shape[0], dtype=bool) if self.complete else self._resume()

    def missing(self):
        """Rows still to compute."""
        return np.flatnonzero(~self.done)

    def forget(self, changed):
        """Take rows as not done whose images have changed since; ``changed`` is a mask of all rows."""
        self.done &= ~changed

    def write(self, rows, features):
        """Write some rows and note them as done, in that order.

        Parameters
        ----------
        rows : ndarray of int
            Consecutive runs are written at once.
        features : ndarray of shape (len(rows), d)
            Their features.

        Raises
        ------
        OSError
            If the disk is full; rows already noted stay, and the next call goes on from there.
        """
        features = np.ascontiguousarray(features, dtype=np.float32)
        if not len(rows):
            return
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
            start, stop = int(rows[run[0]]), int(rows[run[-1]]) + 1
            try:
                self._write_run(start, features[run].tobytes())
                with self.journal.open("a") as log:
                    log.write(json.dumps([start, stop]) + "\n")
            except OSError as error:
                raise OSError(
                    error.errno,
                    f"could not write features to {self.part} ({error.strerror}); {int(self.done.sum())} of "
                    f"{self.shape[0]} rows are kept. Free some space and call extract again: it goes on from there",
                ) from error
            self.done[start:stop] = True

    def finish(self):
        """Rename the part to the file asked for, and open it memory-mapped; rows never written are NaN.

        A file with such rows gets no key, so that a later call tries them again.
        """
        if not self.complete:
            missing = self.missing()
            self.stamp.unlink(missing_ok=True)
            self.write(missing, np.full((missing.size, self.shape[1]), np.nan, dtype=np.float32))
            os.replace(self.part, self.out)
            if not missing.size:
                self.stamp.write_text(self._header(self.final_key))
            self.journal.unlink()
        return np.load(self.out, mmap_mode="r")

    def _header(self, key):
        return json.dumps({"key": key, "shape": list(self.shape)})

    def _write_run(self, start, data):
        with self.part.open("r+b") as file:
            file.seek(self._offset + start * self.shape[1] * 4)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _resume(self):
        done = np.zeros(self.shape[0], dtype=bool)
        header = self._header(self.key)
        lines = self.journal.read_text().splitlines() if self.journal.exists() and self.part.exists() else []
        if lines[:1] == [header] and len(lines) > 1:
            self.started = float(lines[1])
            for line in lines[2:]:
                done[slice(*_range(line))] = True
        else:
            self._create(header)
        with self.part.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            self._offset = file.tell()
        return done

    def _create(self, header):
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with self.part.open("wb") as file:
            description = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
            np.lib.format.write_array_header_1_0(file, description)
        self.started = time.time()
        self.journal.write_text(f"{header}\n{self.started!r}\n")


def _range(line):
    try:
        start, stop = json.loads(line)
    except ValueError:  # the line that a kill cut short
        return 0, 0
    return start, stop
