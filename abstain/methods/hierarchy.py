"""Coarser answers where finer ones cannot be stood behind."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from abstain.methods.calibrated import BaseCalibrated
from abstain.metrics import haurc
from abstain.policies import ConformalRisk
from abstain.policies.base import Policy
from abstain.selective.base import HeldOut
from abstain.semantics.ladder import Ladder
from abstain.semantics.rules import DARTS, Climb, LeafOrRoot, MaxCoverage
from abstain.semantics.tree import ClassTree
from abstain.utils.annotations import Seed
from abstain.utils.html import html_text
from abstain.utils.labels import fill_abstentions

_RULES = {"climb": Climb, "max_coverage": MaxCoverage, "darts": DARTS, "leaf_or_root": LeafOrRoot}


class HierarchyReport(NamedTuple):
    """Area under the hierarchical risk-coverage curve on held-out samples."""

    n: int
    haurc: float  # of the rule
    leaf_or_root: float  # of answering the likeliest class, or nothing

    def __str__(self):
        gain = 100 * (1 - self.haurc / self.leaf_or_root) if self.leaf_or_root else 0.0
        return f"hAURC {self.haurc:.5f}, leaf or root {self.leaf_or_root:.5f} ({gain:+.1f} %), {self.n} samples"

    def _repr_html_(self):
        return html_text(self)


class HierarchicalClassifier(BaseCalibrated):
    r"""Answer with the most specific node of a class tree that can be stood behind: "dog", instead of no answer.

    Parameters
    ----------
    estimator : estimator, default=None
        The classifier. None is logistic regression, a `LinearProbe`; a `FrozenEstimator` is used as it is.
    semantics : ClassSemantics, default=None
        The tree. None has no inner nodes: the answer is a class, or none.
    rule : {"darts", "climb", "max_coverage", "leaf_or_root"} or NodeRule, default="darts"
        Which node is answered at a threshold: the one of largest expected reward; from the likeliest class up to the
        first node that is probable enough; the smallest of all nodes that are. Rules with parameters are in
        `abstain.semantics`: ``NodeSets(max_nodes=2)``, ``LeastCost(cost)``.
    calibrator : calibrator, default=None
        What is put behind the classifier first, from `abstain.calibration`: nodes are weighed by probabilities.
    policy : Policy, default=None
        Where the threshold is. None is ``ConformalRisk(0.1)``: at most a tenth of the samples is answered wrongly, on
        average. ``TargetRisk(0.05)`` bounds the share of wrong answers among those that say anything, with
        confidence.
    cv : int, splitter or iterable, default=5
        Folds of the held-out outcomes, and of the calibrator.
    response_method : {"predict_proba", "decision_function"}, default="predict_proba"
        What to ask an estimator for. "decision_function" declares that it returns logits.
    n_jobs : int, default=None
        Folds fitted at once.
    abstain_label : object, default=None
        What `decide` returns where the answer is the root, which says nothing. None chooses by the kind of the labels.
    random_state : int, RandomState or None, default=None
        Seed of the folds.

    Attributes
    ----------
    tree_ : ClassTree
        The tree, its classes in the order of ``classes_``.
    node_labels_ : ndarray of shape (n_nodes,)
        What `decide` calls them: classes by their labels, and inner nodes by their names.
    report_ : HierarchyReport
        Area under the hierarchical risk-coverage curve, beside that of answering a class or nothing.
    calibrator_ : calibrator
        The calibrator, where there is one, fitted on all held-out outputs.
    estimator_, policy_, classes_, abstain_label_, n_features_in_ : object
        As in `SelectiveClassifier`.

    See Also
    --------
    ClassSemantics : Trees.
    CostSensitiveClassifier : Answers that are classes, by costs.

    Notes
    -----
    An answer is right if the true class is under it; the root is always right, and counts as an abstention. Each
    sample has a sequence of answers, and a threshold up to which each is given; so every policy is told what is right
    at which threshold, and a certificate speaks of answers at any level. ``score_samples`` is the largest threshold at
    which anything is answered: a bonus for being right (`DARTS`), or log-odds of the coarsest answer, for the rules
    that ask for a probability.

    `predict` answers a class, as the classifier does.

    References
    ----------
    J. Deng, J. Krause, A. C. Berg, L. Fei-Fei, "Hedging Your Bets", CVPR 2012. S. Goren, I. Galil, R. El-Yaniv,
    "Hierarchical Selective Classification", NeurIPS 2024, whose threshold lacks the correction for the size of the
    calibration set.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from abstain import HierarchicalClassifier
    >>> from abstain.semantics import ClassSemantics
    >>> X, y = load_digits(return_X_y=True)
    >>> semantics = ClassSemantics.from_features(X[:600], y[:600])
    >>> est = HierarchicalClassifier(semantics=semantics, cv=2).fit(X[:600], y[:600])
    >>> est.decide(X[600:605])
    array([2, 1, 7, 4, 6], dtype=object)
    >>> est.information(X[600:605]).round(2)
    array([1., 1., 1., 1., 1.])
    """

    head_inputs = "confidence"

    def __init__(
        self, estimator: Any = None, semantics: Any = None, *, rule: Any = "darts", calibrator: Any = None,
        policy: Policy | None = None, cv: Any = 5, response_method: str = "predict_proba", n_jobs: int | None = None,
        abstain_label: Any = None, random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.semantics = semantics
        self.rule = rule
        self.calibrator = calibrator
        self.policy = policy
        self.cv = cv
        self.response_method = response_method
        self.n_jobs = n_jobs
        self.abstain_label = abstain_label
        self.random_state = random_state

    def decide(self, X: Any, groups: ArrayLike | None = None) -> np.ndarray:
        """Answer with a class, with a node above it, or not at all.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        groups : array-like of shape (n_samples,), default=None
            Groups, for a policy with a threshold for each.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Entries of ``node_labels_``, and ``abstain_label_`` for the root, and where a row cannot be scored. Of a
            rule that answers with several nodes, tuples of them.
        """
        return self._labels_of(self._nodes(X, groups))

    def _labels_of(self, nodes):
        """Labels of nodes, of which the root is an abstention."""
        answered = nodes[:, 0] != self.tree_.root
        if nodes.shape[1] == 1:
            return fill_abstentions(self.node_labels_[nodes[:, 0]], answered, self.abstain_label_)
        labels = np.empty(len(nodes), dtype=object)
        for i, (row, given) in enumerate(zip(nodes, answered, strict=True)):
            labels[i] = tuple(self.node_labels_[row[row >= 0]].tolist()) if given else self.abstain_label_
        return labels

    def decide_level(self, X: Any, groups: ArrayLike | None = None) -> np.ndarray:
        """Depth of each answer in the tree: 0 for the root, which is an abstention.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        groups : array-like of shape (n_samples,), default=None
            Groups, for a policy with a threshold for each.

        Returns
        -------
        level : ndarray of shape (n_samples,) of int
            Edges up to the root, of the deepest of several nodes.
        """
        nodes = self._nodes(X, groups)
        return np.where(nodes >= 0, self.tree_.depth[nodes], 0).max(axis=1)

    def information(self, X: Any, groups: ArrayLike | None = None) -> np.ndarray:
        """Return how much each answer says; the mean is the coverage by information.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        groups : array-like of shape (n_samples,), default=None
            Groups, for a policy with a threshold for each.

        Returns
        -------
        information : ndarray of shape (n_samples,)
            ``1 - log(classes under the answer) / log(classes)``: 1 for a class, 0 for an abstention.
        """
        return 1.0 - np.log(self.tree_.sizes(self._nodes(X, groups))) / np.log(self.tree_.n_classes)

    def ladder(self, X: Any) -> Ladder:
        """Answers to each sample at all thresholds, for curves and pictures.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, all of which can be scored.

        Returns
        -------
        ladder : Ladder
            From bold to cautious.
        """
        return self.rule_.ladder(self._look(X).proba, self.tree_)

    def _nodes(self, X, groups):
        """Numbers of the nodes that are answered, (n, s)."""
        return self._nodes_of(self.evaluate(X), groups)

    def _nodes_of(self, evidence, groups):
        """The same, from evidence."""
        known = ~np.isnan(evidence.score)
        threshold = np.broadcast_to(self.policy_.thresholds(len(known), groups), known.shape)
        if not known.any():
            return np.full((len(known), 1), self.tree_.root)
        found = self.rule_.ladder(evidence.proba[known], self.tree_).at(threshold[known])
        nodes = np.full((len(known), found.shape[1]), -1)
        nodes[:, 0] = self.tree_.root
        nodes[known] = found
        return nodes

    def _explained(self, told, groups):
        """Explanations of the nodes that are answered, whose probability is that of all classes below."""
        explanations, nodes = super()._explained(told, groups), self._nodes_of(told, groups)
        decided, labels = self._labels_of(nodes), self.classes_.tolist()
        for i in np.flatnonzero(nodes[:, 0] != self.tree_.root):
            below = np.zeros(len(labels), dtype=bool)
            for node in nodes[i][nodes[i] >= 0]:
                below[self.tree_.leaves(node)] = True
            proba = told.proba[i]
            rival = np.where(below, -1.0, proba).argmax()
            explanations[i] = explanations[i]._replace(
                answer=decided[i], probability=float(proba[below].sum()), rival=labels[rival],
                rival_probability=float(proba[rival]), accepted=True,
            )  # fmt: skip
        return explanations

    def _rule(self):
        if isinstance(self.rule, str) and self.rule in _RULES:
            return _RULES[self.rule]()
        if isinstance(self.rule, str | type) or not hasattr(self.rule, "ladder"):
            raise ValueError(f"rule must be one of {sorted(_RULES)}, or such as Climb(); got {self.rule!r}.")
        return self.rule

    def _policy(self, policy):
        return super()._policy(ConformalRisk() if policy is None else policy)

    def _fit(self, X, y, codes, **params):
        self.rule_ = self._rule()
        self.tree_ = self._tree()
        inner = self.tree_.labels[len(self.classes_) : -1]
        if any(self.abstain_label_ is name or self.abstain_label_ == name for name in inner):
            raise ValueError(f"abstain_label={self.abstain_label_!r} is the name of a node; pass another.")
        self.node_labels_ = _labels(self.classes_, inner)
        return super()._fit(X, y, codes, **params)

    def _tree(self):
        n = len(self.classes_)
        if self.semantics is None:
            return ClassTree([*[n] * n, -1], [*self.classes_.tolist(), "anything"])
        if not hasattr(self.semantics, "aligned"):
            raise TypeError(f"semantics must be ClassSemantics, or None; got {self.semantics!r}.")
        tree = self.semantics.aligned(self.classes_).tree
        if tree is None:
            raise ValueError("semantics have no tree: grow one from their distances, semantics.grown().")
        return tree

    def _make_scorer(self):
        return CoarsestAnswer(self.rule_, self.tree_)

    def _sees(self):
        return CoarsestAnswer.sees

    @property
    def loss_means_(self) -> str:
        """What promises of this classifier bound: answers, at whatever node, that do not hold the class."""
        return "loss of the answer at its node"

    def _report(self, outcome, score, model):
        areas = (haurc(outcome.codes, rule.ladder(outcome.outputs.proba, self.tree_))
                 for rule in (self.rule_, LeafOrRoot()))  # fmt: skip
        return HierarchyReport(len(score), *areas)

    def _labelled(self, evidence, codes):
        known = ~np.isnan(evidence.score)
        if not known.any():
            return HeldOut(evidence.score, np.zeros(len(known)))
        ladder = self.rule_.ladder(evidence.proba[known], self.tree_)
        score, loss = (
            np.full((len(known), ladder.until.shape[1]), np.nan),
            np.zeros((len(known), ladder.until.shape[1])),
        )
        score[known], loss[known] = ladder.until, ladder.losses(codes[known])
        return HeldOut(score, loss) if score.shape[1] > 1 else HeldOut(score[:, 0], loss[:, 0])


class CoarsestAnswer:
    """Score: the largest threshold at which a rule answers anything.

    Parameters
    ----------
    rule : NodeRule
        The rule.
    tree : ClassTree
        The tree.
    """

    sees, target, min_errors = "proba", "correct", 0

    def __init__(self, rule, tree):
        self.rule, self.tree = rule, tree

    def score_samples(self, proba):
        """Score of every sample, (n,)."""
        return self.rule.ladder(proba, self.tree).score


def _labels(classes, inner):
    """Labels of all nodes, in a dtype that does not depend on which of them are answered."""
    if not inner:
        return np.append(classes, classes[:1])  # of the root, which is never said
    if classes.dtype.kind == "U" and all(isinstance(name, str) for name in inner):
        return np.concatenate([classes, np.array([*inner, inner[0]])])
    labels = np.empty(len(classes) + len(inner) + 1, dtype=object)
    labels[:] = [*classes.tolist(), *inner, inner[0]]
    return labels
