"""Tags, repr and HTML never build a part, so that wrong parameters are told by ``fit`` alone (M3)."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from small_problems import overlapping

import abstain

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


class Touchy(BaseEstimator):
    """Scorer that tells what it sees only if its parameters are right."""

    def __init__(self, size=-1):
        self.size = size

    @property
    def sees(self):
        if self.size < 0:
            raise ValueError("size must not be negative")
        return "proba"

    def fit(self, X, y):
        return self

    def score_samples(self, X):
        return X.max(axis=1)


def base():
    return LogisticRegression()


WRONG = {
    "alpha_pos": lambda: abstain.SteepSlopeTrust(base(), alpha_pos=-1),
    "alpha_neg": lambda: abstain.SteepSlopeTrust(base(), alpha_neg="steep"),
    "gamma": lambda: abstain.FocalTrust(base(), gamma=-1),
    "gamma, not a number": lambda: abstain.FocalTrust(base(), gamma=np.nan),
    "error_weight": lambda: abstain.CorrectnessTrust(base(), error_weight=-1),
    "error_weight, focal": lambda: abstain.FocalTrust(base(), error_weight="large"),
    "head_inputs": lambda: abstain.CorrectnessTrust(base(), head_inputs="x"),
    "scorers": lambda: abstain.AutoTrust(base(), scorers="x"),
    "scorers, a number": lambda: abstain.AutoTrust(base(), scorers=3),
    "head": lambda: abstain.SelectiveClassifier(base(), abstain.TrustHead(l2=-1)),
    "measure": lambda: abstain.SelectiveClassifier(base(), abstain.NearestNeighbours(measure="x")),
    "at": lambda: abstain.SelectiveClassifier(base(), abstain.Mahalanobis(at="x")),
    "touchy": lambda: abstain.SelectiveClassifier(base(), Touchy()),
    "class": lambda: abstain.SelectiveClassifier(base(), abstain.TrustHead),
    "no scorer": lambda: abstain.SelectiveClassifier(base(), 3),
    "backbone": lambda: abstain.SelectiveClassifier(base(), backbone=3),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_parameters_are_told_by_fit_alone(name):
    clf = WRONG[name]()
    assert is_classifier(clf)
    assert get_tags(clf).estimator_type == "classifier"
    assert type(clf).__name__ in repr(clf)
    assert type(clf).__name__ in clf._repr_html_()
    assert clone(clf).get_params(deep=False).keys() == clf.get_params(deep=False).keys()
    pipeline = make_pipeline(StandardScaler(), clf)
    assert is_classifier(pipeline)
    assert type(clf).__name__ in pipeline._repr_html_()
    X, y = overlapping(200, gap=0.6)
    with pytest.raises((ValueError, TypeError)):
        clf.fit(X, y)


SEARCHES = {
    "alpha_pos": (abstain.SteepSlopeTrust(base(), cv=2), [-1, 1.0]),
    "gamma": (abstain.FocalTrust(base(), cv=2), [-1, 2.0]),
    "error_weight": (abstain.CorrectnessTrust(base(), cv=2), [0.0, 1.0]),
    "head_inputs": (abstain.CorrectnessTrust(base(), cv=2), ["x", "both"]),
    "scorer": (abstain.SelectiveClassifier(base(), cv=2), [Touchy(), Touchy(3)]),
    "scorers": (abstain.AutoTrust(base(), cv=2, budget="fast"), ["x", ()]),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning", "ignore:One or more of the test scores")
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_survives_a_wrong_parameter(name):
    X, y = overlapping(120)
    clf, values = SEARCHES[name]
    search = GridSearchCV(clf, {name: values}, cv=2, error_score=np.nan).fit(X, y)
    assert search.best_params_[name] is values[1] or search.best_params_[name] == values[1]
    assert np.isnan(search.cv_results_["mean_test_score"][0])


@pytest.mark.filterwarnings("ignore:.*fits failed")
def test_cross_validation_reports_a_wrong_parameter():
    X, y = overlapping(120)
    with pytest.raises(ValueError, match="alpha_pos"):
        cross_val_score(abstain.SteepSlopeTrust(base(), alpha_pos=-1), X, y, cv=2, error_score="raise")


@pytest.mark.parametrize(
    "clf",
    [
        abstain.SelectiveClassifier(cv=2),
        abstain.SelectiveClassifier(scorer=abstain.scores.entropy, cv=2),
        abstain.SelectiveClassifier(scorer=lambda proba: proba.max(axis=1), cv=2),
        abstain.SelectiveClassifier(scorer=abstain.NearestNeighbours(3), cv=2),
        abstain.CorrectnessTrust(cv=2, random_state=0),
        abstain.AutoTrust(cv=2, budget="fast", random_state=0),
    ],
    ids=["default", "function", "lambda", "neighbours", "CorrectnessTrust", "AutoTrust"],
)
def test_the_fitted_scorer_is_always_an_object(clf):
    X, y = overlapping(200)
    fitted = clf.fit(X, y)
    assert callable(fitted.scorer_.score_samples)


def test_a_scorer_that_is_replaced_for_want_of_errors_is_an_object():
    X, y = overlapping(120, gap=30.0)
    fitted = abstain.CorrectnessTrust(base(), cv=2).fit(X, y)
    assert callable(fitted.scorer_.score_samples)


def test_functions_become_scorers():
    from abstain.protocols import as_scorer

    scorer = as_scorer(abstain.scores.max_probability)
    proba = np.array([[0.9, 0.1], [0.5, 0.5]])
    np.testing.assert_allclose(scorer.score_samples(proba), abstain.scores.max_probability(proba))
    neighbours = abstain.NearestNeighbours()
    assert as_scorer(neighbours) is neighbours
