"""What classes are to each other: distances, weights, and a tree."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from abstain.semantics import growing
from abstain.semantics.checks import as_labels
from abstain.semantics.tree import ClassTree
from abstain.utils.validation import check_choice, check_number, check_unit
from abstain.warnings import FlatWeightsWarning, warn

KINDS = ("path", "lca_height", "lca_depth", "wup")


class ClassRelations:
    """What `ClassSemantics` knows of its classes, wherever that comes from; see there."""

    def __init__(
        self, classes: ArrayLike, names: Any = None, *, tree: ClassTree | None = None, matrix: np.ndarray | None = None,
        measure: str = "path",
    ) -> None:  # fmt: skip
        self.classes = as_labels(classes, "classes")
        self.names = tuple(map(str, self.classes if names is None else names))
        if len(self.names) != len(self.classes):
            raise ValueError(
                f"names must have one entry for each of {len(self.classes)} classes; got {len(self.names)}."
            )
        if matrix is not None and len(matrix) != len(self.classes):
            raise ValueError(f"classes must name the {len(matrix)} rows of the matrix; got {len(self.classes)} labels.")
        self.tree, self.matrix, self.measure = tree, matrix, measure

    def __len__(self):
        return len(self.classes)

    def __repr__(self):
        nodes = "" if self.tree is None else f", {len(self.tree)} nodes, height {self.tree.height}"
        return f"{type(self).__name__}({len(self)} classes{nodes})"

    def grown(self, method: str = "average") -> Self:
        """Grow a tree by joining what is nearest, again and again.

        Parameters
        ----------
        method : str, default="average"
            Of `scipy.cluster.hierarchy.linkage`: "average", "complete", "single" or another.

        Returns
        -------
        semantics : ClassSemantics
            The same, with a binary tree.
        """
        tree = growing.agglomerated(self.distance(), self.classes.tolist(), method)
        return type(self)(self.classes, self.names, tree=tree, matrix=self.matrix, measure=self.measure)

    def with_classes(self, classes: ArrayLike) -> Self:
        """Call the classes by other labels, in the same order.

        Parameters
        ----------
        classes : array-like of shape (n_classes,)
            Labels, as in your ``y``.

        Returns
        -------
        semantics : ClassSemantics
            The same.
        """
        labels = as_labels(classes, "classes")
        if len(labels) != len(self):
            raise ValueError(f"classes must hold {len(self)} labels, one for each class; got {len(labels)}.")
        tree = None if self.tree is None else growing.relabelled(self.tree, labels.tolist())
        return type(self)(labels, self.names, tree=tree, matrix=self.matrix, measure=self.measure)

    def aligned(self, classes: ArrayLike) -> Self:
        """Put the classes in another order, or keep some of them.

        Parameters
        ----------
        classes : array-like of shape (n,)
            Labels, such as ``classes_`` of a classifier.

        Returns
        -------
        semantics : ClassSemantics
            With its classes in that order.

        Raises
        ------
        ValueError
            If the semantics lack a class.
        """
        labels = as_labels(classes, "classes")
        place = {label: i for i, label in enumerate(self.classes.tolist())}
        missing = [label for label in labels.tolist() if label not in place]
        if missing:
            raise ValueError(
                f"semantics lack {len(missing)} of the classes, {missing[:5]}; they know {list(place)[:5]}"
                f"{' ...' if len(place) > 5 else ''}. Name the classes as in y: semantics.with_classes(labels)."
            )
        rows = np.array([place[label] for label in labels.tolist()])
        if np.array_equal(rows, np.arange(len(self))):
            return self
        matrix = None if self.matrix is None else self.matrix[np.ix_(rows, rows)]
        names, tree = [self.names[row] for row in rows], self._pruned(rows, labels)
        return type(self)(labels, names, tree=tree, matrix=matrix, measure=self.measure)

    def _pruned(self, rows, labels):
        if self.tree is None:
            return None
        above = {node: int(parent) for node, parent in enumerate(self.tree.parents) if parent >= 0}
        return growing.tree_of(above, rows.tolist(), dict(enumerate(self.tree.labels)), labels.tolist())

    @property
    def parents(self) -> dict:
        """Label of the node above each node, by its label; the root has none."""
        tree = self._tree()
        return {tree.labels[node]: tree.labels[parent] for node, parent in enumerate(tree.parents) if parent >= 0}

    def leaves(self, node: Any) -> list:
        """Labels of the classes under a node.

        Parameters
        ----------
        node : object
            Label of the node, among those of ``tree.labels``.

        Returns
        -------
        classes : list
            Labels.
        """
        tree = self._tree()
        if node not in tree.labels:
            inner = tree.labels[len(self) :]
            raise ValueError(f"node must be one of the {len(tree)} nodes, such as {inner[-5:]}; got {node!r}.")
        return self.classes[tree.leaves(tree.labels.index(node))].tolist()

    def _tree(self):
        if self.tree is None:
            raise ValueError(
                "these semantics have no tree. Grow one from the distances: semantics.grown(); or use from_tree."
            )
        return self.tree

    def distance(self, kind: str | None = None) -> np.ndarray:
        """Distances between classes.

        Parameters
        ----------
        kind : {"path", "lca_height", "lca_depth", "wup"}, default=None
            "path": edges between the two, in WordNet over any of the parents. "lca_height": edges from the lowest
            common ancestor down to its deepest class. "lca_depth": height of the tree less the depth of that ancestor,
            which is what published tables of mistake severity use; the two differ where leaves are not equally deep.
            "wup": one less the similarity of Wu and Palmer. None is what the semantics were made from: "path" for
            hierarchies.

        Returns
        -------
        distance : ndarray of shape (n_classes, n_classes)
            Symmetric, not negative, with zeros on the diagonal.
        """
        check_choice(kind, "kind", (*KINDS, None))
        if self.matrix is not None and kind in (None, self.measure):
            return _distances_of(self.matrix) if self.measure == "similarity" else self.matrix.copy()
        tree, at = self._tree(), np.arange(len(self))
        depth, shared = tree.depth[at], tree.common
        found = {
            "lca_height": lambda: tree.height_of[shared],
            "lca_depth": lambda: tree.height - tree.depth[shared],
            "wup": lambda: 1.0 - 2.0 * (tree.depth[shared] + 1) / (depth[:, None] + depth + 2),
        }.get(kind or "path", lambda: depth[:, None] + depth - 2 * tree.depth[shared])().astype(np.float64)
        np.fill_diagonal(found, 0.0)
        return found

    def similarity(self, kind: str | None = None) -> np.ndarray:
        """Similarities between classes, in [0, 1] where they come from distances.

        Parameters
        ----------
        kind : {"path", "lca_height", "lca_depth", "wup"}, default=None
            As for `distance`. Of path lengths d it is ``1 / (1 + d)``, the path similarity of WordNet; of others, one
            less the share of the largest distance. None is what the semantics were made from.

        Returns
        -------
        similarity : ndarray of shape (n_classes, n_classes)
            Largest on the diagonal.
        """
        measure = kind or self.measure
        if measure == "similarity" and self.matrix is not None:
            return self.matrix.copy()
        distance = self.distance(kind)
        if measure == "path":
            return 1.0 / (1.0 + distance)
        return 1.0 - distance if measure == "wup" else 1.0 - distance / max(distance.max(), 1e-300)

    def node_cost(self, kind: str | None = None, *, vagueness: float = 0.5) -> np.ndarray:
        """Costs of answering a node of the tree, for `LeastCost`.

        Parameters
        ----------
        kind : {"path", "lca_height", "lca_depth"}, default=None
            Distance of the true class to a wrong node in the tree, as a share of the largest between classes, is its
            cost. None: every wrong answer costs 1.
        vagueness : float, default=0.5
            Cost of saying nothing; right answers cost that share of it which they leave open.

        Returns
        -------
        cost : ndarray of shape (n_classes, n_nodes)
            ``cost[i, v]``: of answering v where the class is i.
        """
        check_choice(kind, "kind", ("path", "lca_height", "lca_depth", None))
        check_number(vagueness, "vagueness", least=0)
        tree = self._tree()
        if kind is None:
            return tree.cost(vagueness=vagueness)
        shared, depth = tree.common_with_nodes, tree.depth
        distance = {
            "path": lambda: depth[: len(self), None] + depth - 2 * depth[shared],
            "lca_height": lambda: tree.height_of[shared],
            "lca_depth": lambda: tree.height - depth[shared],
        }[kind]()
        return tree.cost(distance / distance[:, : len(self)].max(), vagueness)

    def weights(self, kind: str | None = None, *, temperature: float = 1.0, mix: float = 1.0) -> np.ndarray:
        """Rows of soft labels from similarities, for `abstain.losses.WLFLoss`.

        Parameters
        ----------
        kind : {"path", "lca_height", "lca_depth", "wup"}, default=None
            As for `similarity`.
        temperature : float, default=1.0
            Similarities are raised to ``1 / temperature``: below 1 sharpens, towards one-hot rows.
        mix : float, default=1.0
            Share of these rows against one-hot labels, in [0, 1].

        Returns
        -------
        weights : ndarray of shape (n_classes, n_classes)
            Rows sum to one; row i is the soft label of class i.

        Warns
        -----
        FlatWeightsWarning
            If a row gives less than half of its mass to its own class.
        """
        check_number(temperature, "temperature", above=0)
        check_unit(mix, "mix", closed=True)
        similarity = self.similarity(kind)
        sharp = (similarity / similarity.max(axis=1, keepdims=True)) ** (1.0 / temperature)
        return _warned((1.0 - mix) * np.eye(len(self)) + mix * sharp / sharp.sum(axis=1, keepdims=True))

    def soft_labels(self, beta: float = 10.0, kind: str | None = None) -> np.ndarray:
        """Soft labels of Bertinetto et al. (CVPR 2020): ``softmax(-beta d / max d)``, for `abstain.losses.WLFLoss`.

        Parameters
        ----------
        beta : float, default=10.0
            Larger is nearer to one-hot labels.
        kind : {"path", "lca_height", "lca_depth", "wup"}, default=None
            As for `distance`; "lca_depth" in the paper.

        Returns
        -------
        weights : ndarray of shape (n_classes, n_classes)
            Rows sum to one.

        Warns
        -----
        FlatWeightsWarning
            If a row gives less than half of its mass to its own class.
        """
        check_number(beta, "beta", least=0)
        distance = self.distance(kind)
        return _warned(softmax(-beta * distance / max(distance.max(), 1e-300), axis=1))


def _distances_of(similarity):
    """One less the share of the similarity of two classes in that of each with itself."""
    own = np.diag(similarity)
    alike = (similarity + similarity.T) / (own[:, None] + own)
    return np.where(np.eye(len(own), dtype=bool), 0.0, np.maximum(1.0 - alike, 0.0))


def _warned(weights):
    own = np.diag(weights)
    if own.min() < 0.5:
        warn(
            f"{int((own < 0.5).sum())} of {len(own)} rows of weights give less than half of their mass to their own "
            f"class, {own.min():.3f} at least: nearly flat targets, which soften all probabilities. Sharpen them with "
            "a smaller temperature or mix, or a larger beta.",
            FlatWeightsWarning,
        )
    return weights
