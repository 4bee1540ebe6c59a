"""Have these rows been seen before? Rows as points on a few random axes, to tell a calibration set from training data.

Equal rows are equal points, whatever container or dtype they come in, and rows that were rounded on their way are near
ones. Chance repeats of discrete data are told from reuse by how often the rows repeat among themselves.
"""

from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binom

from abstain.utils.validation import row_blocks

_AXES = 3
# how near two points are taken as one row, in typical deviations: six digits survive, chance does not on three axes
_NEAR = 3e-5
_FAR = 1e13  # beyond it all is one
_SAMPLE = 1024
_LEVEL = 1e-3
_MOST_NEAR = 64


class Repeats(NamedTuple):
    """How many new rows were seen before, and whether that is more than chance explains."""

    found: int
    reused: bool


class NoPrints:
    """In place of `RowPrints` for a model that has learnt from no row: all rows are new to it."""

    def compare(self, X):
        """Return that nothing was found."""
        return Repeats(0, False)


class RowPrints:
    """What is kept of the rows that a model was fitted on, to know them again.

    Parameters
    ----------
    X : array-like, frame, sparse matrix or list
        The rows: numbers, texts, paths, or columns of all these.

    Attributes
    ----------
    points : ndarray of shape (n, 3), or None
        The rows; None where they cannot be compared, as with images in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.utils.fingerprints import RowPrints
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> prints = RowPrints(X[:100])
    >>> prints.compare(X[100:]), prints.compare(np.round(X[50:], 6))
    (Repeats(found=0, reused=False), Repeats(found=50, reused=True))
    """

    def __init__(self, X):
        self.centre: Any = None
        self.scale: Any = None
        self.points: Any = None
        columns = _columns(X)
        if columns is not None:
            self.centre, self.scale = _moments(columns.numbers)
            self.points = self._points(columns)

    def compare(self, X):
        """Compare new rows with those that were kept.

        Parameters
        ----------
        X : array-like, frame, sparse matrix or list
            New rows.

        Returns
        -------
        repeats : Repeats or None
            None where nothing could be compared.
        """
        columns = None if self.points is None else _columns(X)
        if columns is None or columns.numbers.shape[1] != self.centre.size:
            return None
        new, seen = self._points(columns), self.points
        kept = np.unique(_cells(seen), axis=0, return_index=True)[1]
        count = int(_matches(seen[kept], new).astype(bool).sum())
        reused = count > 0 and (_twins_between(seen, new) or self._more_than_chance(seen, kept.size, new, count))
        return Repeats(count, reused)

    @staticmethod
    def _more_than_chance(seen, distinct, new, count):
        """Pairs of equal rows fall among the pairs within each set and between the two as their numbers say.

        Pairs within the new rows tell how often the source repeats itself. Those within the rows that were fitted on
        count only where the new rows hold none, since these rows may have been cleared of copies, or copied.
        """
        within, between = len(new) * (len(new) - 1) / 2, len(new) * distinct
        pairs = _pairs(new)
        if binom.sf(count - 1, count + pairs, between / (between + within)) < _LEVEL:
            return True
        among = len(seen) * (len(seen) - 1) / 2
        chance = binom.sf(count - 1, count + _pairs(seen), between / (between + within + among))
        return bool(pairs == 0 and chance < _LEVEL)

    def _points(self, columns):
        axes = np.random.default_rng(7).normal(size=(self.centre.size, _AXES))
        weights = axes / (self.scale[:, None] * np.sqrt(max(self.centre.size, 1)))
        points = np.empty((columns.numbers.shape[0], _AXES))
        for rows in row_blocks(len(points), self.centre.size, 1 << 20):
            points[rows] = _product(columns.numbers[rows], self.centre, weights)
        return np.clip(points + columns.hashes, -_FAR, _FAR)


class _Columns(NamedTuple):
    numbers: np.ndarray  # (n, d) numeric columns; may be sparse
    hashes: np.ndarray  # (n, 3) sums over all other columns of what their cells are hashed to


def _columns(X):
    """Numeric columns, and hashes of all others; None for rows that are neither."""
    if hasattr(X, "iloc"):
        frame = X.to_frame() if X.ndim == 1 else X
        return _joined([np.asarray(frame.iloc[:, j]) for j in range(frame.shape[1])], len(frame))
    if hasattr(X, "nnz"):
        return _Columns(X.tocsr(), np.zeros((X.shape[0], _AXES)))
    if hasattr(X, "detach"):
        X = X.detach().cpu().float().numpy()
    if not _is_table(X):
        return None
    try:
        array = np.asarray(X)
    except ValueError:  # rows of different length
        return None
    if array.ndim == 0 or not len(array):
        return None
    array = array.reshape(len(array), -1)
    if array.dtype.kind in "fiub":
        return _Columns(array, np.zeros((len(array), _AXES)))
    if array.dtype.kind in "US":
        return _joined(list(array.T), len(array))
    if array.dtype.kind != "O" or not all(_is_plain(cell) for cell in array[0]):
        return None
    return _joined(list(array.T), len(array))


def _is_table(X):
    """Whether X may be turned into an array: images in memory and data sets would be read whole."""
    if isinstance(X, list | tuple):
        return bool(X) and (isinstance(X[0], list | tuple) or np.ndim(X[0]) < 2) and not hasattr(X[0], "convert")
    return hasattr(X, "dtype") and hasattr(X, "__array__")


