"""Which node is answered at which threshold: rules that turn class probabilities into ladders of answers.

Thresholds of rules that ask for a probability are log-odds, which keep their digits where probabilities are near one.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from abstain.decisions import least_expected_cost
from abstain.outputs import LOWEST
from abstain.semantics.ladder import Ladder, ladder_of, settled
from abstain.semantics.node_sets import grown_sets
from abstain.semantics.tree import ClassTree
from abstain.utils.validation import check_count


class NodeRule(Protocol):
    """Turns class probabilities into answers."""

    def ladder(self, proba: Any, tree: Any) -> Ladder:
        """Answers to each sample, from bold to cautious: (n, n_classes) -> `Ladder`."""


def _by_blocks(block_rule):
    """Make a ladder from a function of the probabilities of the nodes in a block of rows: (nodes, until)."""

    def ladder(self, proba: np.ndarray, tree: ClassTree) -> Ladder:
        parts = []
        for _, masses in tree.masses(proba):
            nodes, until = block_rule(self, masses, tree)
            parts.append(settled(tree, nodes if nodes.ndim == 3 else nodes[:, :, None], until))
        return ladder_of(tree, parts)

    ladder.__doc__ = "Answers to each sample, from bold to cautious: (n, n_classes) -> `Ladder`."
    return ladder


def log_odds(mass, rest):
    """Log-odds of probabilities, from them and from those of all else; finite where one is 0."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(mass), LOWEST) - np.maximum(np.log(rest), LOWEST)


@dataclass(frozen=True)
class LeafOrRoot:
    """The likeliest class, or nothing: selective classification without a hierarchy, to compare with."""

    @_by_blocks
    def ladder(self, masses, tree):
        """Answer of one class."""
        leaf = masses.proba.argmax(axis=1)[:, None]
        return leaf, log_odds(*masses.of(leaf))


@dataclass(frozen=True)
class Climb:
    """From the likeliest class up to the first node that is probable enough.

    References
    ----------
    S. Goren, I. Galil, R. El-Yaniv, "Hierarchical Selective Classification", NeurIPS 2024.
    """

    @_by_blocks
    def ladder(self, masses, tree):
        """Answers along the path of the likeliest class."""
        path = tree.lineage[masses.proba.argmax(axis=1)]
        return path, np.maximum.accumulate(log_odds(*masses.of(path)), axis=1)


@dataclass(frozen=True)
class MaxCoverage:
    """The node with the fewest classes among all that are probable enough, the likeliest of equals.

    References
    ----------
    J. Valmadre, "Hierarchical Classification at Multiple Operating Points", NeurIPS 2022.
    """

    @_by_blocks
    def ladder(self, masses, tree):
        """Nodes that are likelier than all with fewer classes."""
        nodes = masses.likeliest
        odds = log_odds(*masses.of(nodes))
        new = np.diff(np.maximum.accumulate(odds, axis=1), axis=1, prepend=-np.inf) > 0
        width = int(new.sum(axis=1).max())
        # where there are fewer, the last is repeated
        place = np.minimum(np.arange(width), new.sum(axis=1, keepdims=True) - 1)
        records = np.take_along_axis(np.argsort(~new, axis=1, kind="stable"), place, axis=1)
        return np.take_along_axis(nodes, records, axis=1), np.take_along_axis(odds, records, axis=1)


