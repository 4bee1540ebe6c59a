"""Sets of a few nodes that hold the likeliest classes, grown class by class, for many samples at once."""

from itertools import combinations

import numpy as np


def grown_sets(proba, mass, tree, max_nodes):
    """Sets of nodes from the likeliest class to all but all classes.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Probabilities of classes.
    mass : ndarray of shape (n, n_nodes)
        Probabilities of nodes.
    tree : ClassTree
        The tree.
    max_nodes : int
        Nodes in a set, at most.

    Returns
    -------
    nodes : ndarray of shape (n, r, max_nodes)
        Sets that grow, the last repeated where there are fewer; -1 for no node.
    covered, rest : ndarray of shape (n, r)
        Their probabilities, and those of all else.
    """
    n, everything = len(proba), np.arange(len(proba))
    left = np.array(proba, dtype=np.float64)
    leaf = left.argmax(axis=1)
    held = np.full((n, max_nodes + 1), -1)
    held[:, 0] = leaf
    found = []
    active = np.ones(n, dtype=bool)
    while active.any():
        rows = everything[active]
        left[rows] = np.where(_any_contains(tree, held[rows]), -1.0, left[rows])
        found.append(_state(held, mass, left))
        more = left[rows].max(axis=1) >= 0
        held[rows[more], max_nodes] = left[rows[more]].argmax(axis=1)
        held[rows[more]] = _reduced(held[rows[more]], tree)
        done = tree.sizes(held) == tree.n_classes
        held[done] = found[-1][0][done]  # to say that it is anything says nothing
        active = active & ~done
    nodes, covered, rest = (np.stack(parts, axis=1) for parts in zip(*found, strict=True))
    return nodes[:, :, :max_nodes], covered, rest


def _any_contains(tree, held):
    """Whether a class is under any of some nodes, (n, n_classes)."""
    inside = np.zeros((len(held), tree.n_classes), dtype=bool)
    for nodes in held.T:
        inside |= tree.contains[nodes] & (nodes >= 0)[:, None]
    return inside


def _state(held, mass, left):
    there = held >= 0
    covered = np.where(there, np.take_along_axis(mass, np.maximum(held, 0), axis=1), 0.0).sum(axis=1)
    return held.copy(), covered, np.maximum(left, 0.0).sum(axis=1)


def _reduced(held, tree):
    """Put the new node, the last, where there is room; else join the pair whose ancestor adds the fewest classes."""
    full = (held >= 0).all(axis=1)
    out = held.copy()
    room = ~full
    free = (held[room] < 0).argmax(axis=1)
    out[np.flatnonzero(room), free] = held[room, -1]
    out[room, -1] = -1
    if full.any():
        out[full] = _merged(held[full], tree)
    return out


def _merged(held, tree):
    sizes = tree.n_leaves[held]
    first, last = tree.spans
    best = np.full(len(held), np.iinfo(np.int64).max)
    joint = np.zeros(len(held), dtype=np.intp)
    for a, b in combinations(range(held.shape[1]), 2):
        above = tree.common[tree.a_leaf[held[:, a]], tree.a_leaf[held[:, b]]]
        inside = (first[above][:, None] <= first[held]) & (last[held] <= last[above][:, None])
        added = tree.n_leaves[above] - np.where(inside, sizes, 0).sum(axis=1)
        better = added < best
        best, joint = np.where(better, added, best), np.where(better, above, joint)
    inside = (first[joint][:, None] <= first[held]) & (last[held] <= last[joint][:, None])
    kept = np.where(inside, -1, held)
    order = np.argsort(kept < 0, axis=1, kind="stable")
    kept = np.take_along_axis(kept, order, axis=1)
    kept[np.arange(len(kept)), (kept >= 0).sum(axis=1)] = joint
    return kept
