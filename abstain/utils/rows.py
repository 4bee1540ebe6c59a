"""What is asked of every row of a table with few columns, where NumPy's reductions take more time than they need."""

import numpy as np

_FEW, _SHORT = 4, 4096  # columns: one after the other is fastest; einsum adds them up in one go in any company


def row_sums(values: np.ndarray) -> np.ndarray:
    """Sum of each row, (n,), to the same digits in any company and order of memory."""
    if values.shape[1] <= _FEW:
        return sum(values.T)
    values = np.ascontiguousarray(values)
    return np.einsum("ij->i", values) if values.shape[1] <= _SHORT else values.sum(axis=1)


def rows_with_nan(values: np.ndarray) -> np.ndarray:
    """Whether a row holds a NaN, (n,)."""
    with np.errstate(invalid="ignore"):
        if not np.isnan(values.min(initial=0.0)):
            return np.zeros(len(values), dtype=bool)
    return np.isnan(values).any(axis=1)
