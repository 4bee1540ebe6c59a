"""Confidence beyond 30 nats is told apart, and declared logits never pass through softmax (H4)."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from small_problems import Given, quiet

import abstain
from abstain import scores
from abstain.metrics import aurc

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


def binary_log_proba(odds):
    odds = np.asarray(odds, dtype=float)
    return np.column_stack([-np.logaddexp(0, -odds), -np.logaddexp(0, odds)])


def overconfident(n=800, scale=60.0, n_classes=3, seed=0):
    """Draw logits whose order is right and whose size is far too large, with labels."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, n_classes))
    p = np.exp(1.5 * z)
    p /= p.sum(axis=1, keepdims=True)
    y = (rng.random((n, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return scale * z, y


@pytest.mark.parametrize("n_classes", [2, 3, 8])
def test_confidence_features_have_no_ties_beyond_the_floor(n_classes):
    odds = np.array([5.0, 29.0, 31.0, 40.0, 80.0, 300.0, 700.0, 5e3, 1e5])
    log_proba = np.full((odds.size, n_classes), 0.0)
    log_proba[:, 1:] = -odds[:, None] - np.linspace(0, 1, n_classes - 1)
    log_proba[:, 0] = -np.exp(-odds)
    features = scores.confidence_features(log_proba)
    assert np.isfinite(features).all()
    moving = features[:, [1, -1]]  # the second log-probability, and the log-odds
    assert (np.diff(moving[:, 0]) < 0).all()
    assert (np.diff(moving[:, 1]) > 0).all()
    assert np.abs(features).max() < 1e3, "far columns are compressed"


def test_confidence_features_are_as_they_were_within_the_floor_and_continuous():
    odds = np.array([0.5, 3.0, 29.9, 30.1])
    features = scores.confidence_features(binary_log_proba(odds))
    np.testing.assert_allclose(features[:3, -1], odds[:3], rtol=1e-6)
    assert features[3, -1] - features[2, -1] == pytest.approx(0.2, abs=0.05)


def test_classes_that_cannot_be_stay_finite():
    log_proba = np.array([[0.0, -np.inf, -np.inf], [np.log(0.5), np.log(0.5), -np.inf]])
    assert np.isfinite(scores.confidence_features(log_proba)).all()


HEADS = {
    "head": abstain.SelectiveClassifier(scorer=abstain.TrustHead(head_inputs="confidence", random_state=0), cv=2),
    "cross-entropy": abstain.CorrectnessTrust(head_inputs="confidence", cv=2, random_state=0),
    "steep slope": abstain.SteepSlopeTrust(head_inputs="confidence", cv=2, random_state=0),
    "focal": abstain.FocalTrust(head_inputs="confidence", cv=2, random_state=0),
    "TCP": abstain.TCPTrust(head_inputs="confidence", cv=2, random_state=0),
    "both": abstain.CorrectnessTrust(head_inputs="both", cv=2, random_state=0),
}


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", HEADS)
def test_heads_rank_overconfident_classifiers_as_maximum_probability_does(name, n_classes):
    logits, y = overconfident(1200, 25.0, n_classes)
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    base = FrozenEstimator(Given().fit(proba, y))
    fitted = quiet(clone(HEADS[name]).set_params(estimator=base).fit, proba[:600], y[:600])
    score, correct = fitted.score_samples(proba[600:]), proba[600:].argmax(axis=1) == y[600:]
    baseline = aurc(correct, scores.max_probability(proba[600:]))
    assert aurc(correct, score) <= 1.1 * baseline
    assert np.unique(score).size > 0.9 * score.size


@pytest.mark.parametrize("scale", [60.0, 1e4])
@pytest.mark.parametrize("name", ["head", "both"])
def test_heads_see_declared_logits_of_any_size(name, scale):
    logits, y = overconfident(1200, scale)
    base = FrozenEstimator(Given().fit(logits, y))
    scorer = abstain.TrustHead(head_inputs="both" if name == "both" else "confidence", random_state=0)
    clf = abstain.SelectiveClassifier(base, scorer, cv=2, response_method="decision_function")
    fitted = quiet(clf.fit, logits[:600], y[:600])
    score, correct = fitted.score_samples(logits[600:]), logits[600:].argmax(axis=1) == y[600:]
    baseline = aurc(correct, scores.max_probability(logits[600:], input="logits"))
    assert aurc(correct, score) <= 1.1 * baseline
    assert np.unique(score).size > 0.9 * score.size


@pytest.mark.parametrize("scorer", [None, scores.max_probability, scores.entropy, scores.margin, scores.gini])
def test_closed_form_scores_of_declared_logits_are_those_of_the_logits(scorer):
    logits, y = overconfident(400, 400.0)
    base = FrozenEstimator(Given().fit(logits, y))
    clf = abstain.SelectiveClassifier(base, scorer, cv=2, response_method="decision_function")
    fitted = quiet(clf.fit, logits[:200], y[:200])
    expected = (scorer or scores.max_probability)(logits[200:], input="logits")
    np.testing.assert_allclose(fitted.score_samples(logits[200:]), expected, rtol=1e-9)
    assert np.unique(expected).size > 190


@pytest.mark.parametrize("scorer", [None, abstain.SIRC(), abstain.TrustHead(random_state=0)])
def test_the_report_compares_with_the_logits(scorer):
    logits, y = overconfident(400, 400.0)
    base = FrozenEstimator(Given().fit(logits, y))
    clf = abstain.SelectiveClassifier(base, scorer, cv=2, response_method="decision_function")
    fitted = quiet(clf.fit, logits, y)
    correct = logits.argmax(axis=1) == y
    expected = aurc(correct, scores.max_probability(logits, input="logits"))
    # what learns in folds is compared within them
    assert fitted.report_.baseline == pytest.approx(expected, rel=1e-9 if scorer is None else 0.05)


def test_binary_decision_values_of_any_size_are_ranked():
    z = np.linspace(-3000, 3000, 401)
    y = (z > 0).astype(int)
    y[::7] = 1 - y[::7]
    X = np.column_stack([-z / 2, z / 2])
    base = FrozenEstimator(Given().fit(X, y))
    clf = abstain.SelectiveClassifier(base, cv=2, response_method="decision_function")
    score = quiet(clf.fit, X, y).score_samples(X)
    assert (np.argsort(score[200:]) == np.arange(201)).all()
    np.testing.assert_allclose(score, np.abs(z), atol=1e-9)
