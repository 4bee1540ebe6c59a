"""Answers at the nodes of a tree: what is said at which threshold, and what is promised of it."""

import pickle

import numpy as np
import pytest
from scipy.special import logit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import abstain
from abstain import (
    ConformalRisk,
    FixedThreshold,
    HierarchicalClassifier,
    SelectiveClassifier,
    TargetCoverage,
    TargetRisk,
)
from abstain.calibration import Temperature
from abstain.metrics import haurc, make_selective_scorer, mean_cost
from abstain.semantics import ClassSemantics, LeafOrRoot, LeastCost, NodeSets

TREE = ClassSemantics.from_tree(
    [("animal", "pet"), ("pet", "cat"), ("pet", "dog"), ("animal", "wolf"), ("thing", "animal"), ("thing", "car"),
     ("thing", "bus")]
)  # fmt: skip
LABELS = TREE.classes


class Saved(ClassifierMixin, BaseEstimator):
    """A classifier whose data are its logits."""

    def __init__(self, classes=tuple(LABELS)):
        self.classes = classes

    def fit(self, X, y):
        self.classes_ = np.asarray(self.classes)
        return self

    def decision_function(self, X):
        return np.asarray(X)

    def predict_proba(self, X):
        return softmax(X, axis=1)


def drawn(n, random_state=0, confidence=2.0):
    """Logits and labels that follow them, neighbours in the tree being alike."""
    rng = np.random.default_rng(random_state)
    shared = rng.normal(size=(n, 3)) * confidence
    logits = shared[:, [2, 0, 0, 2, 1]] * 1.0 + rng.normal(size=(n, 5)) * confidence / 2
    labels = (softmax(logits, axis=1).cumsum(axis=1) > rng.uniform(size=(n, 1))).argmax(axis=1)
    return logits, LABELS[labels]


@pytest.fixture(scope="module")
def fitted():
    X, y = drawn(1000)
    return HierarchicalClassifier(FrozenEstimator(Saved().fit(X, y)), TREE, rule="climb").fit(X, y)


def ancestors(label):
    path = [label]
    while path[-1] in TREE.parents:
        path.append(TREE.parents[path[-1]])
    return path


def climbed(proba, theta):
    """First node from the likeliest class upwards that is probable enough, by sums over labels."""
    mass = dict(zip(LABELS, proba, strict=True))
    for node in ancestors(LABELS[np.argmax(proba)])[:-1]:
        if sum(mass[leaf] for leaf in TREE.leaves(node)) >= theta:
            return node
    return "abstain"


def test_labels_are_classes_and_names_of_nodes(fitted):
    (X, _), seen = drawn(400, 1), set()
    for theta in (0.5, 0.7, 0.9, 0.97):
        fitted.fit_policy(*drawn(300, 2), FixedThreshold(logit(theta)))
        expected = [climbed(p, theta) for p in fitted.predict_proba(X)]
        assert fitted.decide(X).tolist() == expected
        depth = [0 if node == "abstain" else len(ancestors(node)) - 1 for node in expected]
        np.testing.assert_array_equal(fitted.decide_level(X), depth)
        information = [0 if node == "abstain" else 1 - np.log(len(TREE.leaves(node))) / np.log(5) for node in expected]
        np.testing.assert_allclose(fitted.information(X), information, atol=1e-12)
        np.testing.assert_array_equal(fitted.accept(X), fitted.decide(X) != "abstain")
        seen |= set(expected)
    assert seen == {*LABELS.tolist(), "pet", "animal", "abstain"}


def test_predict_answers_a_class_as_the_classifier_does(fitted):
    X, _ = drawn(50, 1)
    np.testing.assert_array_equal(fitted.predict(X), LABELS[X.argmax(axis=1)])


def test_climbing_is_monotone_in_the_threshold(fitted):
    X, y = drawn(500, 3)
    before, wrong = np.ones(500), np.ones(500, dtype=bool)
    for theta in np.linspace(-3, 8, 23):
        fitted.fit_policy(*drawn(300, 2), FixedThreshold(theta))
        information, decided = fitted.information(X), fitted.decide(X)
        errors = np.array([d != "abstain" and t not in TREE.leaves(d) for d, t in zip(decided, y, strict=True)])
        assert (information <= before).all()
        assert (errors <= wrong).all()
        before, wrong = information, errors


