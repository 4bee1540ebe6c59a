"""Closed-form scores at any size (L4), and distances in the precision of the data (L3)."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from small_problems import attempt, overlapping, quiet

import abstain
from abstain import scores
from abstain.outputs import ClassOutputs

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


def log_probabilities(values, kind="proba"):
    return ClassOutputs(values, kind).log_proba


CLOSED = [scores.max_probability, scores.margin, scores.entropy, scores.gini, scores.gen]


@pytest.mark.parametrize("size", [0.0, 1e3, 1e16, -1e16, 1e100, 1e300, -1e300])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_equal_logits_of_any_size_are_equal_probabilities(size, n_classes):
    logits = np.full((1, n_classes), size)
    np.testing.assert_allclose(log_probabilities(logits, "logits"), -np.log(n_classes), rtol=1e-12)
    assert scores.entropy(logits, input="logits")[0] == pytest.approx(-np.log(np.log(n_classes)), abs=1e-9)
    assert scores.margin(logits, input="logits")[0] == pytest.approx(0.0, abs=1e-9)
    assert scores.max_probability(logits, input="logits")[0] == pytest.approx(-np.log(n_classes - 1), abs=1e-9)
    expected = scores.gini(np.full((1, n_classes), 1 / n_classes))
    np.testing.assert_allclose(scores.gini(logits, input="logits"), expected, atol=1e-9)


@pytest.mark.parametrize("score", CLOSED, ids=lambda score: score.__name__)
@pytest.mark.parametrize("shift", [2.0**20, -(2.0**40), 2.0**48])
def test_scores_do_not_move_when_all_logits_do(score, shift):
    logits = np.random.default_rng(0).integers(-9, 10, size=(50, 4)).astype(float)
    moved = score(logits + shift, input="logits")  # exact in float64
    np.testing.assert_allclose(moved, score(logits, input="logits"), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_large_logits_of_low_precision(dtype):
    logits = np.array([[3e4, 3e4, -3e4], [3e4, 2.9e4, 0.0]], dtype=dtype)
    assert scores.entropy(logits, input="logits")[0] == pytest.approx(-np.log(np.log(2)), abs=1e-9)
    gap = float(logits[1, 0]) - float(logits[1, 1])
    assert scores.max_probability(logits, input="logits")[1] == pytest.approx(gap)


@pytest.mark.parametrize("scorer", [abstain.MaxLogitPNorm(), abstain.RelU(), abstain.SIRC()], ids=repr)
def test_fitted_scores_do_not_move_when_all_logits_do(scorer):
    rng = np.random.default_rng(0)
    logits = rng.integers(-9, 10, size=(200, 4)).astype(float)
    correct = rng.random(200) < 0.5 + 0.4 * (logits.max(axis=1) > 6)
    before = quiet(scorer.fit, logits, correct).score_samples(logits)
    after = quiet(scorer.fit, logits + 2.0**40, correct).score_samples(logits + 2.0**40)
    if isinstance(scorer, abstain.SIRC):  # it sees features there, whose norm does move
        assert np.isfinite(after).all()
    else:
        np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9)


DISTANCES = {
    "Mahalanobis": abstain.Mahalanobis(),
    "relative": abstain.RelativeMahalanobis(),
    "predicted": abstain.Mahalanobis(at="predicted"),
    "neighbours": abstain.NearestNeighbours(3, engine="sklearn"),
    "ViM": abstain.ViM(2),
    "head": abstain.TrustHead(l2=1.0, random_state=0),
}
SINGLE = ["Mahalanobis", "relative", "neighbours"]


def fit_and_score(name, X, query):
    y = load_iris().target
    target = (y > 0).astype(float) if name == "head" else y
    scorer = DISTANCES[name]
    if name == "predicted":
        pytest.skip("needs predictions") if not hasattr(scorer, "at") else None
    return quiet(scorer.fit, X, target).score_samples(query)


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6])
@pytest.mark.parametrize("name", SINGLE)
def test_a_far_origin_costs_no_digits_in_single_precision(name, offset):
    single = (load_iris().data + offset).astype("float32")
    exact = fit_and_score(name, single.astype("float64"), single.astype("float64"))
    got = fit_and_score(name, single, single)
    np.testing.assert_allclose(got, exact, rtol=2e-3, atol=2e-3 * np.median(np.abs(exact)))


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("order", [">f8", "<f8"])
@pytest.mark.parametrize("name", ["Mahalanobis", "relative", "ViM", "head"])
def test_the_order_of_bytes_costs_no_digits(name, order, offset):
    X = load_iris().data + offset
    exact = fit_and_score(name, X, X)
    np.testing.assert_allclose(fit_and_score(name, X.astype(order), X.astype(order)), exact, rtol=1e-9, atol=1e-12)


def test_the_order_of_bytes_costs_no_digits_in_a_probe():
    X, y = overlapping(200)
    X = X + 1e7
    exact = abstain.LinearProbe().fit(X, y).predict_proba(X)
    got = abstain.LinearProbe().fit(X.astype(">f8"), y).predict_proba(X.astype(">f8"))
    np.testing.assert_allclose(got, exact, atol=1e-9)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("size", [1e200, -1e200, 1e160, 1e300])
@pytest.mark.parametrize("name", ["Mahalanobis", "relative", "ViM", "head", "neighbours"])
def test_a_row_far_away_has_a_finite_score_or_is_refused(name, size):
    X = load_iris().data
    query = np.vstack([X[:2], X[:1]])
    query[-1, 0] = size
    score, refusal = attempt(fit_and_score, name, X, query)
    if score is None:
        assert any(word in refusal for word in ("large", "float32", "finite", "range"))
        return
    assert np.isfinite(score).all()
    if name not in ("head", "relative"):
        assert score[-1] < score[:2].min()


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("size", [1e200, 1e300])
def test_a_head_fitted_with_huge_values_has_finite_scores_or_refuses(size):
    X, y = overlapping(200)
    X[::2, 0] *= size
    head = abstain.TrustHead(l2=1.0, random_state=0)
    score, refusal = attempt(lambda: head.fit(X, y).score_samples(X))
    assert refusal if score is None else ((score >= 0) & (score <= 1)).all()
