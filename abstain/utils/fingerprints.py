"""Has this row been seen before? Exact 64-bit fingerprints of rows, to tell a calibration set from training data."""

from hashlib import blake2b

import numpy as np
from scipy.stats import betabinom

from abstain.utils.validation import row_blocks


def fingerprints(X):
    """Fingerprints of all rows, exact and rounded to float32, or None for data that are no array.

    The rounded ones know a float32 copy again; the exact ones tell apart what rounding merges.
    """
    if not hasattr(X, "__array__"):
        return None
    X = np.asarray(X)
    return row_fingerprints(X), row_fingerprints(X, single=True)


def row_fingerprints(X, *, single=False) -> np.ndarray:
    """Hash every row of a numeric or string array.

    Parameters
    ----------
    X : array-like of shape (n, ...)
        Rows; numbers are compared as float64.
    single : bool, default=False
        Whether numbers are rounded to float32 first.

    Returns
    -------
    fingerprints : ndarray of shape (n,) of uint64
        Equal rows have equal fingerprints.
    """
    X = np.asarray(X)
    n = X.shape[0]
    out = np.empty(n, dtype=np.uint64)
    for rows in row_blocks(n, int(np.prod(X.shape[1:], dtype=np.int64))):
        words = _words(X[rows], single)
        multipliers = 2 * np.random.default_rng(7).integers(2**62, size=words.shape[1], dtype=np.uint64) + 1
        # a word is mixed before it is summed, so that swapping amounts between columns does not cancel
        mixed = (words + np.uint64(0x9E3779B97F4A7C15)) * multipliers
        mixed ^= mixed >> np.uint64(29)
        out[rows] = (mixed * np.flip(multipliers)).sum(axis=1, dtype=np.uint64)
    return out


def _words(block, single) -> np.ndarray:
    block = block.reshape(block.shape[0], -1)
    if block.dtype.kind in "OUS":
        digests = [blake2b(repr(row).encode(), digest_size=8).digest() for row in block.tolist()]
        return np.array([[int.from_bytes(digest)] for digest in digests], dtype=np.uint64)
    with np.errstate(over="ignore"):
        block = block.astype(np.float32) if single else block
    return (np.ascontiguousarray(block, dtype=np.float64) + 0.0).view(np.uint64)  # -0.0 and 0.0 are one value


def repeats(seen, rows) -> tuple[int, bool]:
    """Count the rows that were seen before, and say whether chance repeats explain them.

    Two independent samples of discrete data share some rows. If the seen rows repeat each other at the rate q,
    new rows from the same source repeat them at about that rate too; clearly more means that data were reused.

    Parameters
    ----------
    seen : ndarray of shape (n,) of uint64
        Fingerprints of the data that were fitted on.
    rows : ndarray of shape (m,) of uint64
        Fingerprints of the new data.

    Returns
    -------
    count : int
        How many of the new rows were seen.
    reused : bool
        True if that is more than chance repeats explain, at the level 1e-4.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.utils.fingerprints import repeats, row_fingerprints
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> repeats(row_fingerprints(X[:100]), row_fingerprints(X[100:]))
    (0, False)
    >>> repeats(row_fingerprints(X[:100]), row_fingerprints(X[50:]))
    (50, True)
    """
    count = int(np.isin(rows, seen).sum())
    _, copies = np.unique(seen, return_counts=True)
    twins = copies[copies > 1].sum()
    # chance of that many repeats, given how often the seen rows repeat each other (Jeffreys prior on the rate);
    # twins come in pairs, so that they tell half of what their number says
    chance = betabinom.sf(count - 1, rows.size, twins / 2 + 0.5, (seen.size - twins) / 2 + 0.5)
    return count, bool(count > 0 and chance < 1e-4)
