"""The weighted loss function on features, and the same after training: mixtures of calibrated probabilities."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abstain import LinearProbe, WLFClassifier
from abstain.classifiers import WLFTransform
from abstain.semantics import ClassSemantics
from abstain.warnings import FlatWeightsWarning

WEIGHTS = np.array([[0.8, 0.15, 0.05], [0.3, 0.7, 0.0], [0.0, 0.1, 0.9]])
DISTANCE = np.array([[0.0, 1, 6], [1, 0, 5], [6, 5, 0]])
LABELS = [[0, 1, 2], [-3, 5, 7], ["a", "b", "c"], [1.0, 2.0, 4.0]]


def _problem(n=300, seed=0):
    """Logits that are linear in the features, labels drawn from them, and their probabilities."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    logits = X @ np.array([[1.0, 0.2, -1.2], [0.0, 1.1, -0.6]]) + [0.2, 0.0, -0.1]
    eta = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return X, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1), eta


X, Y, ETA = _problem()


def test_without_weights_it_is_a_linear_probe():
    one, other = WLFClassifier().fit(X, Y), LinearProbe().fit(X, Y)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-9)
    np.testing.assert_array_equal(one.weights_, np.eye(3))


def test_what_training_gives_is_what_mixing_gives_where_the_model_holds_both():
    X_large, y, eta = _problem(30_000)
    weights = 0.97 * np.eye(3) + 0.01  # so near to one-hot that mixtures are nearly linear in the features, too
    trained = WLFClassifier(weights, l2=0).fit(X_large, y).predict_proba(X_large)
    mixed = LinearProbe(l2=0).fit(X_large, y).predict_proba(X_large) @ weights
    np.testing.assert_allclose(trained, mixed, atol=0.03)
    np.testing.assert_allclose(trained, eta @ weights, atol=0.04)


def test_what_training_gives_is_what_mixing_gives_on_a_few_kinds_of_rows():
    rng = np.random.default_rng(0)
    kind = np.arange(40_000) % 4
    proba = rng.dirichlet(np.ones(3), 4)
    y = (rng.random(40_000)[:, None] > np.cumsum(proba, axis=1)[kind]).sum(axis=1)
    indicators = np.eye(4)[kind]  # a linear model of which can say anything
    weighted = WLFClassifier(WEIGHTS, l2=1e-6).fit(indicators, y).predict_proba(np.eye(4))
    share = np.stack([np.bincount(y[kind == k], minlength=3) / (kind == k).sum() for k in range(4)])
    np.testing.assert_allclose(weighted, share @ WEIGHTS, atol=1e-4)
    np.testing.assert_allclose(weighted, proba @ WEIGHTS, atol=0.02)


def test_the_answer_is_that_of_the_mixed_probabilities():
    rng = np.random.default_rng(1)
    indicators = np.eye(5)[np.arange(2000) % 5]
    y = rng.integers(0, 3, 2000)
    fitted = WLFClassifier(WEIGHTS, l2=1e-6).fit(indicators, y)
    share = np.stack([np.bincount(y[np.arange(2000) % 5 == k], minlength=3) for k in range(5)])
    np.testing.assert_array_equal(fitted.predict(np.eye(5)), (share @ WEIGHTS).argmax(axis=1))


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_labels_of_all_kinds(labels):
    labels = np.array(labels)
    fitted, plain = WLFClassifier(WEIGHTS).fit(X, labels[Y]), WLFClassifier(WEIGHTS).fit(X, Y)
    assert fitted.classes_.tolist() == labels.tolist()
    np.testing.assert_array_equal(fitted.predict_proba(X), plain.predict_proba(X))
    np.testing.assert_array_equal(fitted.predict(X), labels[plain.predict(X)])


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_semantics_are_aligned_by_their_labels(labels):
    order = [2, 0, 1]
    shuffled = ClassSemantics.from_matrix(DISTANCE[np.ix_(order, order)], np.array(labels)[order])
    fitted = WLFClassifier(shuffled, temperature=0.2).fit(X, np.array(labels)[Y])
    expected = ClassSemantics.from_matrix(DISTANCE).weights(temperature=0.2)
    np.testing.assert_allclose(fitted.weights_, expected, rtol=1e-12)