@dataclass(frozen=True)
class DARTS:
    r"""The node of largest expected reward, where a right answer earns its information and a bonus.

    Notes
    -----
    The answer at a threshold :math:`\lambda` maximises :math:`(\phi(v) + \lambda)\, p(v)`, with :math:`\phi` the
    information of the node. It is Bayes-optimal where an error costs 1 and a right answer :math:`\kappa (1 - \phi)`, of
    :math:`\lambda = (1 - \kappa) / \kappa`; so these are all optimal decisions for an error that costs the same
    wherever it is made.

    References
    ----------
    J. Deng, J. Krause, A. C. Berg, L. Fei-Fei, "Hedging Your Bets: Optimizing Accuracy-Specificity Trade-offs in Large
    Scale Visual Recognition", CVPR 2012.
    """

    @_by_blocks
    def ladder(self, masses, tree):
        """Corners of the upper envelope of lines, one for each node, from the likeliest class to the root."""
        nodes = masses.likeliest  # of two lines that say as much, the more probable is above
        mass, rest = masses.of(nodes)
        worth = tree.information[nodes] * mass
        # the root is worth nothing, and leaves nothing out
        nodes, worth, rest = (
            np.column_stack([part, np.full(len(part), last)])
            for part, last in ((nodes, tree.root), (worth, 0), (rest, 0))
        )
        at, bonus, root = np.zeros(len(nodes), dtype=np.intp), np.full(len(nodes), -1.0), nodes.shape[1] - 1
        answers, turns, rows = [], [], np.arange(len(nodes))
        while (at != root).any():
            ahead = rest[rows, at][:, None] - rest
            gap = worth[rows, at][:, None] - worth
            turn = np.divide(gap, ahead, out=np.full(gap.shape, np.inf), where=ahead > 0)
            turn = np.maximum(turn, bonus[:, None])
            bonus = np.where(at == root, bonus, turn.min(axis=1))
            answers.append(at)
            turns.append(np.minimum(bonus, -LOWEST))
            # of several that take over at once, the most probable stays
            after = np.where(turn <= bonus[:, None], ahead, -np.inf).argmax(axis=1)
            at = np.where((at == root) | ~np.isfinite(bonus), root, after)
        return np.take_along_axis(nodes, np.stack(answers, axis=1), axis=1), np.stack(turns, axis=1)


@dataclass(frozen=True)
class NodeSets:
    """A few nodes that together are probable enough, with few classes; one node is the smallest common one.

    Classes enter by their probability. Where there are too many nodes, the two whose common ancestor adds the fewest
    classes are joined.

    Parameters
    ----------
    max_nodes : int, default=2
        Nodes in an answer, at most.

    References
    ----------
    T. Mortier et al., "Conformal Prediction in Hierarchical Classification with Constrained Representation
    Complexity", PMLR 300, 2026. The greedy search for the sets is ours.
    """

    max_nodes: int = 2

    @_by_blocks
    def ladder(self, masses, tree):
        """Sets that grow, class by class, until they are all."""
        max_nodes = check_count(self.max_nodes, "max_nodes")
        nodes, covered, left = grown_sets(masses.proba, masses.mass, tree, max_nodes)
        return nodes, np.maximum.accumulate(log_odds(covered, left), axis=1)


@dataclass(frozen=True, eq=False)
class LeastCost:
    """The node of least expected cost, for any costs of nodes.

    Parameters
    ----------
    cost : array-like of shape (n_classes, n_nodes), default=None
        ``cost[i, v]``: of answering node v where the class is i, as `ClassSemantics.node_cost` makes them. The last
        column is that of saying nothing. None is 1 for an error, and half of what an answer leaves open.

    Notes
    -----
    There is one answer to each sample, and its threshold is what it is expected to save against saying nothing: at 0,
    the decision is Bayes-optimal.

    References
    ----------
    R. Plaud et al., "To Each Metric Its Decoding: Post-Hoc Optimal Decision Rules of Probabilistic Hierarchical
    Classifiers", ICML 2025.
    """

    cost: Any = None

    def ladder(self, proba: Any, tree: Any) -> Any:
        """Answers to each sample, from bold to cautious: (n, n_classes) -> `Ladder`."""
        cost = tree.cost() if self.cost is None else _checked(self.cost, tree)
        node, expected = least_expected_cost(proba, cost[:, :-1])
        nothing = np.einsum("ij,j->i", np.ascontiguousarray(proba), cost[:, -1])
        return Ladder(tree, node[:, None, None], (nothing - expected)[:, None])


def _checked(cost, tree):
    """Return costs of nodes, after a check of their shape."""
    cost = np.asarray(cost, dtype=np.float64)
    if cost.shape != (tree.n_classes, len(tree)) or not np.isfinite(cost).all() or cost.min() < 0:
        raise ValueError(
            f"cost must be finite, not negative, and have shape (n_classes, n_nodes) = {tree.n_classes, len(tree)}; "
            f"got {cost.shape}. ClassSemantics.node_cost makes such costs."
        )
    return cost
