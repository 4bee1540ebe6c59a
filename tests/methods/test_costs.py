"""Least expected cost: what is answered, where it abstains, and what is promised of it."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import abstain
from abstain import CostSensitiveClassifier, SelectiveClassifier, TargetCoverage, TargetRisk
from abstain.calibration import Temperature, VectorScaling
from abstain.decisions import least_expected_cost
from abstain.semantics import ClassSemantics
from abstain.testing import overlapping_classes

COST = np.array([[0.0, 1.0, 8.0], [2.0, 0.0, 1.0], [1.0, 3.0, 0.0]])
LABELS = np.array(["cat", "dog", "emu"])


@pytest.fixture(scope="module")
def data():
    return overlapping_classes(LABELS, n=600)


@pytest.fixture(scope="module")
def frozen(data):
    X, y = data
    return FrozenEstimator(LogisticRegression().fit(X[:200], y[:200]))


def test_the_answer_costs_least_and_probabilities_stay(data, frozen):
    X, y = data
    est = CostSensitiveClassifier(frozen, COST).fit(X[200:400], y[200:400])
    proba = frozen.predict_proba(X)
    np.testing.assert_array_equal(est.predict_proba(X), proba)
    expected = [[sum(p[i] * COST[i, a] for i in range(3)) for a in range(3)] for p in proba]
    np.testing.assert_array_equal(est.predict(X), LABELS[np.argmin(expected, axis=1)])
    np.testing.assert_allclose(est.score_samples(X), -np.min(expected, axis=1))
    assert (est.predict(X) != frozen.predict(X)).any()


def test_a_constant_for_a_true_class_changes_no_answer_and_nor_does_a_factor(data, frozen):
    X, y = data
    answers = [
        CostSensitiveClassifier(frozen, cost).fit(X[200:], y[200:]).predict(X)
        for cost in (COST, 7 * COST, COST + np.array([[3.0], [0.5], [1.0]]))
    ]
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


def test_without_costs_the_answer_is_the_classifiers_own(data):
    X, y = data
    binary = y != "emu"
    tuned = FixedThresholdClassifier(LogisticRegression(), threshold=0.2)
    tuned = FrozenEstimator(tuned.fit(X[binary][:200], y[binary][:200]))
    est = CostSensitiveClassifier(tuned).fit(X[binary][200:], y[binary][200:])
    np.testing.assert_array_equal(est.predict(X), tuned.predict(X))
    at = np.searchsorted(tuned.classes_, tuned.predict(X))
    np.testing.assert_allclose(est.score_samples(X), tuned.predict_proba(X)[np.arange(len(X)), at] - 1, atol=1e-12)


def test_near_certain_answers_keep_their_order():
    logits = np.array([[40.0, 0.0], [50.0, 0.0], [300.0, 0.0]])

    class Saved(DummyClassifier):
        def decision_function(self, X):
            return -logits[:, 0] if len(X) == 3 else np.zeros(len(X))

    inner = FrozenEstimator(Saved().fit(np.zeros((6, 1)), [0, 1] * 3))
    est = CostSensitiveClassifier(inner, response_method="decision_function", policy=TargetCoverage(1.0))
    est.fit(np.zeros((20, 1)), [0, 1] * 10)
    score = est.score_samples(np.zeros((3, 1)))
    assert score[0] < score[1] < score[2] < 0


def test_a_reject_cost_abstains_where_the_best_answer_costs_more(data, frozen):
    X, y = data
    est = CostSensitiveClassifier(frozen, COST, reject_cost=0.4).fit(X[200:], y[200:])
    expected = (frozen.predict_proba(X) @ COST).min(axis=1)
    np.testing.assert_array_equal(est.decide(X) == "abstain", expected > 0.4)
    assert 0.1 < (expected > 0.4).mean() < 0.9
    costs = []
    for threshold in (0.2, 0.4, 0.6):  # Chow: of all thresholds the cost of asking is the cheapest
        answered, answer = expected <= threshold, est.predict(X)
        codes, given = np.searchsorted(LABELS, y), np.searchsorted(LABELS, answer)
        costs.append(np.where(answered, COST[codes, given], 0.4).mean())
    assert costs[1] == min(costs)


def test_semantics_are_aligned_by_labels(data, frozen):
    X, y = data
    distance = np.array([[0.0, 5, 1], [5, 0, 5], [1, 5, 0]])
    for order in ([0, 1, 2], [2, 0, 1]):
        semantics = ClassSemantics.from_matrix(distance[np.ix_(order, order)], LABELS[order])
        est = CostSensitiveClassifier(frozen, semantics).fit(X[200:], y[200:])
        np.testing.assert_array_equal(est.cost_, distance)


def test_a_calibrator_comes_first(data, frozen):
    X, y = data
    est = CostSensitiveClassifier(frozen, COST, calibrator=VectorScaling()).fit(X[200:], y[200:])
    direct = VectorScaling(frozen).fit(X[200:], y[200:])
    np.testing.assert_allclose(est.predict_proba(X), direct.predict_proba(X), atol=1e-12)
    np.testing.assert_array_equal(est.predict(X), LABELS[least_expected_cost(direct.predict_proba(X), COST)[0]])
    logits = CostSensitiveClassifier(frozen, COST, calibrator=Temperature(), response_method="decision_function")
    np.testing.assert_allclose(
        logits.fit(X[200:], y[200:]).predict_proba(X),
        Temperature(frozen, kind="logits").fit(X[200:], y[200:]).predict_proba(X),
    )


def test_the_certificate_bounds_the_share_of_the_largest_cost(data, frozen):
    X, y = overlapping_classes(LABELS, n=6000, random_state=3)
    est = CostSensitiveClassifier(frozen, COST).fit(X[:500], y[:500])
    est.fit_policy(X[500:3500], y[500:3500], TargetRisk(0.06, delta=0.1))
    certificate = est.policy_.certificate_
    accepted = est.accept(X[500:3500])
    codes, given = (np.searchsorted(LABELS, part[accepted]) for part in (y[500:3500], est.predict(X[500:3500])))
    assert certificate.errors == pytest.approx(COST[codes, given].sum() / 8)
    assert certificate.guaranteed
    assert certificate.bound <= 0.06
    accepted = est.accept(X[3500:])
    codes, given = (np.searchsorted(LABELS, part[accepted]) for part in (y[3500:], est.predict(X[3500:])))
    assert accepted.mean() > 0.1
    assert COST[codes, given].mean() <= 0.06 * 8


def test_the_score_ranks_costs_better_than_probability(data, frozen):
    X, y = data
    est = CostSensitiveClassifier(frozen, COST).fit(X[200:], y[200:])
    assert est.report_.score < est.report_.baseline


def test_it_composes(data):
    X, y = data
    model = make_pipeline(StandardScaler(), CostSensitiveClassifier(cost=COST, reject_cost=0.5, cv=2))
    decided = abstain.decide(model.fit(X, y), X)
    assert set(decided) <= {*LABELS, "abstain"}
    outer = SelectiveClassifier(FrozenEstimator(model), cv=2).fit(X, y)
    np.testing.assert_array_equal(outer.predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"cost": -COST}, "cost must not be negative"),
        ({"cost": COST[:2, :2]}, "cost must have a row and a column for each of 3 classes"),
        ({"cost": COST[0]}, "cost must have shape"),
        ({"cost": np.where(COST == 8, np.nan, COST)}, "cost has NaN"),
        ({"cost": 0 * COST}, "cost is zero everywhere"),
        ({"cost": "distance"}, "cost must be numeric"),
        ({"cost": ClassSemantics.from_matrix(1 - np.eye(3))}, "semantics lack 3 of the classes"),
        ({"reject_cost": -1.0}, "reject_cost must be a number at least 0"),
        ({"reject_cost": 0.5, "policy": TargetRisk()}, "policy and reject_cost"),
        ({"calibrator": "temperature"}, "calibrator must be a calibrator"),
    ],
)
def test_bad_parameters_are_named(data, params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        CostSensitiveClassifier(LogisticRegression(), **params).fit(*data)


def test_float32_probabilities_are_decided_on_as_float64():
    rng = np.random.default_rng(0)
    proba, cost = rng.dirichlet(np.full(50, 0.02), 400), rng.uniform(size=(50, 70))
    exact, one = least_expected_cost(proba, cost), least_expected_cost(proba.astype(np.float32), cost)
    assert (exact[0] == one[0]).mean() > 0.99
    np.testing.assert_allclose(exact[1], one[1], rtol=1e-5)
    np.testing.assert_array_equal(exact[0], (proba @ cost).argmin(axis=1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_large_cost_does_not_blur_the_small_ones(dtype):
    """Equal means equal but for rounding of the costs compared, whatever else the matrix holds."""
    cost = np.array([[0.0, 1.0, 5.0], [2.0, 0.0, 5.0], [1e9, 3.0, 0.0]])
    proba = np.array([[0.3, 0.7, 0.0], [0.45, 0.55, 0.0], [0.9, 0.1, 0.0]], dtype=dtype)
    answer, expected = least_expected_cost(proba, cost)
    assert answer.tolist() == [1, 1, 0]
    np.testing.assert_allclose(expected, [0.3, 0.45, 0.2], rtol=1e-6)
