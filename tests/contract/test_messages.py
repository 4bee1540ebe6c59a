"""Messages name what can be done, with parameters that exist (M14)."""

import inspect
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted
from small_problems import Given, overlapping, quiet

import abstain
from abstain import metrics, scores
from abstain.losses import CrossEntropyLoss

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


def named(text):
    """Names of the parameters that a message tells to pass, ``name=``."""
    return set(re.findall(r"\b([a-z_]\w*)=", text))


def message(function, *args, error=(ValueError, TypeError), **kwargs):
    with pytest.raises(error) as caught:
        quiet(function, *args, **kwargs)
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def score_and_half(n=50):
    return np.random.default_rng(0).random(n), np.full(n, 0.5)


POLICIES = [abstain.TargetRisk(0.2), abstain.TargetCoverage(0.5), abstain.RejectCost(0.2), abstain.FixedThreshold()]
METRICS = ["aurc", "augrc", "e_aurc", "naurc", "risk_coverage_curve", "failure_report", "compare_aurc"]


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_policies_name_parameters_that_they_have(policy):
    score, half = score_and_half()
    text = message(policy.fit, score, half)
    assert named(text) <= set(inspect.signature(policy.fit).parameters)
    assert "correct" in text


@pytest.mark.parametrize("name", METRICS)
def test_metrics_name_parameters_that_they_have(name):
    score, half = score_and_half()
    metric = getattr(metrics, name)
    extra = (score,) if name == "compare_aurc" else ()
    text = message(metric, half, score, *extra)
    assert named(text) <= set(inspect.signature(metric).parameters)
    assert "correct" in text


@pytest.mark.parametrize("name", ["expected_calibration_error", "reliability_curve"])
def test_calibration_metrics_name_parameters_that_they_have(name):
    score, half = score_and_half()
    metric = getattr(metrics, name)
    assert named(message(metric, half, score)) <= set(inspect.signature(metric).parameters)


# what an estimator says of its base


class Says(ClassifierMixin, BaseEstimator):
    """Classifier whose probabilities are whatever a function makes of those of logistic regression."""

    def __init__(self, change=None):
        self.change = change

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.change(self.model_.predict_proba(X))

    def predict(self, X):
        return self.model_.predict(X)


NOT_PROBABILITIES = {
    "logits": lambda p: np.log(p),
    "negative": lambda p: p - 0.5,
    "not normalised": lambda p: 1.3 * p,
    "counts": lambda p: np.round(100 * p),
}


@pytest.mark.parametrize("name", NOT_PROBABILITIES)
@pytest.mark.parametrize("method", ["SelectiveClassifier", "CorrectnessTrust", "AutoTrust"])
def test_estimators_speak_of_their_own_parameters(method, name):
    X, y = overlapping(100)
    clf = getattr(abstain, method)(Says(NOT_PROBABILITIES[name]), cv=2)
    text = message(clf.fit, X, y)
    assert "input=" not in text
    assert named(text) <= set(clf.get_params())
    assert "predict_proba" in text
    if name == "logits" and method != "CorrectnessTrust":  # which has no response_method
        assert "response_method" in text


def test_functions_speak_of_input():
    for bad in ([[2.0, -1.0]], [[0.9, 0.9]]):
        assert 'input="logits"' in message(scores.max_probability, np.array(bad))


@pytest.mark.parametrize("change", [lambda p: p[:, 1], lambda p: p[:, 1:]], ids=["vector", "column"])
def test_one_column_for_two_classes_is_told_plainly(change):
    X, y = overlapping(100)
    text = message(abstain.SelectiveClassifier(Says(change), cv=2).fit, X, y)
    assert "against-one" not in text
    assert "column" in text
    assert "predict_proba" in text


def test_one_column_too_many_is_told_plainly():
    X, y = overlapping(100)
    text = message(abstain.SelectiveClassifier(Says(lambda p: np.column_stack([p, 0 * p[:, 0]])), cv=2).fit, X, y)
    assert "against-one" not in text
    assert "(50, 2)" in text
    assert "(50, 3)" in text


def test_one_against_one_decisions_are_told_where_they_are():
    from sklearn.svm import SVC

    X, y = overlapping(120, 4)
    base = SVC(decision_function_shape="ovo")
    text = message(abstain.SelectiveClassifier(base, cv=2, response_method="decision_function").fit, X, y)
    assert "gainst-one" in text


# parts that are not fitted


class Backbone(TransformerMixin, BaseEstimator):
    """Transformer that must be fitted."""

    def fit(self, X, y=None):
        self.mean_ = np.mean(X, axis=0)
        return self

    def transform(self, X):
        check_is_fitted(self)
        return X - self.mean_


@pytest.mark.parametrize("method", ["SYNCClassifier", "SelectiveNetClassifier"])
def test_a_backbone_that_was_never_fitted_is_told_to_be_fitted(method):
    pytest.importorskip("torch")
    X, y = overlapping(100)
    text = message(getattr(abstain, method)(backbone=Backbone(), cv=2).fit, X, y, error=NotFittedError)
    assert "forget" not in text
    assert "backbone" in text
    assert "fit" in text


def test_a_backbone_that_a_clone_forgot_is_told_to_be_frozen():
    from sklearn.model_selection import cross_val_score

    pytest.importorskip("torch")
    X, y = overlapping(100)
    clf = abstain.SYNCClassifier(backbone=Backbone().fit(X), cv=2)
    with pytest.raises(NotFittedError) as caught:
        cross_val_score(clf, X, y, cv=2, error_score="raise")
    assert "FrozenEstimator" in "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


