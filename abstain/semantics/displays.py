"""What a tree says of one sample; matplotlib is imported on use."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from abstain.semantics.tree import ClassTree
from abstain.utils.optional import import_extra
from abstain.utils.validation import check_proba, check_unit


class AnswerTreeDisplay:
    """The part of a class tree that one sample may belong to, with the probability of each node.

    Parameters
    ----------
    tree : ClassTree
        The tree.
    mass : ndarray of shape (n_nodes,)
        Probabilities of the nodes.
    names : sequence of str
        Names of the nodes.
    answer : int, default=None
        Number of the node that is answered.
    truth : int, default=None
        Number of the true class.

    Attributes
    ----------
    ax_, figure_ : matplotlib objects
        After `plot`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from abstain.semantics import AnswerTreeDisplay, ClassSemantics
    >>> semantics = ClassSemantics.from_tree([("pet", "cat"), ("pet", "dog"), ("any", "pet"), ("any", "wolf")])
    >>> display = AnswerTreeDisplay.from_predictions([0.5, 0.4, 0.1], semantics, answer="pet")
    >>> [label.get_text().strip() for label in display.ax_.texts if "pet" in label.get_text()]
    ['pet']
    """

    def __init__(
        self, tree: ClassTree, mass: np.ndarray, names: Any, *, answer: int | None = None, truth: int | None = None
    ) -> None:
        self.tree = tree
        self.mass = mass
        self.names = names
        self.answer = answer
        self.truth = truth

    def plot(self, ax: Any = None, *, least: float = 0.03) -> AnswerTreeDisplay:
        """Draw the tree from the root downwards, a bar for each node.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes new ones.
        least : float, default=0.03
            Nodes that are less probable are left out, unless they are the answer, the truth, or above one of them.

        Returns
        -------
        display : AnswerTreeDisplay
            Itself.
        """
        rows = self._rows(check_unit(least, "least", closed=True))
        if ax is None:
            _, ax = import_extra("matplotlib.pyplot", "plot").subplots(figsize=(6, 0.28 * len(rows) + 0.8))
        for place, (node, depth) in enumerate(rows):
            answered = node == self.answer
            ax.barh(place, self.mass[node], color="tab:blue" if answered else "0.8", height=0.7)
            mark = " ✓" if node == self.truth else ""
            weight = "bold" if answered else "normal"
            ax.text(0.01, place, "   " * depth + self.names[node] + mark, va="center", weight=weight)
        ax.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6), xlabel="Probability", yticks=[])
        ax.spines[["top", "right", "left"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _rows(self, least):
        """Nodes to draw and their depth among these, depth first, likelier ones first."""
        kept = {node for node in range(len(self.tree)) if self.mass[node] >= least}
        for node in (self.answer, self.truth, self.tree.root):
            kept |= set() if node is None else set(self.tree.path(node))
        below: dict = {node: [] for node in kept}
        for node in kept - {self.tree.root}:
            below[int(self.tree.parents[node])].append(node)
        rows, waiting = [], [(self.tree.root, 0)]
        while waiting:
            node, depth = waiting.pop()
            rows.append((node, depth))
            waiting.extend((child, depth + 1) for child in sorted(below[node], key=lambda child: self.mass[child]))
        return rows

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, truth: Any = None, ax: Any = None, **kwargs: Any
    ) -> AnswerTreeDisplay:
        """Draw what a hierarchical classifier says of one sample.

        Parameters
        ----------
        estimator : HierarchicalClassifier
            Fitted.
        X : array-like of shape (1, n_features)
            The sample.
        truth : object, default=None
            Its true label.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : AnswerTreeDisplay
            Drawn.
        """
        proba = estimator.predict_proba(X)
        if len(proba) != 1:
            raise ValueError(f"X must be one sample; got {len(proba)}. Pass X[[i]].")
        said = estimator.decide(X)[0]
        semantics = estimator.semantics.aligned(estimator.classes_)
        known = said if said in semantics.tree.labels else None
        return cls.from_predictions(proba[0], semantics, answer=known, truth=truth, ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls, proba: ArrayLike, semantics: Any, *, answer: Any = None, truth: Any = None, ax: Any = None, **kwargs: Any
    ) -> AnswerTreeDisplay:
        """Draw the probabilities of one sample on a tree.

        Parameters
        ----------
        proba : array-like of shape (n_classes,)
            Probabilities, in the order of ``semantics.classes``.
        semantics : ClassSemantics
            With a tree.
        answer : object, default=None
            Label of the node that is answered; None is none, the root.
        truth : object, default=None
            True label.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : AnswerTreeDisplay
            Drawn.
        """
        proba = check_proba(np.atleast_2d(proba), "proba")
        tree = semantics.tree
        if tree is None:
            raise ValueError("semantics have no tree: grow one from their distances, semantics.grown().")
        if proba.shape != (1, tree.n_classes):
            raise ValueError(f"proba must have one entry for each of {tree.n_classes} classes; got {proba.shape}.")
        for name, label in (("answer", answer), ("truth", truth)):
            if label is not None and label not in tree.labels:
                raise ValueError(f"{name} must be the label of a node, such as {tree.labels[-3:]}; got {label!r}.")
        ((_, masses),) = tree.masses(proba)
        places = [None if label is None else tree.labels.index(label) for label in (answer, truth)]
        names = [*semantics.names, *map(str, tree.labels[len(semantics) :])]
        at = tree.root if places[0] is None else places[0]
        return cls(tree, masses.mass[0], names, answer=at, truth=places[1]).plot(ax, **kwargs)
