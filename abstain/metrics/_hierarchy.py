"""Answers that may be nodes of a tree: right if they are above the truth, and worth what they say."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from abstain.utils.validation import check_codes


class HierarchicalScores(NamedTuple):
    """Information that answers share with the truth, by what they say and by what there is to say."""

    precision: float
    recall: float
    f1: float


def hierarchical_risk_coverage_curve(codes: ArrayLike, ladder: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of wrong answers and mean information, over all thresholds of a rule.

    Parameters
    ----------
    codes : array-like of shape (n,)
        Numbers of the true classes.
    ladder : Ladder
        Answers of a rule, from `abstain.semantics`.

    Returns
    -------
    coverage : ndarray of shape (n_thresholds,)
        Mean information of the answers, increasing from 0, where nothing is answered.
    risk : ndarray of shape (n_thresholds,)
        Mean loss of all samples: 1 where the answer is a node that is not above the truth.
    threshold : ndarray of shape (n_thresholds,)
        Decreasing from ``inf``.

    References
    ----------
    S. Goren, I. Galil, R. El-Yaniv, "Hierarchical Selective Classification", NeurIPS 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.metrics import haurc, hierarchical_risk_coverage_curve
    >>> from abstain.semantics import ClassSemantics, Climb
    >>> tree = ClassSemantics.from_tree([("pet", "cat"), ("pet", "dog"), ("any", "pet"), ("any", "wolf")]).tree
    >>> ladder = Climb().ladder(np.array([[0.6, 0.3, 0.1]]), tree)
    >>> coverage, risk, threshold = hierarchical_risk_coverage_curve([1], ladder)
    >>> coverage.round(2), risk
    (array([0.  , 0.37, 1.  ]), array([0., 0., 1.]))
    >>> round(haurc([1], ladder), 3)
    0.315
    """
    losses, information = ladder.losses(_checked(codes, ladder)), ladder.information
    threshold, change = _changes(ladder.until, np.stack([information, losses]))
    order = np.argsort(-threshold, kind="stable")
    last = np.flatnonzero(np.append(np.diff(threshold[order]) < 0, True))
    coverage, risk = np.cumsum(change[:, order], axis=1)[:, last] / len(losses)
    return np.append(0.0, coverage), np.append(0.0, risk), np.append(np.inf, threshold[order][last])


def haurc(codes: ArrayLike, ladder: Any) -> float:
    """Area under the hierarchical risk-coverage curve.

    Parameters
    ----------
    codes : array-like of shape (n,)
        Numbers of the true classes.
    ladder : Ladder
        Answers of a rule, from `abstain.semantics`.

    Returns
    -------
    area : float
        In [0, 1], smaller is better; by trapezoids, up to the coverage of the boldest answers, which is 1 for all rules
        that begin with a class. Without inner nodes it is the AUGRC.

    References
    ----------
    S. Goren, I. Galil, R. El-Yaniv, "Hierarchical Selective Classification", NeurIPS 2024.
    """
    coverage, risk, _ = hierarchical_risk_coverage_curve(codes, ladder)
    return float((np.diff(coverage) * 0.5 * (risk[1:] + risk[:-1])).sum())


def hierarchical_precision_recall(codes: ArrayLike, nodes: ArrayLike, tree: Any) -> HierarchicalScores:
    """Information that answers share with the truth.

    Parameters
    ----------
    codes : array-like of shape (n,)
        Numbers of the true classes.
    nodes : array-like of shape (n,)
        Numbers of the nodes that are answered; the root says nothing.
    tree : ClassTree
        The tree.

    Returns
    -------
    scores : HierarchicalScores
        With I the information of a node and a the lowest common ancestor of answer and truth, ``precision`` is the mean
        of I(a) / I(answer), 1 for the root, ``recall`` that of I(a), and ``f1`` the harmonic mean of the two.

    References
    ----------
    J. Valmadre, "Hierarchical Classification at Multiple Operating Points", NeurIPS 2022.

    Examples
    --------
    >>> from abstain.metrics import hierarchical_precision_recall
    >>> from abstain.semantics import ClassSemantics
    >>> tree = ClassSemantics.from_tree([("pet", "cat"), ("pet", "dog"), ("any", "pet"), ("any", "wolf")]).tree
    >>> round(hierarchical_precision_recall([0, 1], [0, 3], tree).recall, 3)
    0.685
    """
    codes = check_codes(codes, "codes", len(np.atleast_1d(codes)), tree.n_classes)
    nodes = check_codes(nodes, "nodes", len(codes), len(tree))
    shared, said = tree.information[tree.common_with_nodes[codes, nodes]], tree.information[nodes]
    precision = np.where(said > 0, shared / np.where(said > 0, said, 1.0), 1.0).mean()
    recall = shared.mean()
    both = precision + recall
    return HierarchicalScores(float(precision), float(recall), 2 * precision * recall / both if both else 0.0)


def _checked(codes, ladder):
    return check_codes(codes, "codes", len(ladder.until), ladder.tree.n_classes)


def _changes(until, values):
    """Thresholds at which answers change, and by how much each of some values does: (e,), (v, e)."""
    given = np.diff(until, axis=1) > 0
    threshold = np.concatenate([until[:, -1], until[:, :-1][given]])
    inner = (values[:, :, :-1] - values[:, :, 1:])[:, given]
    return threshold, np.concatenate([values[:, :, -1], inner], axis=1)
