"""A second classifier judging the predictions of the first."""

import numpy as np
from scipy.special import logit
from sklearn.naive_bayes import GaussianNB

from abstain import SecondOpinion, SelectiveClassifier
from abstain.scores.inputs import HeadInputs


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
    columns = scorer.evidence(HeadInputs(X, log_proba))
    assert np.isfinite(columns).all()
    unseen = np.arange(60) % 3 == 2
    assert columns[unseen].max() < 0
    agree = np.arange(60) % 3 == np.arange(60) % 2
    assert columns[agree].min() > columns[~agree].max()
