"""What belongs to the whole process and is changed for a while: filters of warnings, and threads of BLAS.

Two threads that each put back what they found leave behind what the other had set. So only one of them makes a change
and undoes it.
"""

import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

from threadpoolctl import threadpool_limits

_SILENT: ContextVar[bool] = ContextVar("silent", default=False)
_BLAS = Lock()


class _ByThread(type):
    """In a thread that wants silence every category of warnings is a part of it; in all others none is."""

    def __subclasscheck__(cls, category):
        return _SILENT.get()


class _AnyOfThisThread(Warning, metaclass=_ByThread):
    pass


class _Filter:
    """One filter for all threads that want silence: it comes with the first of them, and goes with the last."""

    def __init__(self):
        self._lock, self._inside, self._added = Lock(), 0, None

    def __enter__(self):
        with self._lock:
            if not self._inside:
                warnings.simplefilter("ignore", _AnyOfThisThread)
                self._added = warnings.filters[0]
            self._inside += 1

    def __exit__(self, *_):
        with self._lock:
            self._inside -= 1
            filters: Any = warnings.filters
            if not self._inside and self._added in filters:  # somebody may have put others in their place
                filters.remove(self._added)


_FILTER = _Filter()


@contextmanager
def silence():
    """Keep all warnings back, whosoever's they are; of this thread alone, unlike ``warnings.catch_warnings``."""
    token = _SILENT.set(True)
    try:
        with _FILTER:
            yield
    finally:
        _SILENT.reset(token)


@contextmanager
def one_blas_thread():
    """Keep products of matrices to one thread. Where another thread is at it already, nothing is changed."""
    if not _BLAS.acquire(blocking=False):
        yield
        return
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        _BLAS.release()