def test_semantics_may_know_more_classes():
    cifar = ClassSemantics.cifar10()
    fitted = WLFClassifier(cifar, temperature=0.3).fit(X, np.array([9, 3, 5])[Y])
    np.testing.assert_allclose(fitted.weights_, cifar.aligned([3, 5, 9]).weights(temperature=0.3), rtol=1e-12)


def test_sharper_weights_are_nearer_to_plain_cross_entropy():
    semantics = ClassSemantics.from_matrix(DISTANCE)
    plain = LinearProbe().fit(X, Y).predict_proba(X)
    away = [
        np.abs(WLFClassifier(semantics, temperature=t).fit(X, Y).predict_proba(X) - plain).mean()
        for t in (0.4, 0.2, 0.05, 0.001)
    ]
    assert away[0] > away[1] > away[2] > away[3]
    assert away[0] > 0.01
    assert away[3] < 1e-8


def test_the_temperature_does_not_touch_weights_that_are_given():
    one, other = (WLFClassifier(WEIGHTS, temperature=t).fit(X, Y) for t in (0.1, 1.0))
    np.testing.assert_array_equal(one.coef_, other.coef_)


def test_flat_weights_are_told():
    with pytest.warns(FlatWeightsWarning):
        WLFClassifier(ClassSemantics.from_matrix(DISTANCE), temperature=9.0).fit(X, Y)


def test_sample_weights_are_rows_given_again():
    twice = np.where(np.arange(len(Y)) < 50, 2.0, 1.0)
    one = WLFClassifier(WEIGHTS).fit(X, Y, sample_weight=twice)
    other = WLFClassifier(WEIGHTS).fit(np.concatenate([X, X[:50]]), np.concatenate([Y, Y[:50]]))
    # standardised features differ a little: the penalty does
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-3)


def test_parameters_come_and_go():
    estimator = WLFClassifier(WEIGHTS, temperature=0.5, l2=3.0)
    params = estimator.get_params()
    assert "loss" not in params
    assert (params["weights"], params["temperature"], params["l2"]) == (WEIGHTS, 0.5, 3.0) or params[
        "weights"
    ] is WEIGHTS
    assert estimator.set_params(temperature=2.0, l2=1.0).temperature == 2.0
    assert WLFClassifier(**params).get_params().keys() == params.keys()
    with pytest.raises(ValueError, match="loss"):
        estimator.set_params(loss=None)


@pytest.mark.parametrize("weights", [None, WEIGHTS, ClassSemantics.cifar10()], ids=["none", "matrix", "semantics"])
def test_clones_are_fitted_alike(weights):
    y = np.array([3, 5, 9])[Y]
    estimator = WLFClassifier(weights, temperature=0.3)
    copied = clone(estimator)
    assert copied.temperature == 0.3
    np.testing.assert_array_equal(copied.fit(X, y).coef_, estimator.fit(X, y).coef_)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(estimator)).predict_proba(X), estimator.predict_proba(X))
    clone(estimator)


def test_fitting_does_not_change_parameters():
    semantics = ClassSemantics.from_matrix(DISTANCE)
    estimator = WLFClassifier(semantics, temperature=0.3).fit(X, Y)
    assert estimator.weights is semantics
    np.testing.assert_array_equal(semantics.distance(), DISTANCE)


def test_temperatures_are_searched_in_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), WLFClassifier(ClassSemantics.from_matrix(DISTANCE)))
    grid = {"wlfclassifier__temperature": [0.3, 0.01]}
    search = GridSearchCV(pipeline, grid, scoring="neg_log_loss", cv=2).fit(X, Y)
    assert search.best_params_ == {"wlfclassifier__temperature": 0.01}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"weights": np.eye(4)}, "weights must have a row for each of the 3 classes in y; got 4"),
        ({"weights": WEIGHTS[:2]}, "weights must be a square matrix"),
        ({"weights": 2 * WEIGHTS}, "weights must be a square matrix"),
        ({"weights": -WEIGHTS}, "weights must be a square matrix"),
        ({"weights": ClassSemantics.from_matrix(DISTANCE, list("abc"))}, "semantics lack 3 of the classes"),
        ({"weights": ClassSemantics.from_matrix(DISTANCE, ["0", "1", "2"])}, "semantics lack 3 of the classes"),
        ({"weights": ClassSemantics.from_matrix(DISTANCE), "temperature": 0}, "temperature must be a number above 0"),
        ({"temperature": -1.0}, "temperature must be a number above 0"),
        ({"temperature": None}, "temperature must be a number above 0"),
        ({"l2": -1}, "l2 must be"),
    ],
    ids=str,
)
def test_parameters_that_do_not_fit_are_named(params, message):
    with pytest.raises(ValueError, match=message):
        WLFClassifier(**params).fit(X, Y)


