"""The input of a linear head in pieces: features of any size on disk, a few dense columns, a class per row.

Nothing is glued together or copied whole. Standardisation is folded into the weights, so that a block is read,
multiplied twice while it is in cache, and forgotten.
"""

from copy import copy

import numpy as np

from abstain.utils.slices import place_of, read, shares_of
from abstain.utils.validation import rounding_of, row_blocks

_SMALL, _BLOCK = 1 << 22, 1 << 19  # elements


class Design:
    """Rows of a linear model: ``z = standardised(features) @ u + standardised(dense) @ v + offset[code]``.

    Parameters
    ----------
    features : ndarray of shape (n, d) or None
        May be memory-mapped, float16, float32 or float64.
    dense : ndarray of shape (n, c) or None
        A few columns, float64.
    codes : ndarray of shape (n,) or None
        Integer code of each row; each code has its own offset.
    n_codes : int
        Number of codes.

    Attributes
    ----------
    blocks : dict of str to slice
        Rows of the parameters that belong to "features", "dense", "codes" and "intercept".
    size : int
        Number of parameters.
    """

    def __init__(self, features=None, dense=None, codes=None, n_codes=0, *, mean=None, scale=None):
        self.matrices = [m for m in (features, dense) if m is not None]
        self.codes, self.n_codes = codes, n_codes if codes is not None else 0
        self.n = len(self.matrices[0] if self.matrices else codes)
        names = [name for name, m in (("features", features), ("dense", dense)) if m is not None]
        widths = [m.shape[1] for m in self.matrices]
        edges = np.cumsum([0, *widths, self.n_codes, 1]).tolist()
        self.blocks = {
            name: slice(a, b) for name, a, b in zip([*names, "codes", "intercept"], edges[:-1], edges[1:], strict=True)
        }
        self.size, self.width = edges[-1], edges[-3]
        # few rows cost nothing in float64, and do without its roundings
        self.double = mean is None and self.n * self.width <= _SMALL
        self.mean, self.scale = (mean, scale) if mean is not None else self._moments()
        # a mean far above the spread cancels badly in float32
        self.double = self.double or bool((np.abs(self.mean) > 1e3 * self.scale).any())
        self.rounding = max((rounding_of(self._working(m[:1])) for m in self.matrices), default=2.0**-52)

    def pieces(self):
        """Yield (rows, matrices of the block in a float dtype that multiplies fast)."""
        matrices = [read(m) for m in self.matrices]
        for rows in row_blocks(self.n, max(self.width, 64), _BLOCK):
            yield rows, [self._working(m[rows]) for m in matrices]

    def shares(self, n_jobs):
        """Slices of the rows for workers, of a block at least."""
        return shares_of(self.n, n_jobs, max(_BLOCK // max(self.width, 64), 1))

    def share(self, rows):
        """Return the same for a slice of the rows; of those on disk, the place travels to another process alone."""
        part = copy(self)
        part.n = rows.stop - rows.start
        part.matrices = [place_of(m, rows) for m in self.matrices]
        part.codes = None if self.codes is None else self.codes[rows]
        return part

    def _working(self, block):
        """A block in a dtype that multiplies fast: float32 where that loses nothing, else float64."""
        if block.dtype in (np.float16, np.float32):
            return block.astype(np.float64 if self.double else np.float32, copy=False)
        return block.astype(np.float64, copy=False)

    def _moments(self):
        total, square, pilot = np.zeros((3, self.width))
        for rows, parts in self.pieces():
            block = np.concatenate([p.astype(np.float64) for p in parts], axis=1) if parts else np.zeros((0, 0))
            with np.errstate(over="ignore", invalid="ignore"):
                if not rows.start:  # a shift keeps the variance exact
                    pilot = block.sum(axis=0) / max(len(block), 1)
                block -= pilot
                total += block.sum(axis=0)
                square += np.einsum("ij,ij->j", block, block)
        if not np.isfinite(square).all():
            raise ValueError("X has values that are too large for their squares to be summed up: scale its columns.")
        shifted = total / self.n
        mean = shifted + pilot
        scale = np.sqrt(np.maximum(square / self.n - shifted**2, 0.0))
        tiny = scale <= 1e-9 * np.maximum(np.abs(mean), 1e-300)
        return mean, np.where(tiny, np.inf, scale)

    def unscaled(self, parameters):
        """Weights for raw columns and the intercept that absorbs their means."""
        weights = parameters[: self.width] / self.scale[:, None]
        return weights, parameters[-1] - self.mean @ weights

    def block_outputs(self, rows, parts, weights, intercept, parameters):
        """``z`` of one block."""
        z = np.broadcast_to(intercept, (rows.stop - rows.start, intercept.size)).copy()
        start = 0
        for part in parts:
            stop = start + part.shape[1]
            z += part @ weights[start:stop].astype(part.dtype)
            start = stop
        if self.n_codes:
            z += parameters[self.blocks["codes"]][self.codes[rows]]
        return z

    def add_gradient(self, gradient, rows, parts, slope):
        """Add one block's share of the gradient by the parameters, in raw columns; see `finish_gradient`."""
        start = 0
        for part in parts:
            stop = start + part.shape[1]
            gradient[start:stop] += part.T @ slope.astype(part.dtype)
            start = stop
        if self.n_codes:
            codes = self.codes[rows]
            for j in range(slope.shape[1]):
                gradient[self.blocks["codes"], j] += np.bincount(codes, slope[:, j], self.n_codes)
        gradient[-1] += slope.sum(axis=0)

    def finish_gradient(self, gradient):
        """Turn the gradient by raw columns into that by standardised ones, in place."""
        gradient[: self.width] -= self.mean[:, None] * gradient[-1]
        gradient[: self.width] /= self.scale[:, None]
        return gradient
