"""Outputs are judged in the dtype that came, and renormalised once (H2)."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from small_problems import Given, quiet

import abstain
from abstain import scores
from abstain.calibration import Temperature

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")

# what rows of float32 and of float16 may be off by, after a softmax over many classes
ROUGH = {"float32": 3e-5, "float16": 4e-3}


def rough_proba(dtype, n=200, n_classes=5, seed=0):
    """Draw rows of probabilities that miss one by what their dtype rounds away."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(n_classes), size=n)
    return (proba * (1 + rng.choice([-1, 1], size=(n, 1)) * ROUGH[dtype])).astype(dtype)


def test_naive_bayes_on_many_float32_features():
    rng = np.random.default_rng(0)
    y = np.arange(500) % 10
    X = (rng.normal(size=(500, 384)) + 0.1 * rng.normal(size=(10, 384))[y]).astype("float32")
    fitted = quiet(abstain.SelectiveClassifier(GaussianNB(), cv=2).fit, X, y)
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("dtype", ROUGH)
@pytest.mark.parametrize("frozen", [False, True], ids=["cross-fitted", "frozen"])
@pytest.mark.parametrize(
    "clf",
    [
        abstain.SelectiveClassifier(cv=2),
        abstain.SelectiveClassifier(scorer=scores.entropy, cv=2),
        abstain.SelectiveClassifier(scorer=abstain.SIRC(), cv=2),
        abstain.CorrectnessTrust(cv=2, head_inputs="confidence"),
        abstain.TCPTrust(cv=2, head_inputs="confidence"),
    ],
    ids=["default", "entropy", "SIRC", "CorrectnessTrust", "TCPTrust"],
)
def test_low_precision_probabilities_can_be_fitted(dtype, frozen, clf):
    X = rough_proba(dtype)
    rng = np.random.default_rng(1)
    y = np.where(rng.random(200) < 0.6, X.argmax(axis=1), rng.integers(5, size=200))
    y[:10] = np.repeat(np.arange(5), 2)
    base = Given(dtype, classes=np.arange(5))
    base = FrozenEstimator(base.fit(X, y)) if frozen else base
    fitted = quiet(clone(clf).set_params(estimator=base).fit, X, y)
    quiet(fitted.fit_policy, X[::2], y[::2])
    proba = fitted.predict_proba(X)
    assert proba.dtype == np.float64
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-12)
    assert np.isfinite(fitted.score_samples(X)).all()
    np.testing.assert_array_equal(fitted.predict(X), X.argmax(axis=1))


