"""Rows that a classifier cannot be asked about."""

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

_PROBES = 8  # rows one of which must be taken, or the data as a whole are at fault


def row_masks(X):
    """Which rows to ask a classifier about, until it takes them: all, those without infinities, those of numbers alone.

    A mask is None for all rows, or of shape (n,).
    """
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


def taken_rows(X, evaluate, refusals):
    """Rows of mixed data or texts that a classifier takes, found by halving; None of numbers, or where it takes none.

    Parameters
    ----------
    X : data
        Of which some row was refused.
    evaluate : callable
        What is asked of rows.
    refusals : tuple of type
        Errors that say no.
    """

    def taken(rows):
        try:
            evaluate(_safe_indexing(X, rows))
        except refusals:
            return False
        return True

    n = _num_samples(X)
    if _numbers(X) is not None or not any(taken([i]) for i in np.unique(np.linspace(0, n - 1, _PROBES).astype(int))):
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
