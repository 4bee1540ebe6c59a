"""A tree over classes: leaves are classes, and a node stands for all classes below it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix

from abstain.utils.validation import row_blocks

_ELEMENTS = 1 << 19


class ClassTree:
    """Classes in a tree; nodes are numbered, first the classes in their order, then by how many classes they hold.

    Parameters
    ----------
    parents : array-like of shape (n_nodes,)
        Node above each node, -1 at the root, which is the last one. The first ``n_classes`` are the leaves.
    labels : sequence of length n_nodes
        What the nodes are called: classes by their labels.

    Attributes
    ----------
    n_classes : int
        Number of leaves.
    depth : ndarray of shape (n_nodes,)
        Edges up to the root.
    n_leaves : ndarray of shape (n_nodes,)
        Classes under each node.
    information : ndarray of shape (n_nodes,)
        What an answer says: ``1 - log(n_leaves) / log(n_classes)``, 1 for a class and 0 for the root.
    lineage : ndarray of shape (n_classes, height + 1)
        Nodes from each class up to the root, which fills the rest of the row.
    """

    def __init__(self, parents: ArrayLike, labels: Any) -> None:
        self.parents = np.asarray(parents, dtype=np.intp)
        self.labels = list(labels)
        n_nodes = self.parents.size
        self.n_classes = n_nodes - np.unique(self.parents[:-1]).size
        self.root = n_nodes - 1
        self.depth = np.zeros(n_nodes, dtype=np.intp)
        at = self.parents.copy()
        while (at >= 0).any():
            self.depth += at >= 0
            at = np.where(at >= 0, self.parents[at], -1)
        self.lineage = np.empty((self.n_classes, int(self.depth.max()) + 1), dtype=np.intp)
        nodes = np.arange(self.n_classes)
        for column in self.lineage.T:
            column[:] = nodes
            nodes = np.where(nodes == self.root, nodes, self.parents[nodes])
        self.n_leaves = np.bincount(np.unique(self._pairs(), axis=0)[:, 0], minlength=n_nodes)
        self.information = 1.0 - np.log(self.n_leaves) / np.log(self.n_classes)

    def _pairs(self):
        """Pairs of a node and a class under it, the root repeated."""
        classes = np.repeat(np.arange(self.n_classes), self.lineage.shape[1])
        return np.column_stack([self.lineage.ravel(), classes])

    def __len__(self):
        return self.parents.size

    @property
    def height(self) -> int:
        """Edges from the root to the deepest class."""
        return self.lineage.shape[1] - 1

    @cached_property
    def members(self) -> csr_matrix:
        """Classes under each node, a sparse matrix of shape (n_nodes, n_classes) of ones."""
        rows, columns = np.unique(self._pairs(), axis=0).T
        return csr_matrix((np.ones(rows.size), (rows, columns)), shape=(len(self), self.n_classes))

    @cached_property
    def contains(self) -> np.ndarray:
        """Whether a class is under a node, (n_nodes, n_classes) of bool."""
        return self.members.toarray() > 0

    @cached_property
    def common(self) -> np.ndarray:
        """Lowest common ancestor of two classes, (n_classes, n_classes)."""
        found = np.full((self.n_classes, self.n_classes), self.root)
        for node in np.argsort(self.depth, kind="stable"):
            below = self.leaves(node)
            found[np.ix_(below, below)] = node
        return found

    @cached_property
    def common_with_nodes(self) -> np.ndarray:
        """Lowest common ancestor of a class and a node, (n_classes, n_nodes)."""
        return np.where(self.contains.T, np.arange(len(self)), self.common[:, self.a_leaf])

    @property
    def a_leaf(self) -> np.ndarray:
        """Some class under each node, (n_nodes,)."""
        return self.members.indices[self.members.indptr[:-1]]

    @property
    def spans(self) -> np.ndarray:
        """Range of each node in a walk through the tree: of nested nodes one holds the other, (n_nodes,) twice."""
        return self._walk[1:]

    @cached_property
    def height_of(self) -> np.ndarray:
        """Edges from each node down to its deepest class, (n_nodes,)."""
        heights = np.zeros(len(self), dtype=np.intp)
        for step, column in enumerate(self.lineage.T):
            reached = self.depth[: self.n_classes] >= step
            np.maximum.at(heights, column[reached], step)
        return heights

    def cost(self, distance: np.ndarray | None = None, vagueness: float = 0.5) -> np.ndarray:
        """Costs of answering a node where a class is true, (n_classes, n_nodes).

        Parameters
        ----------
        distance : ndarray of shape (n_classes, n_nodes), default=None
            Costs of wrong answers; None is 1.
        vagueness : float, default=0.5
            Cost of a right answer that says nothing; others cost that share of it which they leave open.
        """
        wrong = 1.0 if distance is None else distance
        return np.where(self.contains.T, vagueness * (1.0 - self.information), wrong)

    def leaves(self, node: int) -> np.ndarray:
        """Indices of the classes under a node."""
        return self.members.indices[self.members.indptr[node] : self.members.indptr[node + 1]]

    def path(self, node: int) -> list:
        """Nodes from a node up to the root."""
        nodes = [int(node)]
        while nodes[-1] != self.root:
            nodes.append(int(self.parents[nodes[-1]]))
        return nodes

    @cached_property
    def _walk(self):
        """Classes in an order in which those of each node are neighbours; the first of each, and one past the last."""
        paths = [self.lineage[c, ::-1][-self.depth[c] - 1 :].tolist() for c in range(self.n_classes)]
        order = np.array(sorted(range(self.n_classes), key=paths.__getitem__))
        place = np.empty_like(order)
        place[order] = np.arange(order.size)
        first = np.minimum.reduceat(place[self.members.indices], self.members.indptr[:-1])
        return order, first, first + self.n_leaves

    def sizes(self, nodes: np.ndarray) -> np.ndarray:
        """Number of classes under each of some sets of nodes, of which -1 is none: (..., s) -> (...)."""
        return np.where(nodes >= 0, self.n_leaves[nodes], 0).sum(axis=-1)

    @cached_property
    def levels(self) -> list[tuple[int, int]]:
        """Ranges of nodes that hold equally many classes, less the root: [(first, one past the last)]."""
        starts = np.flatnonzero(np.diff(self.n_leaves[:-1], prepend=0))
        return list(pairwise([*starts.tolist(), self.root]))

    def masses(self, proba: np.ndarray) -> Iterator[tuple[slice, Masses]]:
        """Yield rows, and the probabilities of nodes in them, block by block; see ``Masses``."""
        for rows in row_blocks(len(proba), len(self), _ELEMENTS):
            yield rows, Masses(self, np.ascontiguousarray(proba[rows], dtype=np.float64))


class Masses:
    """Probabilities of the nodes of a tree, for some samples.

    That of a node and that of all else are both sums of positive terms, so that neither loses its digits next to one;
    and a row has the same sums in any company.

    Parameters
    ----------
    tree : ClassTree
        The tree.
    proba : ndarray of shape (n, n_classes)
        Probabilities of classes.
    """

    def __init__(self, tree, proba):
        self.tree, self.proba = tree, proba

    @cached_property
    def mass(self):
        """Probability of each node, (n, n_nodes)."""
        return (self.tree.members @ np.ascontiguousarray(self.proba.T)).T

    @cached_property
    def _sums(self):
        """Sums over the first classes of the walk, and over the last."""
        order, sums = self.tree._walk[0], np.zeros((2, len(self.proba), self.tree.n_classes + 1))
        np.cumsum(self.proba[:, order], axis=1, out=sums[0, :, 1:])
        np.cumsum(self.proba[:, order[::-1]], axis=1, out=sums[1, :, 1:])
        return sums

    def of(self, nodes):
        """Probabilities of some nodes of each sample, and of all else: (n, k) -> (n, k), (n, k)."""
        first, last = self.tree.spans
        before, after = self._sums
        rest = np.take_along_axis(before, first[nodes], axis=1)
        rest += np.take_along_axis(after, self.tree.n_classes - last[nodes], axis=1)
        return np.take_along_axis(self.mass, nodes, axis=1), rest

    @cached_property
    def likeliest(self):
        """The likeliest node of each level, (n, n_levels); nodes of a level share all of their classes, or none."""
        found = np.empty((len(self.proba), len(self.tree.levels)), dtype=np.intp)
        for column, (start, stop) in zip(found.T, self.tree.levels, strict=True):
            column[:] = start + self.mass[:, start:stop].argmax(axis=1)
        return found