@pytest.mark.parametrize("ask", ["fit_policy", "decide", "predict", "score_samples", "evaluate", "accept"])
def test_a_fitted_base_in_a_wrapper_that_is_not_is_told_to_be_frozen(ask):
    X, y = overlapping(100)
    forest = RandomForestClassifier(5, random_state=0).fit(X, y)
    clf = abstain.SelectiveClassifier(forest)
    arguments = (X, y) if ask == "fit_policy" else (X,)
    assert "FrozenEstimator" in message(getattr(clf, ask), *arguments, error=NotFittedError)


def test_a_base_that_is_not_fitted_is_told_to_be_fitted():
    X, y = overlapping(100)
    text = message(abstain.SelectiveClassifier(RandomForestClassifier()).fit_policy, X, y, error=NotFittedError)
    assert "fit" in text


# names of baselines, and remedies that exist


@pytest.mark.parametrize("baseline", ["entropy", "margin"])
def test_a_comparison_does_not_name_a_baseline_that_it_does_not_know(baseline):
    X, y = overlapping(200)
    proba = LogisticRegression().fit(X, y).predict_proba(X)
    correct = proba.argmax(axis=1) == y
    result = metrics.compare_aurc(correct, scores.max_probability(proba), getattr(scores, baseline)(proba))
    assert "maximum probability" not in str(result)


def test_the_report_of_a_classifier_names_its_baseline():
    X, y = overlapping(200)
    fitted = quiet(abstain.CorrectnessTrust(LogisticRegression(), cv=2, random_state=0).fit, X, y)
    assert "maximum probability" in str(fitted.report_)


@pytest.mark.parametrize(
    "clf",
    [
        abstain.AutoTrust(LogisticRegression(), budget="fast", cv=2, random_state=0),
        abstain.CorrectnessTrust(LogisticRegression(), cv=2, random_state=0),
        abstain.SelectiveClassifier(LogisticRegression(), abstain.TrustHead(random_state=0), cv=2),
    ],
    ids=lambda clf: type(clf).__name__,
)
def test_warnings_name_remedies_that_exist(clf, monkeypatch):
    right = CrossEntropyLoss.derivative
    monkeypatch.setattr(CrossEntropyLoss, "derivative", lambda self, z, target: 3 * right(self, z, target) + 1e-3)
    X, y = overlapping(300, gap=0.8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf.fit(X, y)
    told = [str(w.message) for w in caught if issubclass(w.category, abstain.warnings.ConvergenceWarning)]
    for text in told:
        for name in re.findall(r"\b(l2|max_iter|tol)\b", text):
            assert any(key.split("__")[-1] == name for key in clf.get_params())


def test_warnings_for_want_of_errors_name_remedies_that_exist():
    X, y = overlapping(200, gap=9.0)
    for clf in (abstain.AutoTrust(budget="fast", cv=2), abstain.CorrectnessTrust(cv=2)):
        with pytest.warns(abstain.warnings.FewErrorsWarning) as caught:
            clf.fit(X, y)
        assert named(str(caught[0].message)) <= set(clf.get_params())


# arguments in the wrong order


def score_and_correct(n=60):
    rng = np.random.default_rng(0)
    score = rng.normal(size=n)
    return score, (rng.random(n) < 0.8).astype(int)


SWAP = re.compile(r"swap|order|exchanged|other way|first", re.I)


@pytest.mark.parametrize("dtype", [int, bool, float])
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_policies_tell_score_and_correctness_in_the_wrong_order(policy, dtype):
    score, correct = score_and_correct()
    text = message(policy.fit, correct.astype(dtype), score)
    assert SWAP.search(text)
    assert "score" in text


@pytest.mark.parametrize("dtype", [int, bool, float])
@pytest.mark.parametrize("name", ["aurc", "augrc", "e_aurc", "naurc", "risk_coverage_curve", "failure_report"])
def test_metrics_tell_score_and_correctness_in_the_wrong_order(name, dtype):
    score, correct = score_and_correct()
    text = message(getattr(metrics, name), score, correct.astype(dtype))
    assert SWAP.search(text)
    assert "score" in text


@pytest.mark.parametrize("name", ["expected_calibration_error", "reliability_curve"])
def test_calibration_metrics_tell_the_wrong_order(name):
    score, correct = score_and_correct()
    assert SWAP.search(message(getattr(metrics, name), 1 / (1 + np.exp(-score)), correct))


def test_comparisons_tell_the_wrong_order():
    score, correct = score_and_correct()
    assert SWAP.search(message(metrics.compare_aurc, score, correct, score))


# general


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: abstain.TargetRisk(1.5), "risk"),
        (lambda: abstain.TargetRisk(0.1, delta=0), "delta"),
        (lambda: abstain.TargetRisk(0.1, method="x"), "method"),
        (lambda: abstain.TargetCoverage(1.5), "coverage"),
        (lambda: abstain.RejectCost(2), "cost"),
        (lambda: abstain.FixedThreshold("x"), "threshold"),
    ],
)
def test_errors_name_the_parameter_and_what_came(make, name):
    policy = make()
    score, correct = score_and_correct()
    text = message(policy.fit, score, correct)
    assert name in text
    assert str(getattr(policy, name)) in text


def test_groups_of_the_wrong_length_are_named():
    score, correct = score_and_correct()
    assert "groups" in message(abstain.TargetRisk(0.3).fit, score, correct, groups=[1, 2])


def test_a_base_of_another_shape_is_named():
    X, y = overlapping(60, 3)
    text = message(abstain.SelectiveClassifier(Given(), cv=2).fit, X, y)
    assert "predict_proba" in text


def test_the_page_on_installing_speaks_of_what_is_there():
    page = Path(abstain.__file__).parents[1] / "docs" / "install.rst"
    if not page.is_file():
        pytest.skip("the documentation is not beside the package")
    assert "to come" not in page.read_text()
