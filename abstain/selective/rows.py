"""Rows that a classifier cannot be asked about."""

import numpy as np


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
