"""Selective metrics inside searches."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import abstain
from abstain.metrics import aurc, make_selective_scorer, risk_at_coverage


def test_a_search_picks_the_smallest_area(problem):
    X, y = problem[:2]
    pipeline = make_pipeline(StandardScaler(), abstain.SelectiveClassifier(LogisticRegression(), cv=2))
    grid = {"selectiveclassifier__estimator__C": [1e-6, 1.0]}
    search = GridSearchCV(pipeline, grid, scoring=make_selective_scorer(aurc), cv=2).fit(X, y)
    assert search.best_params_ == {"selectiveclassifier__estimator__C": 1.0}
    model = search.best_estimator_
    expected = aurc(model.predict(X) == y, model.score_samples(X))
    assert search.score(X, y) == pytest.approx(-expected)


def test_options_and_sign(problem):
    X, y = problem[:2]
    model = abstain.SelectiveClassifier(cv=2).fit(X, y)
    scorer = make_selective_scorer(risk_at_coverage, coverage=0.5)
    assert scorer(model, X, y) == -risk_at_coverage(model.predict(X) == y, model.score_samples(X), 0.5)
    assert make_selective_scorer(aurc, greater_is_better=True)(model, X, y) > 0
    assert "aurc" in repr(make_selective_scorer(aurc))


def test_a_plain_classifier_is_told_what_to_do(problem):
    X, y = problem[:2]
    with pytest.raises(TypeError, match="SelectiveClassifier"):
        make_selective_scorer(aurc)(LogisticRegression().fit(X, y), X, y)