@pytest.mark.parametrize("dtype", ROUGH)
def test_outputs_are_judged_in_their_own_dtype(dtype):
    from abstain.outputs import ClassOutputs

    proba = rough_proba(dtype)
    outputs = ClassOutputs(proba)
    assert outputs.proba.dtype == np.float64
    np.testing.assert_allclose(outputs.proba.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(np.exp(outputs.log_proba), outputs.proba, atol=1e-12)
    np.testing.assert_array_equal(outputs.answer, proba.argmax(axis=1))
    assert len(outputs[::2]) == 100
    np.testing.assert_array_equal(outputs[::2].proba, outputs.proba[::2])
    with pytest.raises(ValueError, match="sum to one"):
        ClassOutputs(proba.astype("float64"))


@pytest.mark.parametrize("dtype", ROUGH)
def test_arrays_and_outputs_have_one_score(dtype):
    from abstain.outputs import ClassOutputs

    proba = rough_proba(dtype)
    for score in (scores.max_probability, scores.margin, scores.entropy, scores.gini, scores.gen):
        np.testing.assert_allclose(score(proba), score(ClassOutputs(proba)), rtol=1e-9, atol=1e-9)


def test_logits_come_in_any_precision():
    from abstain.outputs import ClassOutputs

    logits = np.array([[60000.0, 0.0, -60000.0], [1.0, 1.0, 1.0]], dtype="float16")
    outputs = ClassOutputs(logits, kind="logits")
    np.testing.assert_allclose(outputs.proba, [[1.0, 0.0, 0.0], [1 / 3] * 3], atol=1e-12)
    np.testing.assert_allclose(outputs.logits[:, 0] - outputs.logits[:, 1], [60000.0, 0.0], atol=32)


def test_outputs_that_are_wrong_are_refused():
    from abstain.outputs import ClassOutputs

    for bad in ([[0.5, 0.6]], [[-0.1, 1.1]], [[0.2, 0.2]]):
        with pytest.raises(ValueError, match=r"sum to one|negative"):
            ClassOutputs(np.array(bad))
    with pytest.raises(ValueError, match="kind"):
        ClassOutputs(np.array([[0.5, 0.5]]), kind="scores")
    with pytest.raises(ValueError, match="answer"):
        ClassOutputs(np.array([[0.5, 0.5]]), answer=np.array([2]))


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_half_precision_softmax_of_torch(dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(scale=3, size=(300, 1000)), dtype=getattr(torch, dtype))
    X = torch.softmax(logits, dim=1).numpy()
    y = np.where(rng.random(300) < 0.7, X.argmax(axis=1), rng.integers(1000, size=300))
    base = FrozenEstimator(Given(dtype, classes=np.arange(1000)).fit(X, y))
    fitted = quiet(abstain.SelectiveClassifier(base, cv=2).fit, X, y)
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1.0, atol=1e-12)


def test_rows_that_sum_to_one_up_to_rounding_stay_as_they_are(rng):
    from abstain.outputs import ClassOutputs

    proba = rng.dirichlet(np.ones(7), size=500)
    assert (proba.sum(axis=1) != 1).any()
    np.testing.assert_array_equal(ClassOutputs(proba).proba, proba)


def test_logits_of_probabilities_are_their_logarithms(rng):
    from abstain.outputs import ClassOutputs

    proba, logits = rng.dirichlet(np.ones(4), size=20), rng.normal(size=(20, 4))
    np.testing.assert_allclose(np.exp(ClassOutputs(proba).logits), proba, rtol=1e-12)
    np.testing.assert_array_equal(ClassOutputs(logits, kind="logits").logits, logits)


HALVES = {
    "float16": lambda p: np.asarray(p).astype("float16"),
    "float16, other bytes": lambda p: np.asarray(p).astype(">f2"),
    "float16 tensor": lambda p: pytest.importorskip("torch").tensor(np.asarray(p)).half(),
    "bfloat16 tensor": lambda p: pytest.importorskip("torch").tensor(np.asarray(p)).bfloat16(),
    "bfloat16 tensor with gradient": lambda p: pytest.importorskip("torch").tensor(p).bfloat16().requires_grad_(),
    "float16 frame": lambda p: pytest.importorskip("pandas").DataFrame(np.asarray(p)).astype("float16"),
}


def exact(half):
    """What numbers in half precision stand for."""
    return np.asarray(half.detach().double() if hasattr(half, "detach") else half, dtype=np.float64)


