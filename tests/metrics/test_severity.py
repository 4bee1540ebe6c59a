"""How bad mistakes are: by hand, by loops over samples, in searches, and what is refused."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score

from abstain import CostSensitiveClassifier, HierarchicalClassifier, LinearProbe, SelectiveClassifier
from abstain.calibration import Temperature
from abstain.metrics import (
    better_mistake_share,
    distance_at_k,
    explicability_loss,
    make_selective_scorer,
    mean_cost,
    mistake_severity,
    severity_report,
)
from abstain.semantics import ClassSemantics

DISTANCE = np.array([[0.0, 2, 3], [2, 0, 3], [3, 3, 0]])
COST = np.array([[0.0, 1, 7], [2, 0, 0.5], [0.25, 10, 0]])  # not symmetric
ANIMALS = ClassSemantics.from_matrix(DISTANCE, ["cat", "dog", "wolf"])
METRICS = [mistake_severity, mean_cost, severity_report]


def _answers(n=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 3, n), rng.integers(0, 3, n)


def test_severity_is_of_mistakes_alone():
    assert mistake_severity([0, 1, 2, 2], [0, 2, 2, 0], COST) == (0.5 + 0.25) / 2
    assert mean_cost([0, 1, 2, 2], [0, 2, 2, 0], COST) == (0.5 + 0.25) / 4


@pytest.mark.parametrize("seed", range(3))
def test_costs_are_of_truth_and_answer(seed):
    y, answer = _answers(seed=seed)
    costs = [COST[t, a] for t, a in zip(y, answer, strict=True)]
    mistakes = [c for c, t, a in zip(costs, y, answer, strict=True) if t != a]
    assert mean_cost(y, answer, COST) == pytest.approx(np.mean(costs))
    assert mistake_severity(y, answer, COST) == pytest.approx(np.mean(mistakes))


def test_a_right_answer_may_cost_too():
    cost = COST + 5 * np.eye(3)
    assert mean_cost([0, 1], [0, 0], cost) == (5 + 2) / 2
    assert mistake_severity([0, 1], [0, 0], cost) == 2


def test_without_mistakes_there_is_no_severity():
    assert np.isnan(mistake_severity([0, 1], [0, 1], DISTANCE))
    assert mean_cost([0, 1], [0, 1], DISTANCE) == 0
    report = severity_report([0, 1], [0, 1], DISTANCE)
    assert np.isnan(report.severity)
    assert report[:2] + report[3:] == (2, 1.0, 0.0, 0.0, 0.0)


def test_a_mistake_that_costs_nothing_is_a_mistake():
    assert mistake_severity([0, 1], [1, 0], [[0, 0], [4, 0]]) == 2


def test_easy_mistakes_lower_the_severity_and_raise_the_cost():
    y = np.array([0, 0, 1, 2])
    few, more = np.array([2, 0, 1, 2]), np.array([2, 1, 1, 2])
    assert mistake_severity(y, more, DISTANCE) < mistake_severity(y, few, DISTANCE)
    assert mean_cost(y, more, DISTANCE) > mean_cost(y, few, DISTANCE)


def test_report_by_hand():
    report = severity_report([0, 1, 2, 2, 1], [0, 2, 2, 0, 0], COST)
    assert report == (5, pytest.approx(0.4), pytest.approx(2.75 / 3), pytest.approx(0.55), pytest.approx(2.75), 2.0)
    assert str(report).splitlines()[0].split() == ["n", "5"]
    assert str(report).splitlines()[3].split() == ["mean_distance", "0.55"]


def test_cats_taken_for_dogs_are_at_the_distance_of_wordnet():
    y, answer = np.repeat([3, 5, 3], [90, 8, 2]), np.repeat([3, 3, 5], [90, 8, 2])
    report = severity_report(y, answer, ClassSemantics.cifar10())
    assert (report.severity, report.mean_distance, report.total_distance) == (4.0, 0.4, 40.0)


def test_labels_name_rows_and_columns():
    y, answer = _answers()
    names = np.array(["wolf", "cat", "dog"])
    for metric in METRICS:
        assert metric(names[y], names[answer], COST, classes=names) == metric(y, answer, COST)


def test_semantics_name_their_own_rows():
    y, answer = np.array(["wolf", "cat", "cat"]), np.array(["dog", "dog", "cat"])
    assert mean_cost(y, answer, ANIMALS) == 5 / 3
    assert mistake_severity(y, answer, ANIMALS) == 2.5
    moved = ANIMALS.aligned(["wolf", "cat", "dog"])
    assert mean_cost(y, answer, moved) == 5 / 3
    assert mean_cost(y, answer, moved, classes=["cat", "dog", "wolf"]) == 5 / 3


def test_scores_may_be_in_the_order_of_other_labels():
    score = [[0.1, 0.2, 0.7]]  # wolf, cat, dog
    assert distance_at_k(["cat"], score, ANIMALS, k=1, classes=["wolf", "cat", "dog"]) == 2
    assert distance_at_k(["cat"], score, ANIMALS, k=1) == 3


@pytest.mark.parametrize("k", [1, 2, 3])
def test_distance_of_the_first_answers_by_sorting(k):
    rng = np.random.default_rng(0)
    score, y = rng.random((30, 3)), rng.integers(0, 3, 30)
    expected = [
        np.mean([COST[t, j] for j in sorted(range(3), key=lambda j: -row[j])[:k]])
        for t, row in zip(y, score, strict=True)
    ]
    assert distance_at_k(y, score, COST, k=k) == pytest.approx(np.mean(expected))


def test_distance_of_the_first_answer_is_the_mean_cost():
    rng = np.random.default_rng(0)
    score, y = rng.random((30, 3)), rng.integers(0, 3, 30)
    assert distance_at_k(y, score, COST, k=1) == pytest.approx(mean_cost(y, score.argmax(axis=1), COST))


def test_equal_scores_rank_by_place():
    assert distance_at_k([0], [[0.2, 0.4, 0.4]], DISTANCE, k=1) == 2
    assert distance_at_k([2], [[0.2, 0.4, 0.4]], DISTANCE, k=2) == 1.5


def test_scores_may_be_negative_costs():
    P = np.random.default_rng(0).dirichlet(np.ones(3), 20)
    y = np.arange(20) % 3
    risk = P @ COST
    assert distance_at_k(y, -risk, COST, k=1) == pytest.approx(mean_cost(y, risk.argmin(axis=1), COST))


def test_whose_mistake_is_nearer():
    y = np.array([0, 0, 0, 1, 2, 2])
    one = np.array([1, 2, 1, 1, 0, 2])
    other = np.array([2, 1, 1, 0, 1, 0])
    assert better_mistake_share(y, one, other, DISTANCE) == (4, 0.25, 0.5, 0.25)
    assert better_mistake_share(y, one, other, COST) == (4, 0.5, 0.25, 0.25)


def test_whose_mistake_is_nearer_turns_around():
    y, one = _answers()
    other = _answers(seed=1)[1]
    n, better, same, worse = better_mistake_share(y, one, other, COST)
    assert better_mistake_share(y, other, one, COST) == (n, worse, same, better)
    assert n == ((y != one) & (y != other)).sum()
    assert better + same + worse == pytest.approx(1)


def test_where_two_are_never_both_wrong_there_is_no_share():
    n, *shares = better_mistake_share([0, 1], [1, 1], [0, 0], DISTANCE)
    assert n == 0
    assert np.isnan(shares).all()


def test_explicability_by_hand():
    weights = [[0.8, 0.2], [0.3, 0.7]]
    P = np.array([[0.9, 0.1], [0.5, 0.5]])
    expected = -(0.3 * np.log(0.9) + 0.7 * np.log(0.1) + 0.8 * np.log(0.5) + 0.2 * np.log(0.5)) / 2
    assert explicability_loss(P, [1, 0], weights) == pytest.approx(expected)
    assert explicability_loss(np.log(P) + 3, [1, 0], weights, input="logits") == pytest.approx(expected)


def test_explicability_with_labels_is_log_loss():
    P = np.random.default_rng(0).dirichlet(np.ones(4), 20)
    y = np.arange(20) % 4
    assert explicability_loss(P, y, np.eye(4)) == pytest.approx(-np.log(P[np.arange(20), y]).mean())


def test_explicability_is_never_below_the_entropy_of_the_weights():
    semantics = ClassSemantics.cifar10()
    weights = semantics.weights(temperature=0.5)
    entropy = -(weights * np.log(weights)).sum(axis=1).mean()
    assert explicability_loss(weights, np.arange(10), weights) == pytest.approx(entropy)
    P = np.random.default_rng(0).dirichlet(np.ones(10), 10)
    assert explicability_loss(P, np.arange(10), weights) > entropy


def test_a_zero_that_should_not_be_is_infinitely_bad():
    assert explicability_loss([[1.0, 0.0]], [0], [[0.9, 0.1], [0, 1]]) == np.inf
    assert explicability_loss([[1.0, 0.0]], [0], np.eye(2)) == 0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("y", "answer", "distance", "classes", "message"),
    [
        ([0, 3], [0, 1], DISTANCE, None, r"y holds \[3\], which are not among the classes"),
        ([0, 1], [0, -1], DISTANCE, None, r"answer holds \[-1\]"),
        ([0, 1], [0, 1, 2], DISTANCE, None, r"answer must hold one label a sample, shape \(2,\)"),
        (["0", "1"], [0, 1], DISTANCE, None, "y holds none of the classes"),
        ([0, 1], ["0", "1"], DISTANCE, None, "answer holds none of the classes"),
        ([0, np.nan], [0, 1], DISTANCE, None, "y has 1 missing"),
        (0, 0, DISTANCE, None, "y must hold one label a sample"),
        ([0, 1], [0, 1], DISTANCE, ["a", "b"], "classes must name the 3 rows"),
        (["cat", "cow"], ["cat", "cat"], ANIMALS, None, r"y holds \['cow'\]"),
        (["cat", "dog"], ["cat", "abstain"], ANIMALS, None, r"answer holds \['abstain'\]"),
        ([0, 1], [0, 1], ANIMALS, [0, 1, 2], "semantics lack 3 of the classes"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused(metric, y, answer, distance, classes, message):
    with pytest.raises(ValueError, match=message):
        metric(y, answer, distance, classes=classes)


BAD = [
    (DISTANCE[:2], "must have shape"),
    (DISTANCE - 1, "must not be negative"),
    (np.where(DISTANCE, DISTANCE, np.nan), "has NaN or infinite"),
    (np.where(DISTANCE, np.inf, 0), "has NaN or infinite"),
    ([["a"] * 3] * 3, "must be numeric"),
]


@pytest.mark.parametrize("metric", [mistake_severity, severity_report])
@pytest.mark.parametrize(("matrix", "message"), BAD)
def test_distances_that_are_none_are_refused(metric, matrix, message):
    with pytest.raises(ValueError, match=f"distance {message}"):
        metric([0, 1], [1, 1], matrix)


@pytest.mark.parametrize(("matrix", "message"), BAD)
def test_costs_that_are_none_are_refused(matrix, message):
    with pytest.raises(ValueError, match=f"cost {message}"):
        mean_cost([0, 1], [1, 1], matrix)


@pytest.mark.parametrize("wrong", [0, 4, 1.5, True])
def test_as_many_first_answers_as_there_are_classes(wrong):
    with pytest.raises(ValueError, match="k must be a whole number from 1 to 3"):
        distance_at_k([0], [[0.5, 0.2, 0.3]], DISTANCE, k=wrong)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ([[0.5, 0.5]], "score must have a column for each of 3 classes"),
        ([0.5, 0.2, 0.3], "y must hold one label a sample"),
        ([[0.5, np.nan, 0.3]], "score has NaN"),
        ([[0.5, 0.2, 0.3]] * 2, "y must hold one label a sample"),
    ],
)
def test_scores_that_do_not_rank_are_refused(score, message):
    with pytest.raises(ValueError, match=message):
        distance_at_k([0], score, DISTANCE, k=1)


@pytest.mark.parametrize(
    ("outputs", "y", "weights", "kind", "message"),
    [
        ([[0.5, 0.6]], [0], np.eye(2), "proba", "outputs has rows that do not sum to one"),
        ([[0.5, 0.5]], [2], np.eye(2), "proba", "y holds none"),
        ([[0.5, 0.5]], [0], np.eye(3), "proba", r"weights must have shape \(2, 2\)"),
        ([[0.5, 0.5]], [0], np.full((2, 2), np.nan), "proba", "weights has NaN"),
        ([[0.5, 0.5]], [0, 1], np.eye(2), "proba", "y must hold one label a sample"),
        ([[0.5, np.nan]], [0], np.eye(2), "logits", "outputs has NaN"),
        ([[0.5, 0.5]], [0], np.eye(2), "odds", "input must be one of"),
    ],
)
def test_what_explicability_cannot_take(outputs, y, weights, kind, message):
    with pytest.raises(ValueError, match=message):
        explicability_loss(outputs, y, weights, input=kind)


@pytest.mark.parametrize("weights", [[[2.0, 0.0], [0.0, 2.0]], [[1.5, -0.5], [0.0, 1.0]]], ids=str)
def test_explicability_takes_soft_labels_alone(weights):
    with pytest.raises(ValueError, match="weights"):
        explicability_loss([[0.5, 0.5]], [0], weights)


@pytest.fixture(scope="module")
def flowers():
    X, y = load_iris(return_X_y=True)
    X = X[:, :2]
    return X, np.array(["tulip", "aster", "lily"])[y]


# rows and columns are in the order of sorted labels: aster, lily, tulip
FLOWERS = np.array([[0.0, 30, 1], [1, 0, 1], [1, 1, 0]])


def test_a_search_minimises_the_cost_of_named_classes(flowers):
    X, y = flowers
    scoring = make_selective_scorer(mean_cost, cost=FLOWERS)
    search = GridSearchCV(
        CostSensitiveClassifier(LinearProbe(), cv=2), {"cost": [None, FLOWERS, FLOWERS.T]}, scoring=scoring, cv=2
    ).fit(X, y)
    assert search.best_params_["cost"] is FLOWERS or np.array_equal(search.best_params_["cost"], FLOWERS)
    code = {label: i for i, label in enumerate(["aster", "lily", "tulip"])}
    splits = search.cv_results_["split0_test_score"], search.cv_results_["split1_test_score"]
    assert np.all(np.array(splits) <= 0)
    answer = search.best_estimator_.predict(X)
    by_hand = np.mean([FLOWERS[code[t], code[a]] for t, a in zip(y, answer, strict=True)])
    assert scoring(search.best_estimator_, X, y) == pytest.approx(-by_hand)


def test_a_search_over_a_hierarchy(flowers):
    X, y = flowers
    semantics = ClassSemantics.from_tree([("bulb", "tulip"), ("bulb", "lily"), ("any", "bulb"), ("any", "aster")])
    search = GridSearchCV(
        HierarchicalClassifier(LinearProbe(), semantics, cv=2),
        {"calibrator": [None, Temperature()]},
        scoring=make_selective_scorer(mean_cost, cost=semantics),
        cv=2,
    ).fit(X, y)
    answer = search.best_estimator_.predict(X)
    scoring = make_selective_scorer(mean_cost, cost=semantics)
    assert scoring(search.best_estimator_, X, y) == pytest.approx(-mean_cost(y, answer, semantics))
    assert np.isfinite(search.best_score_)


@pytest.mark.parametrize("order", [["aster", "lily", "tulip"], ["tulip", "aster", "lily"]])
def test_semantics_in_any_order_score_the_same(flowers, order):
    X, y = flowers
    semantics = ClassSemantics.from_matrix(DISTANCE, ["aster", "lily", "tulip"]).aligned(order)
    scoring = make_selective_scorer(mistake_severity, distance=semantics)
    fitted = SelectiveClassifier(LinearProbe(), cv=2).fit(X, y)
    expected = mistake_severity(y, fitted.predict(X), DISTANCE, classes=["aster", "lily", "tulip"])
    assert scoring(fitted, X, y) == pytest.approx(-expected)


def test_cross_validation_takes_the_classes_that_are_given(flowers):
    X, y = flowers
    order = ["tulip", "aster", "lily"]
    cost = FLOWERS[np.ix_([2, 0, 1], [2, 0, 1])]
    scores = [
        cross_val_score(SelectiveClassifier(LinearProbe(), cv=2), X, y, scoring=scoring, cv=2)
        for scoring in (
            make_selective_scorer(mean_cost, cost=FLOWERS),
            make_selective_scorer(mean_cost, cost=cost, classes=order),
        )
    ]
    np.testing.assert_allclose(scores[0], scores[1])


@pytest.mark.parametrize("metric", [mean_cost, mistake_severity])
def test_a_scorer_without_costs_is_refused(metric):
    with pytest.raises(TypeError, match=r"options .* do not fit"):
        make_selective_scorer(metric, costs=FLOWERS)
    with pytest.raises(TypeError, match=r"options .* do not fit"):
        make_selective_scorer(metric)


@pytest.mark.parametrize(
    ("metric", "options"),
    [
        (distance_at_k, {"distance": DISTANCE, "k": 2}),
        (explicability_loss, {"weights": [[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]]}),
        (mistake_severity, {"distance": DISTANCE}),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_scorers_hand_over_what_a_metric_asks_for(flowers, metric, options):
    X, y = flowers
    model = SelectiveClassifier(LinearProbe(), cv=2).fit(X, y)
    classes, proba = model.classes_, model.predict_proba(X)
    expected = {
        distance_at_k: lambda: distance_at_k(y, proba, **options, classes=classes),
        explicability_loss: lambda: explicability_loss(proba, np.searchsorted(classes, y), **options),
        mistake_severity: lambda: mistake_severity(y, model.predict(X), **options, classes=classes),
    }[metric]()
    assert make_selective_scorer(metric, **options)(model, X, y) == pytest.approx(-expected)