def test_without_semantics_it_is_a_selective_classifier():
    X, y = drawn(600)
    frozen = FrozenEstimator(Saved().fit(X, y))
    one = HierarchicalClassifier(frozen, rule="climb", policy=TargetRisk(0.2, delta=0.2)).fit(X, y)
    other = SelectiveClassifier(frozen, policy=TargetRisk(0.2, delta=0.2)).fit(X, y)
    np.testing.assert_allclose(one.score_samples(X), other.score_samples(X))
    for model in (one, other):
        model.fit_policy(*drawn(2000, 5))
    assert one.policy_.certificate_.accepted == other.policy_.certificate_.accepted
    np.testing.assert_array_equal(one.decide(X), other.decide(X))


@pytest.mark.parametrize("rule", ["climb", "max_coverage", "darts", "leaf_or_root", NodeSets(2), LeastCost()])
def test_every_rule_has_a_certificate_of_what_it_answers(rule):
    X, y = drawn(400)
    est = HierarchicalClassifier(FrozenEstimator(Saved().fit(X, y)), TREE, rule=rule).fit(X, y)
    X_new, y_new = drawn(3000, 7)
    est.fit_policy(X_new, y_new, TargetRisk(0.15, delta=0.1))
    decided = est.decide(X_new)
    wrong, answered = 0, 0
    for node, truth in zip(decided, y_new, strict=True):
        nodes = node if isinstance(node, tuple) else (node,)
        if nodes != ("abstain",):
            answered += 1
            wrong += not any(truth in TREE.leaves(part) for part in nodes)
    certificate = est.policy_.certificate_
    assert (certificate.accepted, certificate.errors) == (answered, wrong)
    assert certificate.guaranteed
    assert wrong / answered <= 0.15
    assert answered > 300
    again = pickle.loads(pickle.dumps(est))
    assert again.decide(X_new).tolist() == decided.tolist()


def test_the_conformal_promise_holds_over_400_repeats():
    """Mean share of wrong answers over calibration sets of 60, each tried on fresh samples."""
    X, y = drawn(30)
    est = HierarchicalClassifier(FrozenEstimator(Saved().fit(X, y)), TREE, rule="climb").fit(X, y)
    calibration, fresh = drawn(60 * 400, 11), drawn(100 * 400, 12)
    codes = [np.searchsorted(LABELS, labels) for _, labels in (calibration, fresh)]
    ladders = [est.ladder(logits) for logits, _ in (calibration, fresh)]
    losses = [ladder.losses(c) for ladder, c in zip(ladders, codes, strict=True)]
    shares = []
    for i in range(400):
        part, test = slice(60 * i, 60 * (i + 1)), slice(100 * i, 100 * (i + 1))
        threshold = ConformalRisk(0.1).fit(ladders[0].until[part], loss=losses[0][part]).threshold_
        until, loss = ladders[1].until[test], losses[1][test]
        column = (until < threshold).sum(axis=1)
        answered = column < until.shape[1]
        shares.append(np.where(answered, loss[np.arange(100), np.minimum(column, until.shape[1] - 1)], 0.0).mean())
    error = np.std(shares) / 20
    assert 0.1 - 1 / 61 - 3 * error <= np.mean(shares) <= 0.1 + 2 * error


def test_the_report_is_the_area_on_held_out_samples(fitted):
    X, y = drawn(1000)
    codes, proba = np.searchsorted(LABELS, y), softmax(X, axis=1)
    assert fitted.report_.haurc == pytest.approx(haurc(codes, fitted.ladder(X)))
    assert fitted.report_.leaf_or_root == pytest.approx(haurc(codes, LeafOrRoot().ladder(proba, fitted.tree_)))
    assert "leaf or root" in str(fitted.report_)


