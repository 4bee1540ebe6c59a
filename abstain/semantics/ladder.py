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
    def score(self):
        """The largest threshold at which anything is answered, (n,)."""
        return self.until[:, -1]

    def losses(self, codes):
        """Whether each answer is wrong where ``codes`` are the true classes: not above the class, (n, r) of 0 and 1."""
        codes = np.asarray(codes)[:, None, None]
        right = self.tree.contains[self.nodes, codes] & (self.nodes >= 0)
        return 1.0 - right.any(axis=2)

    @property
    def information(self):
        """What each answer says, in [0, 1], (n, r): ``1 - log(classes under it) / log(classes)``."""
        size = np.where(self.nodes >= 0, self.tree.n_leaves[self.nodes], 0).sum(axis=2)
        return 1.0 - np.log(size) / np.log(self.tree.n_classes)

    def at(self, threshold):
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
    """Make a ladder of the nodes (n, r, s) and thresholds (n, r) of several blocks of samples.

    An answer that lasts no longer than the one before it is never given; that one takes its place.
    """
    width = max(until.shape[1] for _, until in parts)
    nodes = np.concatenate([_widened(nodes, width) for nodes, _ in parts])
    until = np.concatenate([_widened(until, width) for _, until in parts])
    first = first_of_equals(until)
    return Ladder(tree, np.take_along_axis(nodes, first[:, :, None], axis=1), until)


def _widened(array, width):
    """Repeat the last column where there are fewer."""
    missing = [(0, 0), (0, width - array.shape[1]), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(array, missing, mode="edge")
