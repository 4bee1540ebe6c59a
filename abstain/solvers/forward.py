"""Evaluate a head, linear or deep, from arrays: no torch, no device, any size of data."""

import numpy as np


def outputs(design, layers, heads=()):
    """Raw outputs of every row.

    Parameters
    ----------
    design : Design
        The rows.
    layers : list
        The first entry is (p, h), in the layout of the design; the others are pairs (weights, bias). What goes into a
        pair is rectified.
    heads : list of list, default=()
        Further pairs that part ways after these layers; their outputs stand side by side.

    Returns
    -------
    z : ndarray of shape (n, m)
        Outputs of the last layers, float64.
    """
    weights, intercept = design.unscaled(layers[0])
    blocks = []
    for rows, parts in design.pieces():
        a = _through(design.block_outputs(rows, parts, weights, intercept, layers[0]), layers[1:])
        blocks.append(np.concatenate([_through(a, head) for head in heads], axis=1) if heads else a)
    return np.concatenate(blocks)


def _through(a, pairs):
    for matrix, bias in pairs:
        a = np.maximum(a, 0.0) @ matrix + bias
    return a