def test_a_calibrator_comes_first():
    X, y = drawn(500)
    frozen = FrozenEstimator(Saved().fit(X, y))
    est = HierarchicalClassifier(frozen, TREE, calibrator=Temperature()).fit(3 * X, y)
    direct = Temperature(frozen).fit(3 * X, y)
    np.testing.assert_allclose(est.predict_proba(X), direct.predict_proba(X))


def test_integers_meet_names_in_one_kind_of_array():
    X, y = drawn(300)
    codes = np.searchsorted(LABELS, y)
    semantics = TREE.with_classes(range(5))
    est = HierarchicalClassifier(FrozenEstimator(Saved(range(5)).fit(X, codes)), semantics).fit(X, codes)
    for rows in (X[:3], X):
        decided = est.decide(rows)
        assert decided.dtype == object
        assert {type(label) for label in decided} <= {int, str}
    assert -1 in set(
        HierarchicalClassifier(est.estimator, semantics, policy=TargetCoverage(0.5)).fit(X, codes).decide(X)
    )


def test_rows_that_cannot_be_scored_are_abstained_on():
    X, y = drawn(300)
    est = HierarchicalClassifier(LogisticRegression(), TREE, cv=2).fit(X, y)
    X_bad = X[:6].copy()
    X_bad[2] = np.nan
    assert est.decide(X_bad)[2] == "abstain"
    assert est.decide_level(X_bad)[2] == 0
    assert est.information(X_bad)[2] == 0
    assert est.decide(X_bad)[[0, 1, 3]].tolist() == est.decide(X[:6])[[0, 1, 3]].tolist()
    X_bad[:] = np.nan
    assert est.decide(X_bad).tolist() == ["abstain"] * 6
    X_new, y_new = drawn(400, 4)
    X_new[0] = np.nan
    assert est.fit_policy(X_new, y_new).policy_.certificate_.unscored == 1


def test_a_threshold_for_each_group():
    X, y = drawn(2000)
    groups = np.where(np.arange(2000) % 2, "a", "b")
    est = HierarchicalClassifier(FrozenEstimator(Saved().fit(X, y)), TREE, rule="climb").fit(*drawn(100, 1))
    est.fit_policy(X, y, TargetRisk(0.2, delta=0.2, groupwise=True), groups=groups)
    whole = est.decide(X, groups=groups)
    for name, threshold in est.policy_.threshold_.items():
        rows = groups == name
        expected = est.node_labels_[est.ladder(X[rows]).at(threshold)[:, 0]]
        expected = np.where(est.ladder(X[rows]).at(threshold)[:, 0] == est.tree_.root, "abstain", expected)
        np.testing.assert_array_equal(whole[rows], expected)


def test_it_composes():
    X, y = drawn(300)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), HierarchicalClassifier(semantics=TREE, cv=2)),
        {"hierarchicalclassifier__rule": ["climb", "darts"]},
        scoring=make_selective_scorer(mean_cost, cost=TREE), cv=2,
    ).fit(X, y)  # fmt: skip
    assert search.best_score_ < 0
    known = {*LABELS, "pet", "animal", "abstain"}
    assert set(abstain.decide(search, X)) <= known


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rule": "highest"}, "rule must be one of"),
        ({"rule": NodeSets}, "rule must be one of"),
        ({"rule": NodeSets(0)}, "max_nodes must be a whole number"),
        ({"rule": LeastCost(np.ones((2, 2)))}, "cost must be finite, not negative, and have shape"),
        ({"semantics": TREE.tree}, "semantics must be ClassSemantics"),
        ({"semantics": TREE.with_classes(range(5))}, "semantics lack 5 of the classes"),
        ({"semantics": ClassSemantics.from_matrix(1 - np.eye(5), LABELS)}, "semantics have no tree"),
        ({"abstain_label": "pet"}, "abstain_label='pet' is the name of a node"),
        ({"policy": 0.1}, "policy must be a policy"),
    ],
)
def test_bad_parameters_are_named(params, message):
    X, y = drawn(100)
    with pytest.raises((ValueError, TypeError), match=message):
        HierarchicalClassifier(LogisticRegression(), **({"semantics": TREE} | params)).fit(X, y)
