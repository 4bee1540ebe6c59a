"""What a decision is, and that it costs one pass."""

import pickle
import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import abstain
from abstain.policies import TargetCoverage
from abstain.warnings import AbstainWarning

LABELS = {
    "int": np.array([0, 1, 2]),
    "negative": np.array([-1, 1]),
    "str": np.array(["cat", "dog", "emu"]),
    "float": np.array([1.0, 2.0]),
    "bool": np.array([False, True]),
}


def overlapping_classes(labels: np.ndarray, n: int = 240, random_state: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw features of overlapping classes, so that there are errors to learn from."""
    rng = np.random.RandomState(random_state)
    codes = np.arange(n) % len(labels)
    X = rng.normal(size=(n, 4)) + 0.9 * np.eye(4)[codes % 4]
    return X, labels[codes]


def selective_classifier_checks() -> list:
    """Return the checks of a selective classifier."""
    return [value for name, value in globals().items() if name.startswith("check_decision_")]


def _fitted(estimator, labels=LABELS["int"]):
    X, y = overlapping_classes(labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        return clone(estimator).fit(X, y), X, y


class CountingClassifier(ClassifierMixin, BaseEstimator):
    """Logistic regression that counts how often it is asked for probabilities, over all its copies."""

    calls = 0

    def fit(self, X: Any, y: Any) -> Any:
        """Fit the model inside."""
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: Any) -> Any:
        """Count, and answer."""
        CountingClassifier.calls += 1
        return self.model_.predict_proba(X)


def check_decision_agrees_with_predict_and_accept(estimator):
    """``decide`` equals ``predict`` where accepted and the sentinel elsewhere, for every kind of label."""
    for labels in LABELS.values():
        fitted, X, _ = _fitted(estimator, labels)
        decided, accepted = fitted.decide(X), fitted.accept(X)
        assert accepted.dtype == bool
        assert accepted.any()
        np.testing.assert_array_equal(decided[accepted], fitted.predict(X)[accepted])
        assert not np.isin(decided[~accepted], labels).any()
        assert np.isin(decided[accepted], labels).all()


def check_decision_shrinks_with_the_threshold(estimator):
    """A higher threshold accepts a subset; an infinite one accepts nothing."""
    fitted, X, _ = _fitted(estimator)
    score = fitted.score_samples(X)
    before = np.ones(len(X), dtype=bool)
    for threshold in [-np.inf, *np.quantile(score, [0.2, 0.6, 0.9]), np.inf]:
        fitted.policy_.threshold_ = threshold
        accepted = fitted.accept(X)
        assert not (accepted & ~before).any()
        before = accepted
    assert not before.any()


def check_decision_costs_one_call_of_the_classifier(estimator):
    """Every public method asks the classifier once."""
    if "estimator" not in estimator.get_params(deep=False):
        return
    fitted, X, _ = _fitted(clone(estimator).set_params(estimator=CountingClassifier()))
    for method in ("predict", "predict_proba", "score_samples", "accept", "decide", "evaluate"):
        CountingClassifier.calls = 0
        getattr(fitted, method)(X)
        assert CountingClassifier.calls == 1, f"{method} called the classifier {CountingClassifier.calls} times"


def check_decision_score_is_finite_and_reproducible(estimator):
    """Scores are finite float64, not constant, equal after clone and refit, and after pickling."""
    fitted, X, _ = _fitted(estimator)
    score = fitted.score_samples(X)
    assert score.shape == (len(X),)
    assert score.dtype == np.float64
    assert np.isfinite(score).all()
    assert np.ptp(score) > 0
    again, _, _ = _fitted(estimator)
    np.testing.assert_array_equal(again.score_samples(X), score)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).decide(X), fitted.decide(X))


def check_decision_does_not_depend_on_batch_or_order(estimator):
    """A row has one score, alone or in company."""
    fitted, X, _ = _fitted(estimator)
    score = fitted.score_samples(X)
    order = np.random.RandomState(1).permutation(len(X))
    np.testing.assert_allclose(fitted.score_samples(X[order]), score[order], rtol=1e-9, atol=1e-12)
    single = np.concatenate([fitted.score_samples(X[[i]]) for i in range(5)])
    np.testing.assert_allclose(single, score[:5], rtol=1e-9, atol=1e-12)


def check_decision_does_not_hang_on_rounding(estimator):
    """On features of a few distinct rows, equal rows share a verdict: in any batch, place and order."""
    kinds = np.random.RandomState(0).normal(size=(6, 4))
    which, labels = np.arange(300) % 6, np.array([0, 1, 2])
    noise = np.random.RandomState(1).uniform(size=300)
    y = labels[np.where(noise < 0.1 + 0.08 * which, (which + 1) % 3, which % 3)]
    for dtype in (np.float64, np.float32):
        X = kinds[which].astype(dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AbstainWarning)
            fitted = clone(estimator).fit(X[:240], y[:240])
        own = [] if estimator.policy is None else [estimator.policy]
        for policy in own or [TargetCoverage(0.3), TargetCoverage(0.6), TargetCoverage(0.8)]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AbstainWarning)
                fitted.fit_policy(X[240:], y[240:], policy)
            whole = fitted.accept(X[240:])
            for kind in range(6):
                assert len(set(whole[which[240:] == kind])) == 1, "equal rows of one batch have different verdicts"
            for size in (1, 7):
                parts = [fitted.accept(X[i : i + size]) for i in range(240, 300, size)]
                np.testing.assert_array_equal(np.concatenate(parts), whole, err_msg=f"in batches of {size}")
            order = np.random.RandomState(2).permutation(60)
            np.testing.assert_array_equal(fitted.accept(X[240:][order]), whole[order])


def check_decision_fit_policy_moves_the_policy_alone(estimator):
    """``fit_policy`` sets ``policy_`` and nothing else, and knows old rows from new."""
    fitted, X, y = _fitted(estimator)
    X_new, y_new = overlapping_classes(LABELS["int"], random_state=7)
    before = {name: id(value) for name, value in vars(fitted).items()}
    assert fitted.policy_.certificate_.disjoint is False
    assert fitted.fit_policy(X_new, y_new, TargetCoverage(0.5)) is fitted
    moved = {name for name, value in vars(fitted).items() if before.get(name) != id(value)}
    assert moved == {"policy_"}
    assert fitted.policy_.certificate_.disjoint is True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        assert fitted.fit_policy(X, y).policy_.certificate_.disjoint is False


def check_decision_survives_pipelines_and_searches(estimator):
    """`abstain.decide` reaches through a Pipeline inside a search."""
    X, y = overlapping_classes(LABELS["int"])
    name = type(estimator).__name__.lower()
    pipeline = make_pipeline(StandardScaler(), clone(estimator))
    search = GridSearchCV(pipeline, {f"{name}__policy": [TargetCoverage(0.7)]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        search.fit(X, y)
    decided = abstain.decide(search, X)
    assert decided.shape == y.shape
    assert 0 < (decided == -1).mean() < 0.6


def check_decision_refuses_a_sentinel_that_is_a_class(estimator):
    """``abstain_label`` must not be a class; any other value is returned as it is."""
    X, y = overlapping_classes(LABELS["str"])
    message = ""
    try:
        clone(estimator).set_params(abstain_label="dog").fit(X, y)
    except ValueError as error:
        message = str(error)
    assert "abstain_label" in message, "a class was taken as the label of abstentions"
    fitted, X, _ = _fitted(clone(estimator).set_params(abstain_label="?"), LABELS["str"])
    fitted.policy_.threshold_ = np.inf
    assert (fitted.decide(X) == "?").all()
