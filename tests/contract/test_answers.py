"""The answer is the classifier's: score, correctness and certificate speak of what ``predict`` says (H1)."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from small_problems import Costly, Median, overlapping, quiet, unbalanced

import abstain
from abstain.metrics import aurc, make_selective_scorer
from abstain.scores import margin, max_probability

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


def low_threshold():
    return FixedThresholdClassifier(LogisticRegression(), threshold=0.1)


BINARY = {
    "fixed": low_threshold(),
    "fixed of naive Bayes": FixedThresholdClassifier(GaussianNB(), threshold=0.05),
    "tuned": TunedThresholdClassifierCV(LogisticRegression(), scoring="f1", cv=2, thresholds=15, random_state=0),
    "costs": Costly(),
    "in a pipeline": make_pipeline(StandardScaler(), low_threshold()),
    "pipeline inside": FixedThresholdClassifier(make_pipeline(StandardScaler(), LogisticRegression()), threshold=0.1),
    "in a search": GridSearchCV(low_threshold(), {"threshold": [0.08, 0.1]}, scoring="recall", cv=3),
    "calibrated inside": FixedThresholdClassifier(CalibratedClassifierCV(GaussianNB(), cv=2), threshold=0.1),
    "high": FixedThresholdClassifier(LogisticRegression(), threshold=0.9),
}
MULTICLASS = {
    "costs": Costly(),
    "median": Median(),
    "votes": SVC(decision_function_shape="ovr", gamma=2.0),
}


def own_answers(fitted, X):
    """Indices of the answers of the classifier that is wrapped."""
    answers = fitted.estimator_.predict(X)
    return np.searchsorted(fitted.classes_, answers)


@pytest.fixture
def binary():
    X, y = unbalanced(900)
    return X[:400], y[:400], X[400:], y[400:]


@pytest.fixture
def ordered():
    X, y = overlapping(900, 4, gap=1.0)
    return X[:400], y[:400], X[400:], y[400:]


@pytest.mark.parametrize("name", BINARY)
def test_predict_is_that_of_the_estimator(binary, name):
    X, y, new, _ = binary
    fitted = quiet(abstain.SelectiveClassifier(clone(BINARY[name]), cv=2).fit, X, y)
    answers = fitted.estimator_.predict(new)
    argmax = fitted.classes_[fitted.estimator_.predict_proba(new).argmax(axis=1)]
    assert (answers != argmax).any(), "the problem does not ask the question"
    np.testing.assert_array_equal(fitted.predict(new), answers)


@pytest.mark.parametrize("name", MULTICLASS)
def test_predict_is_that_of_the_estimator_with_several_classes(ordered, name):
    X, y, new, _ = ordered
    response = "decision_function" if name == "votes" else "predict_proba"
    clf = abstain.SelectiveClassifier(clone(MULTICLASS[name]), cv=2, response_method=response)
    fitted = quiet(clf.fit, X, y)
    np.testing.assert_array_equal(fitted.predict(new), fitted.estimator_.predict(new))


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True], [1.0, 2.0], [-1, 1]], ids=str)
def test_predict_is_that_of_the_estimator_for_all_kinds_of_labels(binary, labels):
    X, y, new, _ = binary
    y = np.array(labels)[y]
    base = FixedThresholdClassifier(LogisticRegression(), threshold=0.1, pos_label=labels[1])
    fitted = quiet(abstain.SelectiveClassifier(base, cv=2).fit, X, y)
    np.testing.assert_array_equal(fitted.predict(new), fitted.estimator_.predict(new))
    accepted = fitted.accept(new)
    np.testing.assert_array_equal(fitted.decide(new)[accepted], fitted.estimator_.predict(new)[accepted])


def test_a_low_threshold_keeps_its_recall():
    rng = np.random.default_rng(0)
    y = (rng.random(4000) < 0.05).astype(int)
    X = rng.normal(size=(4000, 3)) + 1.2 * y[:, None]
    fitted = quiet(abstain.SelectiveClassifier(low_threshold(), cv=2).fit, X[:2000], y[:2000])
    alone = low_threshold().fit(X[:2000], y[:2000]).predict(X[2000:])
    assert recall_score(y[2000:], fitted.predict(X[2000:])) == recall_score(y[2000:], alone)


@pytest.mark.parametrize("response", ["predict_proba", "decision_function"])
@pytest.mark.parametrize("frozen", [False, True], ids=["cross-fitted", "frozen"])
def test_the_score_is_the_probability_of_the_answer(binary, response, frozen):
    X, y, new, _ = binary
    base = FrozenEstimator(low_threshold().fit(*unbalanced(300, seed=5))) if frozen else low_threshold()
    fitted = quiet(abstain.SelectiveClassifier(base, cv=2, response_method=response).fit, X, y)
    answer = own_answers(fitted, new)
    proba = fitted.estimator_.predict_proba(new)
    expected = logit(np.clip(proba[np.arange(len(new)), answer], 1e-15, 1 - 1e-15))
    np.testing.assert_allclose(fitted.score_samples(new), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["fixed", "costs", "in a search"])
def test_evaluate_gives_the_answer_as_an_index(binary, name):
    X, y, new, _ = binary
    labels = np.array(["a", "b"])
    base = clone(BINARY["costs"]) if name == "costs" else clone(BINARY["fixed"]).set_params(pos_label="b")
    fitted = quiet(abstain.SelectiveClassifier(base, cv=2).fit, X, labels[y])
    evidence = fitted.evaluate(new)
    assert evidence.answer.dtype.kind == "i"
    np.testing.assert_array_equal(fitted.classes_[evidence.answer], fitted.estimator_.predict(new))
    np.testing.assert_array_equal(evidence.score, fitted.score_samples(new))
    np.testing.assert_array_equal(evidence.proba, fitted.predict_proba(new))


@pytest.mark.parametrize("name", ["fixed", "tuned", "costs", "in a pipeline"])
def test_the_certificate_counts_errors_of_the_answers(binary, name):
    X, y, new, y_new = binary
    fitted = quiet(abstain.SelectiveClassifier(clone(BINARY[name]), cv=2).fit, X, y)
    quiet(fitted.fit_policy, new, y_new, abstain.TargetCoverage(0.7))
    accepted = fitted.accept(new)
    wrong = fitted.estimator_.predict(new) != y_new
    assert fitted.policy_.certificate_.accepted == accepted.sum()
    assert fitted.policy_.certificate_.errors == (accepted & wrong).sum()


def test_the_report_counts_errors_of_the_answers(binary):
    X, y, new, y_new = binary
    base = FrozenEstimator(low_threshold().fit(X, y))
    fitted = quiet(abstain.SelectiveClassifier(base, cv=2).fit, new, y_new)
    assert fitted.report_.errors == (base.predict(new) != y_new).sum()


def test_held_out_answers_are_those_of_each_fold(binary):
    X, y, _, _ = binary
    half = np.arange(len(y)) % 2
    folds = [(np.flatnonzero(half == side), np.flatnonzero(half != side)) for side in (0, 1)]
    fitted = quiet(abstain.SelectiveClassifier(low_threshold(), cv=folds).fit, X, y)
    wrong = sum((low_threshold().fit(X[a], y[a]).predict(X[b]) != y[b]).sum() for a, b in folds)
    assert fitted.report_.errors == wrong


@pytest.mark.parametrize(
    "make",
    [
        lambda base: abstain.CorrectnessTrust(base, cv=2, random_state=0),
        lambda base: abstain.SteepSlopeTrust(base, cv=2, random_state=0),
        lambda base: abstain.TCPTrust(base, cv=2, random_state=0),
        lambda base: abstain.FocalTrust(base, cv=2, random_state=0),
        lambda base: abstain.AutoTrust(base, budget="fast", cv=2, random_state=0),
        lambda base: abstain.SelectiveClassifier(base, abstain.SIRC(), cv=2),
        lambda base: abstain.SelectiveClassifier(base, abstain.NearestNeighbours(measure="agreement"), cv=2),
    ],
    ids=["CorrectnessTrust", "SteepSlopeTrust", "TCPTrust", "FocalTrust", "AutoTrust", "SIRC", "neighbours"],
)
def test_every_method_answers_as_its_estimator(binary, make):
    X, y, new, y_new = binary
    base = FrozenEstimator(low_threshold().fit(X, y))
    fitted = quiet(make(base).fit, new[:300], y_new[:300])
    rest, y_rest = new[300:], y_new[300:]
    np.testing.assert_array_equal(fitted.predict(rest), base.predict(rest))
    quiet(fitted.fit_policy, rest, y_rest, abstain.TargetCoverage(0.8))
    wrong = base.predict(rest) != y_rest
    assert fitted.policy_.certificate_.errors == (fitted.accept(rest) & wrong).sum()


@pytest.mark.torch
@pytest.mark.parametrize("name", ["SelectiveNetClassifier", "SYNCClassifier", "GamblersClassifier"])
def test_selectors_behind_a_classifier_answer_as_it_does(binary, name):
    X, y, new, y_new = binary
    base = FrozenEstimator(low_threshold().fit(X, y))
    clf = getattr(abstain, name)(base, hidden=(8,), training=abstain.Training(epochs=2, device="cpu"), random_state=0)
    fitted = quiet(clf.fit, new, y_new)
    np.testing.assert_array_equal(fitted.predict(X), base.predict(X))


def test_neighbours_agree_with_the_answer_and_not_with_the_argmax(binary):
    X, y, new, _ = binary
    scorer = abstain.NearestNeighbours(5, measure="agreement", engine="sklearn")
    base = FrozenEstimator(low_threshold().fit(X, y))
    fitted = quiet(abstain.SelectiveClassifier(base, scorer, cv=2).fit, X, y)
    scaled = StandardScaler().fit(X)
    distance = ((scaled.transform(new)[:, None] - scaled.transform(X)[None]) ** 2).sum(axis=2)
    nearest = y[np.argsort(distance, axis=1)[:, :5]]
    expected = (nearest == base.predict(new)[:, None]).mean(axis=1)
    changed = base.predict(new) != base.predict_proba(new).argmax(axis=1)
    assert changed.any()
    assert np.corrcoef(fitted.score_samples(new)[changed], expected[changed])[0, 1] > 0.9


def test_pipelines_and_searches_are_reached(binary):
    X, y, new, y_new = binary
    pipeline = make_pipeline(StandardScaler(), abstain.SelectiveClassifier(low_threshold(), cv=2))
    search = GridSearchCV(pipeline, {"selectiveclassifier__policy": [abstain.TargetCoverage(0.8)]}, cv=2)
    quiet(search.fit, X, y)
    evidence = abstain.evaluate(search, new)
    inner = search.best_estimator_
    answers = inner[-1].estimator_.predict(inner[:-1].transform(new))
    np.testing.assert_array_equal(evidence.answer, answers)
    np.testing.assert_array_equal(search.predict(new), answers)
    policy = quiet(abstain.fit_policy, search, new, y_new, abstain.TargetCoverage(1.0))
    assert policy.certificate_.errors == (answers != y_new).sum()


def test_search_scorers_and_displays_speak_of_the_answer(binary):
    X, y, new, y_new = binary
    fitted = quiet(abstain.SelectiveClassifier(low_threshold(), cv=2).fit, X, y)
    correct = fitted.estimator_.predict(new) == y_new
    expected = aurc(correct, fitted.score_samples(new))
    assert make_selective_scorer(aurc)(fitted, new, y_new) == pytest.approx(-expected)
    pytest.importorskip("matplotlib").use("agg")
    display = abstain.metrics.RiskCoverageDisplay.from_estimator(fitted, new, y_new)
    assert display.aurc == pytest.approx(expected)
    assert display.risk[-1] == pytest.approx(1 - correct.mean())


def test_closed_form_scores_speak_of_the_answer_given():
    from abstain.outputs import ClassOutputs

    proba = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.5, 0.3, 0.2]])
    outputs = ClassOutputs(proba, answer=np.array([0, 1, 2]))
    np.testing.assert_allclose(expit(max_probability(outputs)), [0.7, 0.2, 0.2], rtol=1e-9)
    np.testing.assert_allclose(np.exp(-margin(outputs)), [0.5, 1.5, 1.3], rtol=1e-9)
    np.testing.assert_allclose(max_probability(outputs[1:]), max_probability(outputs)[1:])
    plain = ClassOutputs(proba)
    np.testing.assert_array_equal(plain.answer, [0, 0, 0])
    np.testing.assert_allclose(max_probability(plain), max_probability(proba))


def test_closed_form_scores_speak_of_the_answer_given_with_logits():
    from abstain.outputs import ClassOutputs

    logits = np.array([[800.0, 0.0], [900.0, 0.0], [0.0, 3.0]])
    outputs = ClassOutputs(logits, kind="logits", answer=np.array([0, 1, 1]))
    np.testing.assert_allclose(max_probability(outputs), [800.0, -900.0, 3.0], rtol=1e-9)
