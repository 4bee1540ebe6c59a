"""Evaluate a head, linear or deep, from arrays: no torch, no device, any size of data."""

import numpy as np


def outputs(design, layers):
    """Raw outputs of every row.

    Parameters
    ----------
    design : Design
        The rows.
    layers : list
        The first entry is (p, h), in the layout of the design; the others are pairs (weights, bias). Hidden
        layers are rectified.

    Returns
    -------
    z : ndarray of shape (n, m)
        Outputs of the last layer, float64.
    """
    first, rest = layers[0], layers[1:]
    weights, intercept = design.unscaled(first)
    out = np.empty((design.n, rest[-1][1].size if rest else first.shape[1]))
    for rows, parts in design.pieces():
        a = design.block_outputs(rows, parts, weights, intercept, first)
        for matrix, bias in rest:
            a = np.maximum(a, 0.0) @ matrix + bias
        out[rows] = a
    return out