@pytest.mark.parametrize("n_classes", [2, 7, 1000])
@pytest.mark.parametrize("kind", HALVES)
def test_probabilities_in_half_precision_are_normalised_once(kind, n_classes, rng):
    """Rows that miss one by what their dtype rounds away are divided by their sums, and then left alone."""
    from abstain.outputs import ClassOutputs

    proba = np.exp(3 * rng.normal(size=(100, n_classes)))
    given = HALVES[kind](proba / proba.sum(axis=1, keepdims=True))
    held = exact(given)
    assert np.abs(held.sum(axis=1) - 1).max() > 1e-5  # which float64 would not be forgiven
    outputs = ClassOutputs(given)
    np.testing.assert_allclose(outputs.proba, held / held.sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_array_equal(outputs.answer, held.argmax(axis=1))
    np.testing.assert_array_equal(ClassOutputs(outputs.proba).proba, outputs.proba)
    np.testing.assert_allclose(scores.max_probability(given), scores.max_probability(outputs), rtol=1e-9)


@pytest.mark.parametrize("kind", HALVES)
def test_every_row_may_miss_one_by_a_rounding_of_half_precision(kind):
    """Equal entries are all rounded the same way, so that a row misses one by half a unit in the last place."""
    from abstain.outputs import ClassOutputs

    rounding = 2.0**-7 if "bfloat16" in kind else 2.0**-10
    for side in (1 - rounding / 2, 1 + rounding / 2, 1 + rounding):
        np.testing.assert_allclose(ClassOutputs(HALVES[kind](np.full((3, 4), side / 4))).proba, 0.25, rtol=1e-12)


@pytest.mark.parametrize(
    ("row", "remedy"),
    [
        ([0.5, 0.6], r'sum to one .*Normalise them; or, if they are logits, use kind="logits"'),
        ([0.7, 0.2], r'sum to one .*Normalise them; or, if they are logits, use kind="logits"'),
        ([3.0, -2.0], r'negative entries\. Are these logits\? Then use kind="logits"'),
        ([np.nan, 1.0], "NaN or infinite entries; drop or repair those rows"),
        ([np.inf, 0.0], "NaN or infinite entries; drop or repair those rows"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", HALVES)
def test_half_precision_excuses_no_more_than_its_rounding(kind, row, remedy):
    """What no rounding explains is refused with what to do."""
    from abstain.outputs import ClassOutputs

    with pytest.raises(ValueError, match=f"values has .*{remedy}"):
        ClassOutputs(HALVES[kind]([[0.25, 0.75], row]))


def test_what_needs_no_change_is_not_copied_and_nothing_given_is_changed(rng):
    """A copy of the probabilities of a decision would take as long as they do."""
    from abstain.outputs import ClassOutputs

    exact = rng.integers(1, 9, size=(50, 4)) / 64.0
    exact[:, 0] = 1 - exact[:, 1:].sum(axis=1)
    assert np.shares_memory(ClassOutputs(exact).values, exact)
    for given in (0.999999 * exact, np.asfortranarray(exact), exact.astype(">f8"), exact - [0, 1e-17, 0, 0]):
        before = given.copy()
        outputs = ClassOutputs(given)
        np.testing.assert_allclose(outputs.proba, exact, rtol=1e-5)
        np.testing.assert_array_equal(given, before)
    touched = np.vstack([exact, [[0.999, 0.001, 1e-6, 0.0]]])
    assert not np.shares_memory(ClassOutputs(touched).values, touched)
    assert touched[-1].sum() > 1


class Precise(abstain.TargetRisk):
    """A policy that keeps what it is told of the rounding of scores."""

    def fit(self, score, correct=None, *, rounding=None, **told):
        self.rounding_ = rounding
        return super().fit(score, correct, rounding=rounding, **told)


class Brain(Given):
    """Classifier that answers in tensors, as a network does."""

    def predict_proba(self, X):
        import torch

        return torch.tensor(np.asarray(X)).to(getattr(torch, self.dtype))

    def decision_function(self, X):
        return self.predict_proba(X).log()


@pytest.mark.torch
@pytest.mark.parametrize(
    "around", [lambda base: base, FrozenEstimator, lambda base: FrozenEstimator(Temperature(FrozenEstimator(base)))],
    ids=["cross-fitted", "frozen", "calibrated"],
)  # fmt: skip
@pytest.mark.parametrize("response", ["predict_proba", "decision_function"])
@pytest.mark.parametrize(("dtype", "rounding"), [("bfloat16", 2.0**-7), ("float16", 2.0**-10), ("float32", 2.0**-23)])
def test_an_estimator_may_answer_in_any_dtype(around, response, dtype, rounding):
    """Its outputs are judged as those given to a function, and thresholds know how far they are rounded."""
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    X = rng.dirichlet(np.ones(5), size=200)
    y = np.where(rng.random(200) < 0.6, X.argmax(axis=1), np.arange(200) % 5)
    base = around(Brain(dtype, np.arange(5)).fit(X, y))
    if hasattr(base, "estimator") and isinstance(base.estimator, Temperature):
        base.estimator.fit(X, y)
    clf = abstain.SelectiveClassifier(base, policy=Precise(0.2), response_method=response, cv=2)
    fitted = quiet(clf.fit, X, y)
    assert fitted.policy_.rounding_ == rounding
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("kind", ["float16", "float16 tensor", "bfloat16 tensor"])
def test_rows_of_half_precision_may_come_in_a_list(kind):
    """A list of rows says what the array of them says."""
    from abstain.outputs import ClassOutputs

    given = HALVES[kind](rough_proba("float32"))
    np.testing.assert_array_equal(ClassOutputs(list(given)).proba, ClassOutputs(given).proba)


@pytest.mark.torch
def test_an_error_names_the_dtype_that_came():
    """What is allowed is what is allowed for bfloat16, not for float32, which is less."""
    from abstain.outputs import ClassOutputs

    with pytest.raises(ValueError, match=r"0\.04 is allowed for (torch\.)?bfloat16"):
        ClassOutputs(HALVES["bfloat16 tensor"]([[0.5, 0.6]]))


def steep(slope, kind=LogisticRegression):
    """Logistic regression whose log-odds are its one feature times a slope."""
    clf = kind().fit([[-1.0], [1.0]], [0, 1])
    clf.coef_[:], clf.intercept_[:] = slope, 0.0
    return FrozenEstimator(clf)


@pytest.mark.parametrize("slope", [40.0, 400.0])
def test_sure_probabilities_of_two_classes_score_as_their_log_odds(slope):
    """One class is said as the rest of the other, which rounds small probabilities to zero; log-odds know them."""
    X = np.linspace(-1, 1, 41)[:, None]
    y = np.where(np.arange(41) % 7 == 0, X[:, 0] < 0, X[:, 0] > 0).astype(int)
    score = abstain.SelectiveClassifier(steep(slope)).fit(X, y).score_samples(X)
    by_odds = abstain.SelectiveClassifier(steep(slope), response_method="decision_function").fit(X, y)
    np.testing.assert_allclose(score, by_odds.score_samples(X), atol=1e-3)
    np.testing.assert_allclose(score, slope * np.abs(X[:, 0]), atol=1e-3)


@pytest.mark.parametrize("slope", [40.0, 400.0])
def test_sure_probabilities_of_two_classes_have_the_temperature_of_their_log_odds(slope):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (500, 1))
    y = (rng.logistic(size=500) < 4 * X[:, 0]).astype(int)
    by_odds = Temperature(steep(slope), kind="logits").fit(X, y).temperature_
    assert Temperature(steep(slope)).fit(X, y).temperature_ == pytest.approx(by_odds, rel=1e-3)


class Vote(LogisticRegression):
    """Logistic regression whose decision function is a vote between -1 and 1, and no log-odds."""

    def predict_proba(self, X):
        p = expit(super().decision_function(X))
        return np.column_stack([1 - p, p])

    def decision_function(self, X):
        return np.tanh(super().decision_function(X))


def test_probabilities_stay_where_a_decision_function_is_no_log_odds():
    X = np.linspace(-1, 1, 41)[:, None]
    y = np.where(np.arange(41) % 7 == 0, X[:, 0] < 0, X[:, 0] > 0).astype(int)
    vote = steep(40.0, Vote)
    score = abstain.SelectiveClassifier(vote).fit(X, y).score_samples(X)
    np.testing.assert_allclose(score, scores.max_probability(vote.predict_proba(X)), rtol=1e-9)
