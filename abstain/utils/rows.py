"""What is asked of every row of a table with few columns, where NumPy's reductions take more time than they need."""

import numpy as np

_FEW, _SHORT = 4, 4096  # columns: one after the other is fastest; einsum adds them up in one go in any company


def row_sums(values: np.ndarray) -> np.ndarray:
    """Sum of each row, (n,), to the same digits in any company and order of memory."""
    if values.shape[1] <= _FEW:
        return sum(values.T)
    values = np.ascontiguousarray(values)
    return np.einsum("ij->i", values) if values.shape[1] <= _SHORT else values.sum(axis=1)


def places(codes: np.ndarray, width: int) -> np.ndarray:
    """Where the column that the code of each row names lies in the flat table, (n,)."""
    return np.arange(0, len(codes) * width, width) + codes


def rows_not_once(values: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Indices of the rows where none or several entries reach a floor, which the largest does if it is finite."""
    if values.shape[1] <= _FEW:
        return np.flatnonzero(sum(column >= floor for column in values.T) != 1)
    near = values >= floor[:, None]
    if np.count_nonzero(near) == len(values) and np.isfinite(floor).all():
        return np.empty(0, dtype=int)  # counting them all is cheaper than row by row
    return np.flatnonzero(np.count_nonzero(near, axis=1) != 1)


def rows_with_nan(values: np.ndarray) -> np.ndarray:
    """Whether a row holds a NaN, (n,)."""
    with np.errstate(invalid="ignore"):
        if not np.isnan(values.min(initial=0.0)):
            return np.zeros(len(values), dtype=bool)
    return np.isnan(values).any(axis=1)
