"""Rows that a classifier cannot be asked about."""

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

REFUSALS = ValueError, TypeError, AttributeError  # what classifiers raise at values that they do not take
_PROBES = 256  # rows one of which must be taken, or the data as a whole are at fault


def row_masks(X, ask):
    """Which rows to ask a classifier about, until it takes them; a mask is None for all rows, or of shape (n,).

    Of numbers: all, those without infinities, those that are there. Of any data at last those that are taken, found by
    halving.
    """
    yield from _masks_of_numbers(X)
    good = _taken(X, ask)
    if good is not None:
        yield good


def _masks_of_numbers(X):
    yield None
    numbers = _numbers(X)
    with np.errstate(over="ignore", invalid="ignore"):  # a sum that overflows only costs the closer look
        if numbers is None or np.isfinite(numbers.sum()):
            return
    infinite, missing = np.isinf(numbers).any(axis=1), np.isnan(numbers).any(axis=1)
    if infinite.any():
        yield ~infinite
    if missing.any():
        yield ~(infinite | missing)


def _taken(X, ask):
    """Rows that are taken, found by halving; None where none of a few is."""

    def taken(rows):
        try:
            with np.errstate(over="ignore"):
                ask(_safe_indexing(X, rows))
        except REFUSALS:
            return False
        return True

    n = _num_samples(X)
    if not any(taken([i]) for i in np.unique(np.linspace(0, n - 1, _PROBES).astype(int))):
        return None
    good, waiting = np.zeros(n, dtype=bool), [np.arange(n)]
    while waiting:
        rows = waiting.pop()
        if taken(rows):
            good[rows] = True
        elif rows.size > 1:
            waiting += np.array_split(rows, 2)
    return good


def _numbers(X):
    """Data as a matrix of floats, or None where they are none."""
    try:
        if hasattr(X, "iloc"):
            X = X.to_numpy(dtype=np.float64, na_value=np.nan)
        elif isinstance(X, list | tuple) or getattr(X, "dtype", None) == np.dtype(object):
            X = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):  # texts, paths, images
        return None
    return X if isinstance(X, np.ndarray) and X.dtype.kind == "f" and X.ndim == 2 else None
