"""A feature matrix that grows on disk block by block and survives a kill, a full disk, and a second start.

Rows go into ``<out>.part``, finished ranges and their checksums into ``<out>.journal``; when all are there, the part is
renamed to ``<out>``, with its key in ``<out>.key``, and a later call returns it. Nothing that is read is trusted: what
has another checksum is computed again. Plain writes are used, since a memory map on a full disk ends the process
instead of raising.
"""

import json
import math
import os
import shutil
import time
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]

_BYTES = 1 << 24


@contextmanager
def locked(out):
    """Let no other thread or process write the same file; wait for one that does. The lock dies with its owner."""
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _opened(_beside(path, ".lock"), os.O_RDWR | os.O_CREAT) as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class FeatureStore:
    """Writer of one ``.npy`` file of float32 rows; to be used under `locked`.

    Parameters
    ----------
    out : str or Path
        The file to make.
    shape : tuple of int
        Rows and columns.
    key : str
        What the features are computed from; work of another key is not resumed.
    states : list, default=None
        State of the image of each row, by which a later call knows rows that must be computed again; None where the key
        says it all.

    Attributes
    ----------
    complete : bool
        Whether the file is there, with every row that could be read.
    started : float
        When the work began, in seconds since the epoch; infinity for a complete file.
    """

    def __init__(self, out, shape, key, states=None):
        self.out = Path(out)
        self.shape, self.key, self.states = shape, key, states
        self.started = math.inf
        self.part, self.journal, self.stamp = (_beside(self.out, end) for end in (".part", ".journal", ".key"))
        self._offset = len(_header(shape))
        done = self._finished()
        self.complete = done is not None
        self.done = self._resume() if done is None else done

    def missing(self):
        """Rows still to compute: all that no call has, and those that an earlier one could not read."""
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
        if self.complete:  # rows that could not be read before: the file is for others, too, until it is replaced
            self._reopen()
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
            start, stop = int(rows[run[0]]), int(rows[run[-1]]) + 1
            data = features[run].tobytes()
            try:
                self._write_run(start, data)
                self._note([start, stop, zlib.crc32(data)])
            except OSError as error:
                raise OSError(
                    error.errno,
                    f"could not write features to {self.part} ({error.strerror}); {int(self.done.sum())} of "
                    f"{self.shape[0]} rows are kept. Free some space and call extract again: it goes on from there",
                ) from error
            self.done[start:stop] = True

    def finish(self):
        """Rename the part to the file asked for, and open it memory-mapped; rows that could not be read are NaN."""
        if not self.complete:
            failed = self.missing()
            self.stamp.unlink(missing_ok=True)
            self.write(failed, np.full((failed.size, self.shape[1]), np.nan, dtype=np.float32))
            stamp = self._identity() | {"failed": failed.tolist(), "states": self.states}
            stamp["checksum"] = _checksum(self.part)
            os.replace(self.part, self.out)
            _replace_text(self.stamp, json.dumps(stamp | {"stat": _stat(self.out)}))
            self.journal.unlink(missing_ok=True)
        return np.load(self.out, mmap_mode="r")

    def _identity(self):
        return {"key": self.key, "shape": list(self.shape)}

    def _finished(self):
        """Rows of a complete file that hold what they should, or None where there is no such file as it was written."""
        stamp = _read_json(self.stamp)
        if not isinstance(stamp, dict) or any(stamp.get(name) != value for name, value in self._identity().items()):
            return None
        if not self.out.is_file() or self.out.stat().st_size != self._offset + 4 * math.prod(self.shape):
            return None
        if stamp.get("stat") != _stat(self.out) and _checksum(self.out) != stamp.get("checksum"):
            return None
        failed, states, n = stamp.get("failed"), stamp.get("states"), self.shape[0]
        within = isinstance(failed, list) and all(type(row) is int and 0 <= row < n for row in failed)
        if not within or (states is None) != (self.states is None) or (states is not None and len(states) != n):
            return None
        done = np.ones(n, dtype=bool)
        done[failed] = False
        if states is not None:
            done &= [mine == theirs for mine, theirs in zip(self.states, states, strict=True)]
        return done

    def _write_run(self, start, data):
        with _opened(self.part, os.O_RDWR) as file:
            file.seek(self._offset + start * self.shape[1] * 4)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _note(self, line):
        with _opened(self.journal, os.O_WRONLY | os.O_APPEND) as log:
            log.write((json.dumps(line) + "\n").encode())

    def _resume(self):
        lines = _read_lines(self.journal)
        known = len(lines) > 1 and lines[0] == self._identity() and isinstance(lines[1], float)
        if not known or _read_bytes(self.part, 0, self._offset) != _header(self.shape):
            self._create()
            return np.zeros(self.shape[0], dtype=bool)
        self.started, done = lines[1], np.zeros(self.shape[0], dtype=bool)
        ranges = [line for line in lines[2:] if self._is_range(line)]
        for start, stop, checksum in ranges:  # a row that was written again has the checksum of the last range
            done[start:stop] = self._holds(start, stop, checksum)
        return done

    def _is_range(self, line):
        numbers = isinstance(line, list) and len(line) == 3 and all(type(number) is int for number in line)
        return numbers and 0 <= line[0] < line[1] <= self.shape[0]

    def _holds(self, start, stop, checksum):
        width = self.shape[1] * 4
        data = _read_bytes(self.part, self._offset + start * width, (stop - start) * width)
        return len(data) == (stop - start) * width and zlib.crc32(data) == checksum

    def _create(self):
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.started = time.time()
        with _opened(self.part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
            file.write(_header(self.shape))
        with _opened(self.journal, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
            file.write(f"{json.dumps(self._identity())}\n{self.started!r}\n".encode())

    def _reopen(self):
        done = self.done
        self._create()
        shutil.copyfile(self.out, self.part)
        self.done, self.complete = done, False


def _beside(path, ending):
    return path.with_name(path.name + ending)


def _opened(path, flags):
    """Open a file of ours for bytes; a link that somebody put in its place would be followed to a victim."""
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        if path.is_symlink():
            raise OSError(error.errno, f"{path} is a symbolic link, which is not followed; remove it") from error
        raise
    return os.fdopen(descriptor, "r+b" if flags & os.O_RDWR else "wb" if not flags & os.O_APPEND else "ab")


def _header(shape):
    from io import BytesIO

    file = BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": tuple(shape)})
    return file.getvalue()


def _stat(path):
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _checksum(path):
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_BYTES):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _read_bytes(path, start, size):
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)
    except OSError:
        return b""


def _read_lines(path):
    """JSON values of the lines of a file; a line that a kill cut short, or that is none, is None."""
    return [_parsed(line) for line in _read_bytes(path, 0, -1).splitlines()]


def _read_json(path):
    return _parsed(_read_bytes(path, 0, -1))


def _parsed(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # decoding errors are among them
        return None


def _replace_text(path, text):
    temporary = _beside(path, ".new")
    with _opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
        file.write(text.encode())
    os.replace(temporary, path)
