"""Which node is answered at which threshold: rules that turn class probabilities into ladders of answers.

Thresholds of rules that ask for a probability are log-odds, which keep their digits where probabilities are near one.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from abstain.decisions import least_expected_cost
from abstain.outputs import LOWEST
from abstain.semantics.ladder import Ladder, ladder_of
from abstain.semantics.node_sets import grown_sets
from abstain.utils.validation import check_count


class NodeRule(Protocol):
    """Turns class probabilities into answers."""

    def ladder(self, proba, tree) -> Ladder:
        """Answers to each sample, from bold to cautious: (n, n_classes) -> `Ladder`."""


def _by_blocks(block_rule):
    """Make a ladder from a function of the masses of the nodes in a block of rows: (nodes, until)."""

    def ladder(self, proba, tree):
        parts = []
        for rows, mass, rest in tree.masses(proba):
            nodes, until = block_rule(self, proba[rows], mass, rest, tree)
            parts.append((nodes if nodes.ndim == 3 else nodes[:, :, None], until))
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
    def ladder(self, proba, mass, rest, tree):
        """Answer of one class."""
        leaf = proba.argmax(axis=1)[:, None]
        return leaf, log_odds(*(np.take_along_axis(part, leaf, axis=1) for part in (mass, rest)))


@dataclass(frozen=True)
class Climb:
    """From the likeliest class up to the first node that is probable enough.

    References
    ----------
    S. Goren, I. Galil, R. El-Yaniv, "Hierarchical Selective Classification", NeurIPS 2024.
    """

    @_by_blocks
    def ladder(self, proba, mass, rest, tree):
        """Answers along the path of the likeliest class, less the root."""
        path = tree.lineage[proba.argmax(axis=1), :-1]
        until = log_odds(*(np.take_along_axis(part, path, axis=1) for part in (mass, rest)))
        until = np.where(path == tree.root, -np.inf, until)  # of shallow classes
        return path, np.maximum.accumulate(until, axis=1)


@dataclass(frozen=True)
class MaxCoverage:
    """The node with the fewest classes among all that are probable enough, the likeliest of equals.

    References
    ----------
    J. Valmadre, "Hierarchical Classification at Multiple Operating Points", NeurIPS 2022.
    """

    @_by_blocks
    def ladder(self, proba, mass, rest, tree):
        """Nodes that are likelier than all with fewer classes."""
        with np.errstate(divide="ignore", over="ignore"):
            odds = mass[:, :-1] / rest[:, :-1]
        starts = np.flatnonzero(np.diff(tree.n_leaves[:-1], prepend=0))  # nodes come by their number of classes
        best = np.maximum.reduceat(odds, starts, axis=1)
        record = np.maximum.accumulate(best, axis=1)
        new = np.diff(record, axis=1, prepend=-1.0) > 0
        width = int(new.sum(axis=1).max())
        # where there are fewer records, the last is repeated
        place = np.minimum(np.arange(width), new.sum(axis=1, keepdims=True) - 1)
        level = np.argsort(~new, axis=1, kind="stable")[np.arange(len(new))[:, None], place]
        wanted = np.take_along_axis(best, level, axis=1)
        nodes = np.empty(level.shape, dtype=np.intp)
        ends = np.append(starts[1:], odds.shape[1])
        for node_level in np.unique(level):
            row, column = np.nonzero(level == node_level)
            among = odds[row, starts[node_level] : ends[node_level]]
            nodes[row, column] = starts[node_level] + (among >= wanted[row, column][:, None]).argmax(axis=1)
        return nodes, log_odds(*(np.take_along_axis(part, nodes, axis=1) for part in (mass, rest)))


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
    def ladder(self, proba, mass, rest, tree):
        """Corners of the upper envelope of lines, one for each node, from the likeliest class to the root."""
        worth, rows = tree.information * mass, np.arange(len(proba))
        at = proba.argmax(axis=1)
        answers, turns, bonus = [], [], np.full(len(proba), -1.0)  # where information is all that counts
        while (at != tree.root).any():
            ahead = rest[rows, at][:, None] - rest
            with np.errstate(divide="ignore", invalid="ignore"):
                turn = np.where(ahead > 0, (worth[rows, at][:, None] - worth) / ahead, np.inf)
            turn = np.maximum(turn, bonus[:, None])
            bonus = np.where(at == tree.root, bonus, turn.min(axis=1))
            answers.append(at)
            turns.append(bonus)
            # of several that take over at once, the most probable stays
            after = np.where(turn <= bonus[:, None], ahead, -np.inf).argmax(axis=1)
            at = np.where((at == tree.root) | ~np.isfinite(bonus), tree.root, after)
        nodes, until = np.stack(answers, axis=1), np.minimum(np.stack(turns, axis=1), -LOWEST)
        last = nodes != tree.root
        keep = np.maximum.accumulate(np.where(last, np.arange(nodes.shape[1]), 0), axis=1)
        return np.take_along_axis(nodes, keep, axis=1), np.take_along_axis(until, keep, axis=1)


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
    def ladder(self, proba, mass, rest, tree):
        """Sets that grow, class by class, until they are all."""
        nodes, covered, left = grown_sets(proba, mass, tree, check_count(self.max_nodes, "max_nodes"))
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

    def ladder(self, proba, tree):
        """Answers to each sample, from bold to cautious: (n, n_classes) -> `Ladder`."""
        cost = tree.cost() if self.cost is None else _checked(self.cost, tree)
        node, expected = least_expected_cost(proba, cost[:, :-1])
        return Ladder(tree, node[:, None, None], (proba @ cost[:, -1] - expected)[:, None])


def _checked(cost, tree):
    """Return costs of nodes, after a check of their shape."""
    cost = np.asarray(cost, dtype=np.float64)
    if cost.shape != (tree.n_classes, len(tree)) or not np.isfinite(cost).all() or cost.min() < 0:
        raise ValueError(
            f"cost must be finite, not negative, and have shape (n_classes, n_nodes) = {tree.n_classes, len(tree)}; "
            f"got {cost.shape}. ClassSemantics.node_cost makes such costs."
        )
    return cost
