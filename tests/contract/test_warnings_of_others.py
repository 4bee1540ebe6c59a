"""No warning of another library reaches a user (H16)."""

import warnings

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from small_problems import Given, overlapping, quiet

import abstain
from abstain.warnings import AbstainWarning


def many_classes(n=120, n_classes=200, seed=0):
    """Draw logits of a classifier with more classes than there are samples, and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, n_classes))
    y = rng.integers(n_classes, size=n)
    logits[np.arange(n), y] += np.where(rng.random(n) < 0.7, 6.0, 0.0)
    return logits, y, FrozenEstimator(Given(classes=np.arange(n_classes)).fit(logits, y))


def foreign(function, *args, **kwargs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*args, **kwargs)
    return [str(w.message) for w in caught if not issubclass(w.category, AbstainWarning)]


METHODS = {
    "AutoTrust": lambda base: abstain.AutoTrust(base, budget="fast", cv=2, random_state=0),
    "AutoTrust, confidence": lambda base: abstain.AutoTrust(base, budget="fast", head_inputs="confidence", cv=2),
    "default": lambda base: abstain.SelectiveClassifier(base, cv=2),
    "head": lambda base: abstain.CorrectnessTrust(base, cv=2, random_state=0),
    "neighbours": lambda base: abstain.SelectiveClassifier(base, abstain.NearestNeighbours(measure="ratio"), cv=2),
    "Mahalanobis": lambda base: abstain.SelectiveClassifier(base, abstain.RelativeMahalanobis(), cv=2),
    "SIRC": lambda base: abstain.SelectiveClassifier(base, abstain.SIRC(), cv=2),
}


@pytest.mark.parametrize("name", METHODS)
def test_many_classes_and_few_samples_are_silent(name):
    logits, y, base = many_classes()
    clf = METHODS[name](base)
    clf.set_params(response_method="decision_function") if "response_method" in clf.get_params() else None
    X = logits
    if "response_method" not in clf.get_params():
        X = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert foreign(clf.fit, X, y) == []
    assert foreign(clf.fit_policy, X[:60], y[:60]) == []
    assert foreign(clf.decide, X) == []


@pytest.mark.parametrize("name", ["LinearProbe", "NearestNeighbours", "RelativeMahalanobis", "SecondOpinion"])
def test_parts_are_silent_with_many_classes(name):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 5)), np.arange(60) // 1 % 40
    part = getattr(abstain, name)()
    if name == "SecondOpinion":
        pytest.skip("sees the classifier in front; covered above")
    assert foreign(part.fit, X, y) == []


def test_a_failure_inside_does_not_leave_warnings_switched_off():
    X, y = overlapping(100)
    quiet(abstain.SelectiveClassifier(cv=2).fit, X, y)
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", UserWarning, stacklevel=1)


class Watching(Given):
    """Notes which filters of warnings are in force when it is asked."""

    def predict_proba(self, X):
        NOTES.append(warnings.filters)
        return super().predict_proba(X)


NOTES = []
ASKED = ["fit", "fit_policy", "evaluate", "decide", "explain", "predict_proba", "score_samples"]


@pytest.mark.parametrize("scorer", [None, abstain.SIRC(), abstain.TrustHead(random_state=0)], ids=repr)
@pytest.mark.parametrize("name", ASKED)
def test_a_classifier_is_asked_under_the_filters_of_the_user(name, scorer):
    """Filters are those of the process: a thread that exchanged them would silence, or leave silent, all others."""
    X = np.random.default_rng(0).dirichlet(np.ones(3), size=90)
    y = np.where(np.arange(90) % 4, X.argmax(axis=1), np.arange(90) % 3)
    clf = abstain.SelectiveClassifier(FrozenEstimator(Watching().fit(X, y)), scorer, cv=2, random_state=0)
    quiet(clf.fit, X, y) if name != "fit" else None
    NOTES.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        mine = warnings.filters
        getattr(clf, name)(*((X, y) if name.startswith("fit") else (X[:5],)))
        assert NOTES
        assert all(filters is mine for filters in NOTES)
        assert warnings.filters is mine


@pytest.mark.parametrize("method", [abstain.CorrectnessTrust(), abstain.AutoTrust(budget="fast")], ids=repr)
def test_a_classifier_is_asked_about_noise_under_the_filters_of_the_user(method):
    """Of two fits at a time in two threads, the one that ends last would leave the process without warnings."""
    X = np.random.default_rng(0).dirichlet(np.ones(3), size=90)
    y = np.where(np.arange(90) % 4, X.argmax(axis=1), np.arange(90) % 3)
    clf = method.set_params(estimator=FrozenEstimator(Watching().fit(X, y)), random_state=0)
    NOTES.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        mine = warnings.filters
        clf.fit(X, y)
        assert NOTES
        assert all(filters is mine for filters in NOTES)
