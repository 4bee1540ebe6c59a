"""A second classifier judging the predictions of the first."""

import numpy as np
import pytest
from made import made_view
from scipy.special import logit
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from abstain import SecondOpinion, SelectiveClassifier


def test_log_odds_of_the_predicted_class(problem):
    X, y, X_new, *_ = problem
    names = np.array(list("abcd"))
    clf = SelectiveClassifier(scorer=SecondOpinion(GaussianNB()), cv=2, random_state=0).fit(X, names[y])
    proba = GaussianNB().fit(X, y).predict_proba(X_new)
    own = proba[np.arange(len(X_new)), np.searchsorted(names, clf.predict(X_new))]
    expected = logit(np.clip(own, 1e-6, 1 - 1e-6))
    clear = (own > 1e-5) & (own < 1 - 1e-5)
    np.testing.assert_allclose(clf.score_samples(X_new)[clear], expected[clear], rtol=1e-3)


def test_evidence_is_finite_where_the_second_classifier_is_sure_or_ignorant(rng):
    X = rng.normal(size=(60, 2)) + 50 * np.eye(2)[np.arange(60) % 2]
    scorer = SecondOpinion(GaussianNB()).fit(X, np.arange(60) % 2)
    log_proba = np.log(np.full((60, 3), 0.1) + 0.7 * np.eye(3)[np.arange(60) % 3])
    columns, score = scorer.columns(made_view(X, log_proba)), scorer.score_samples(made_view(X, log_proba))
    unseen = np.arange(60) % 3 == 2
    assert np.isfinite(score).all()
    assert score[unseen].max() < 0
    np.testing.assert_array_equal(np.isnan(columns).any(axis=1), unseen)
    agree = np.arange(60) % 3 == np.arange(60) % 2
    assert columns[agree].min() > columns[~agree & ~unseen].max()


def test_a_frozen_classifier_keeps_its_own_classes(problem):
    """The data of fit lack a class that the second classifier knows."""
    X, y, X_new, *_ = problem
    names = np.array(list("abcd"))
    frozen = FrozenEstimator(GaussianNB().fit(X, names[y]))
    there = y > 0
    scorer = SecondOpinion(frozen).fit(X[there], names[y[there]])
    np.testing.assert_array_equal(scorer.classes_, names)
    whole = SecondOpinion(frozen).fit(X, names[y])
    log_proba = np.log(np.full((len(X_new), 4), 0.1) + 0.6 * np.eye(4)[np.arange(len(X_new)) % 4])
    view = made_view(X_new, log_proba, classes=names)
    np.testing.assert_array_equal(scorer.score_samples(view), whole.score_samples(view))


def test_an_estimator_without_probabilities_is_refused(problem):
    with pytest.raises(TypeError, match="must have predict_proba"):
        SecondOpinion(LinearSVC()).fit(*problem[:2])
