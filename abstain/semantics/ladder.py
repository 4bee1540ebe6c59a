"""Answers to one sample, from bold to cautious: which node of a tree, up to which threshold."""

from typing import NamedTuple

import numpy as np

from abstain.semantics.tree import ClassTree
from abstain.utils.validation import first_of_equals


class Ladder(NamedTuple):
    """What a rule answers to each sample as a threshold rises.

    An answer is a node, or a few of them. Answer j is given at thresholds up to ``until[:, j]`` and above
    ``until[:, j - 1]``; above the last of them there is none, which is the root of the tree, and always right.
    """

    tree: ClassTree
    nodes: np.ndarray  # (n, r, s) of int: node, or nodes, -1 where there are fewer
    until: np.ndarray  # (n, r), rows that do not fall

    @property
    def score(self) -> np.ndarray:
        """The largest threshold at which anything is answered, (n,)."""
        return self.until[:, -1]

    def losses(self, codes: np.ndarray) -> np.ndarray:
        """Whether each answer is wrong where ``codes`` are the true classes: not above the class, (n, r) of 0 and 1."""
        codes = np.asarray(codes)[:, None, None]
        right = self.tree.contains[self.nodes, codes] & (self.nodes >= 0)
        return 1.0 - right.any(axis=2)

    @property
    def information(self) -> np.ndarray:
        """What each answer says, in [0, 1], (n, r): ``1 - log(classes under it) / log(classes)``."""
        return 1.0 - np.log(self.tree.sizes(self.nodes)) / np.log(self.tree.n_classes)

    def at(self, threshold: float | np.ndarray) -> np.ndarray:
        """Answers at a threshold, one or one a sample.

        Parameters
        ----------
        threshold : float or ndarray of shape (n,)
            Where.

        Returns
        -------
        nodes : ndarray of shape (n, s)
            The root where nothing is answered.
        """
        column = (self.until < np.reshape(threshold, (-1, 1))).sum(axis=1)
        chosen = self.nodes[np.arange(len(column)), np.minimum(column, self.until.shape[1] - 1)]
        nothing = np.full(chosen.shape[1], -1)
        nothing[0] = self.tree.root
        return np.where((column < self.until.shape[1])[:, None], chosen, nothing)


def ladder_of(tree, parts):
    """Make a ladder of nodes (n, r, s) and thresholds (n, r) of several blocks of samples, as `settled` made them."""
    if not parts:
        raise ValueError("proba is empty: at least one sample is needed (Found array with 0 sample(s)).")
    width = max(until.shape[1] for _, until in parts)
    nodes = np.concatenate([_widened(nodes, width) for nodes, _ in parts])
    return Ladder(tree, nodes, np.concatenate([_widened(until, width) for _, until in parts]))


def settled(tree, nodes, until):
    """Repeat answers in the place of those after them that are never given, or say no more than the root.

    An answer is never given if it lasts no longer than the one before it; one that holds all classes says nothing.
    """
    said = tree.sizes(nodes) < tree.n_classes
    last = np.maximum.accumulate(np.where(said, np.arange(until.shape[1]), 0), axis=1)
    until = np.take_along_axis(until, last, axis=1)
    last = np.take_along_axis(last, first_of_equals(until), axis=1)
    return np.take_along_axis(nodes, last[:, :, None], axis=1).astype(np.int32), until


def _widened(array, width):
    """Repeat the last column where there are fewer."""
    missing = [(0, 0), (0, width - array.shape[1]), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(array, missing, mode="edge") if array.shape[1] < width else array