def test_mixing_is_a_product():
    transform = WLFTransform(WEIGHTS).fit(ETA)
    np.testing.assert_allclose(transform.transform(ETA), ETA @ WEIGHTS, rtol=1e-14)
    np.testing.assert_allclose(transform.transform(np.eye(3)), WEIGHTS, rtol=1e-14)
    assert transform.condition_ == pytest.approx(np.linalg.cond(WEIGHTS))


def test_without_weights_nothing_is_mixed():
    transform = WLFTransform().fit(ETA)
    np.testing.assert_array_equal(transform.transform(ETA), ETA)
    np.testing.assert_allclose(transform.inverse_transform(ETA), ETA, rtol=1e-12)


def test_mixing_can_be_undone():
    transform = WLFTransform(WEIGHTS).fit(ETA)
    np.testing.assert_allclose(transform.inverse_transform(transform.transform(ETA)), ETA, atol=1e-12)


def test_what_no_mixture_is_becomes_probabilities():
    proba = WLFTransform(WEIGHTS).fit(ETA).inverse_transform(np.eye(3))
    assert (proba >= 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(proba.argmax(axis=1), [0, 1, 2])


@pytest.mark.parametrize("weights", [np.full((3, 3), 1 / 3), WEIGHTS[[0, 0, 2]]], ids=["flat", "twice"])
def test_singular_weights_mix_but_cannot_be_undone(weights):
    transform = WLFTransform(weights).fit(ETA)
    np.testing.assert_allclose(transform.transform(ETA), ETA @ weights, rtol=1e-14)
    with pytest.raises(ValueError, match="weights are singular, or nearly so"):
        transform.inverse_transform(ETA)


@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
def test_as_many_columns_as_in_fit(method):
    transform = WLFTransform(WEIGHTS).fit(ETA)
    with pytest.raises(ValueError, match="X has 4 features, but WLFTransform is expecting 3"):
        getattr(transform, method)(np.full((2, 4), 0.25))


def test_weights_have_a_row_for_each_column():
    with pytest.raises(ValueError, match="weights must have a row for each of the 4 columns of X; got 3"):
        WLFTransform(WEIGHTS).fit(np.full((2, 4), 0.25))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.5, 0.6, 0.1]], "X has rows that do not sum to one"),
        ([[2.0, -1.0, 0.0]], "X has negative entries.*take their softmax"),
        ([[np.nan, 0.5, 0.5]], "X has NaN"),
        ([0.2, 0.3, 0.5], "X must have shape|X does not contain any features"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "transform", "inverse_transform"])
def test_rows_that_are_no_probabilities_are_refused(method, rows, message):
    transform = WLFTransform(WEIGHTS).fit(ETA)
    with pytest.raises(ValueError, match=message):
        getattr(transform, method)(rows)


def test_mixing_fits_into_a_pipeline_by_clones_and_frames():
    pd = pytest.importorskip("pandas", reason="needs the test extra")
    frame = pd.DataFrame(ETA, columns=["a", "b", "c"])
    transform = clone(WLFTransform(WEIGHTS)).fit(frame)
    assert transform.feature_names_in_.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(transform.transform(frame), ETA @ WEIGHTS, rtol=1e-14)
    assert WLFTransform(WEIGHTS).fit_transform(ETA).shape == ETA.shape


def test_rows_of_shorter_floats_are_mixed_as_what_they_hold():
    short = ETA.astype(np.float32)
    mixed = WLFTransform(WEIGHTS).fit(short).transform(short)
    assert mixed.dtype == np.float64
    np.testing.assert_allclose(mixed, short.astype(np.float64) @ WEIGHTS, rtol=1e-14)