def _is_plain(cell):
    return cell is None or isinstance(cell, str | bytes | int | float | np.generic) or hasattr(cell, "__fspath__")


def _joined(columns, n):
    numbers, hashes = [], np.zeros((n, _AXES))
    for j, column in enumerate(columns):
        numeric = _as_numbers(column)
        if numeric is None:
            hashes += _hashed(column, j)
        else:
            numbers.append(numeric)
    return _Columns(np.column_stack(numbers) if numbers else np.zeros((n, 0)), hashes)


def _as_numbers(column):
    """A column as float64 if it holds numbers, in whatever way; None for any other."""
    if column.dtype.kind in "mM":
        return column.astype(np.int64).astype(np.float64)
    if column.dtype.kind in "US" or (column.dtype.kind == "O" and any(isinstance(x, str | bytes) for x in column)):
        return None
    try:
        return column.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        return None


def _hashed(column, j):
    """Cells as points, the same for equal texts; the place of the column counts."""
    cells, where = np.unique(np.array([_text(cell) for cell in column]), return_inverse=True)
    digests = b"".join(blake2b(f"{j}:{cell}".encode(), digest_size=8 * _AXES).digest() for cell in cells)
    uniform = np.frombuffer(digests, dtype="<u8").reshape(-1, _AXES) / 2.0**64
    return (np.sqrt(12) * (uniform - 0.5))[where.ravel()]


def _text(cell):
    """The same text for numbers that are equal."""
    if isinstance(cell, bool | np.bool_ | int | np.integer | float | np.floating):
        return repr(float(cell))
    return str(cell)


def _moments(numbers):
    """Centre and scale of numeric columns, from an even sample of the rows."""
    some = numbers[:: max(numbers.shape[0] // _SAMPLE, 1)]
    some = np.asarray(some.todense()) if hasattr(some, "nnz") else some
    with np.errstate(all="ignore"):
        some = np.nan_to_num(some.astype(np.float64), posinf=0.0, neginf=0.0)
        centre = np.median(some, axis=0)
        away = np.sort(np.abs(some - centre), axis=0)
        # half of the values that are not the centre are nearer: no few far ones decide, nor many equal ones
        equal = np.count_nonzero(away == 0, axis=0)
        scale = np.take_along_axis(away, np.minimum((equal + len(some)) // 2, len(some) - 1)[None], axis=0)[0]
    centre = np.where(np.isfinite(centre), centre, 0.0)
    return centre, np.where((scale > 1e-12 * np.abs(centre)) & np.isfinite(scale), scale, 1.0)


def _product(block, centre, weights):
    if hasattr(block, "nnz"):
        return block.astype(np.float64) @ weights - centre @ weights
    dtype = np.float32 if block.dtype in (np.float16, np.float32) else np.float64
    with np.errstate(all="ignore"):
        shifted = np.subtract(block, centre, dtype=dtype, casting="unsafe")
        points = (shifted @ weights.astype(dtype)).astype(np.float64)
        # beside a far value, float32 holds nothing of the others
        if np.isfinite(points).all() and (dtype == np.float64 or np.abs(points).max(initial=0.0) < 1e3):
            return points
        return np.nan_to_num(shifted.astype(np.float64), nan=-7.0, posinf=1e9, neginf=-1e9) @ weights


def _cells(points):
    """Points on a grid that is finer than what is told apart."""
    return np.round(points / _NEAR).astype(np.int64)


def _matches(seen, points):
    """Number of the seen points that are near each of the points, up to a few dozens."""
    seen = seen[np.argsort(seen[:, 0], kind="stable")]
    first = np.searchsorted(seen[:, 0], points[:, 0] - _NEAR, "left")
    last = np.searchsorted(seen[:, 0], points[:, 0] + _NEAR, "right")
    found = np.zeros(len(points), dtype=np.int64)
    for step in range(min(int((last - first).max(initial=0)), _MOST_NEAR)):
        at = np.flatnonzero(first + step < last)
        found[at] += (np.abs(seen[first[at] + step] - points[at]) <= _NEAR).all(axis=1)
    return found


def _twins_between(seen, new):
    """Whether rows of which there are two in all lie on either side more often than chance has it.

    Of two equal rows that are drawn with all others from one source, both are new, or one is, as the numbers of rows
    say, however often the source repeats itself elsewhere. Two that were both fitted on tell nothing: such rows may
    have been copied. Nor does anything where those fitted on were cleared of copies, and only the new ones repeat.
    """
    _, where, counts = np.unique(
        _cells(np.concatenate([new, seen])), axis=0, return_inverse=True, return_counts=True
    )  # fmt: skip
    of_new = np.bincount(where.ravel()[: len(new)], minlength=len(counts))
    if of_new.max() > 1 and (counts - of_new).max() == 1:
        return False
    of_new = of_new[counts == 2]
    across, within = np.count_nonzero(of_new == 1), np.count_nonzero(of_new == 2)
    chance = len(seen) / (len(seen) + (len(new) - 1) / 2)
    return bool(across > 0 and binom.sf(across - 1, across + within, chance) < _LEVEL)


def _pairs(points):
    """Number of pairs of rows that are equal, or near."""
    _, first, counts = np.unique(_cells(points), axis=0, return_index=True, return_counts=True)
    distinct = points[first]
    near = (_matches(distinct, distinct) - 1).sum() / 2
    return near + (counts.astype(np.float64) * (counts - 1)).sum() / 2
