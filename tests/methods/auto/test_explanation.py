"""Explanations of AutoTrust: parts that add up, reasons that are true."""

import copy

import numpy as np
import pytest
from made import made_view
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from abstain import AutoTrust
from abstain.datasets import load_hard_digits
from abstain.methods.auto.evidence import of_confidence
from abstain.methods.auto.explanation import Explainer, OddsParts
from abstain.outputs import ClassOutputs
from abstain.selective.stress import noisy
from abstain.views import View
from abstain.warnings import FewErrorsWarning

TOPICS = {
    "fit": "a poor fit to its class",
    "distance": "far from the training data",
    "neighbours": "few near samples of this class",
    "opinion": "a second classifier doubts it",
    "ripeness": "low ripeness",  # a scorer of the user's
    "margin": "a close call between the classes",
    "class": "a class that is often wrong",
}


def view_of(fitted, X):
    return View(X, ClassOutputs(fitted.estimator_.predict_proba(X), "proba", fitted.classes_))


def test_explanations_add_up_to_the_score(fitted, curved):
    *_, X, _ = curved
    score = fitted.score_samples(X[:100])
    explanations = fitted.explain(X[:100])
    assert len(explanations) == 100
    np.testing.assert_allclose([e.score for e in explanations], score, rtol=1e-9)
    total = [e.grounds.typical + sum(e.grounds.parts.values()) for e in explanations]
    np.testing.assert_allclose(expit(total), score, rtol=1e-6)
    assert np.ptp([e.grounds.typical for e in explanations]) < 1e-6
    topics = {"fit", "distance", "neighbours", "opinion", "margin", "class", "novelty", "limit"}
    assert set(explanations[0].grounds.parts) == topics


def evidence(fitted, X):
    """Columns of all sources, and of the probabilities, (n, m)."""
    view = view_of(fitted, X)
    return np.column_stack([*(source.columns(view) for source in fitted.scorer_.sources_), of_confidence(view)[0]])


def parts_of(fitted, explanations):
    """What each topic adds to log-odds, by topic (n,); explanations tell how much more than is typical."""
    means = fitted.scorer_.explainer_.means
    return {topic: mean + np.array([e.grounds.parts[topic] for e in explanations]) for topic, mean in means.items()}


class Lowered:
    """A source whose columns are lower than they were."""

    def __init__(self, source, by):
        self.source, self.by = source, by

    def columns(self, view):
        return self.source.columns(view) - self.by


def test_within_what_was_seen_parts_are_those_of_the_columns(fitted, curved):
    """There is no alarm and no limit there; and a part changes with the columns of its own topic alone."""
    *_, X, _ = curved
    columns, raw = fitted.scorer_.columns_, evidence(fitted, X)
    inside = ((raw >= columns.low) & (raw <= columns.high)).all(axis=1)
    assert inside.mean() > 0.5
    explanations = fitted.explain(X)
    parts = parts_of(fitted, explanations)
    surest = logit([e.score for e in explanations]) > 0.5 * fitted.scorer_.limit_  # a part of whose log-odds goes back
    np.testing.assert_allclose(parts["limit"][inside & ~surest], 0, atol=1e-9)
    assert (parts["limit"][inside & surest] < 1e-9).all()
    np.testing.assert_array_equal(parts["novelty"][inside], 0)
    moved, sources = copy.deepcopy(fitted), fitted.scorer_.sources_
    lower = np.where(columns.topics == "distance", 0.5 * columns.spread, 0.0)
    of_each = np.split(lower, np.cumsum([len(source.topics) for source in sources]))[:-1]
    moved.scorer_.sources_ = [Lowered(*pair) for pair in zip(sources, of_each, strict=True)]
    after = parts_of(moved, moved.explain(X))
    for topic in ("neighbours", "opinion", "margin", "class"):
        np.testing.assert_array_equal(after[topic], parts[topic])
    assert (after["distance"] <= parts["distance"]).all()
    assert (after["distance"] < parts["distance"]).any()


def test_noise_as_that_of_the_fit_is_nothing_new(fitted, curved):
    """Beyond the farthest sample with noise, of models that had not seen it, is next to none of the same samples."""
    stack, X = fitted.scorer_, noisy(curved[0], 4)
    alarm = stack.columns_.alarm(evidence(fitted, X))
    assert np.count_nonzero(alarm) > 10
    # what an alarm takes by itself, and what being farther than all of the fit takes besides
    farther = parts_of(fitted, fitted.explain(X))["novelty"] + stack.slope_ * stack.share_ * alarm
    assert np.count_nonzero(farther < -1e-9) <= 3


def test_reasons_are_true(fitted, curved):
    """At most three, worst first, none above a typical score; and each word has its fact."""
    *_, X, _ = curved
    stack, explanations = fitted.scorer_, fitted.explain(X)
    topics = stack.columns_.topics
    raw, lead = evidence(fitted, X), np.diff(np.sort(fitted.predict_proba(X))[:, -2:])[:, 0]
    doubted = raw[:, np.flatnonzero(topics == "opinion")].min(axis=1)
    words = {"a second classifier doubts": doubted < np.median(doubted), "a close call": lead < 0.3}
    found = dict.fromkeys(words, 0)
    for i, explanation in enumerate(explanations):
        assert len(explanation.reasons) <= 3
        if explanation.score > expit(explanation.grounds.typical):
            assert all(_is_new(reason, raw[i], stack.columns_) for reason in explanation.reasons)
        for word, fact in words.items():
            if any(word in reason for reason in explanation.reasons):
                found[word] += 1
                assert fact[i]
    assert min(found.values()) > 0
    assert "P(correct)" in str(explanation)


def _is_new(reason, raw, columns):
    """Whether evidence on the topic of a reason is worse than any that was seen."""
    words = {word: topic for topic, word in TOPICS.items()} | {"unlike anything seen": "distance"}
    topic = words[reason.rsplit(" (", 1)[0]]
    return bool((raw < columns.low)[(columns.topics == topic) & columns.rising].any())


def test_trust_never_rises_with_distance_up_to_what_a_float_can_hold(fitted, curved):
    X = curved[0][:50] + np.array([0, 0, 1, -1]) * np.sign(curved[0][:50])
    scores = np.array([fitted.score_samples(scale * X) for scale in (1.0, 1e2, 1e5, 1e12, 1e25, 1e150, 1e300)])
    assert (np.diff(scores[1:], axis=0) <= 1e-4).all()
    assert (scores[3:] < 0.05).all()


@pytest.mark.parametrize("share", [0.75, 0.5, 0.25])
def test_a_small_share_of_the_stack_does_not_silence_the_alarm(fitted, curved, share):
    """Far away, maximum probability is sure of all it says."""
    est = copy.deepcopy(fitted)
    assert est.scorer_.share_ > 0
    est.scorer_.share_ = share
    X = curved[0][:50] + np.array([0, 0, 1, -1]) * np.sign(curved[0][:50])
    scores = np.array([est.score_samples(scale * X) for scale in (1.0, 1e2, 1e5, 1e12)])
    assert (np.diff(scores[1:], axis=0) <= 1e-4).all()
    assert (scores[3] < 0.05).all()


@pytest.mark.parametrize("far", [8.0, 1e3, 1e6])
def test_something_speaks_against_what_is_unlike_anything_seen(fitted, curved, far):
    *_, X, _ = curved
    outside = X[:200] + far * np.array([0, 0, 1, -1]) * np.sign(X[:200])
    for explanation in fitted.explain(outside):
        assert any("unlike anything seen" in reason for reason in explanation.reasons)
        assert explanation.grounds.parts["novelty"] < 0


def test_explanations_of_the_fall_back():
    X, y = load_hard_digits(noise=2)
    with pytest.warns(FewErrorsWarning, match="maximum probability, recalibrated"):
        est = AutoTrust(LogisticRegression(max_iter=300), cv=3, random_state=0).fit(X[:300], y[:300])
    explanations = est.explain(X[300:400])
    proba = est.predict_proba(X[300:400]).max(axis=1)
    for explanation, top in zip(explanations, proba, strict=True):
        assert list(explanation.grounds.parts) == ["margin"]
        assert not (explanation.reasons and top > 0.9)
    total = [e.grounds.typical + e.grounds.parts["margin"] for e in explanations]
    np.testing.assert_allclose(expit(total), est.score_samples(X[300:400]))
    assert "close call" in str(min(explanations, key=lambda e: e.score))


def seen(top, predicted):
    """A view in which the predicted one of three classes has the probability ``top``."""
    proba = np.repeat((1 - top)[:, None] / 2, 3, axis=1)
    proba[np.arange(len(top)), predicted] = top
    return made_view(None, np.log(proba), classes=np.arange(3))


def scored(values, top, predicted):
    """Log-odds that are the sum of one part a topic."""
    parts = dict(zip(list(TOPICS)[:5], values.T, strict=True))
    parts |= {"margin": 8 * (top - 0.7), "class": np.where(predicted == 2, -4.0, 0.0)}
    odds = 1 + sum(parts.values())
    return OddsParts(odds, parts | {"novelty": np.zeros(len(top)), "limit": np.zeros(len(top))}, {})


@pytest.fixture
def explainer(rng):
    held_out = rng.normal(size=(3000, 5)), rng.uniform(0.4, 0.98, 3000), rng.integers(0, 3, 3000)
    told = scored(*held_out)
    return Explainer(told, seen(*held_out[1:]), rng.random(3000) < expit(told.odds))


@pytest.mark.parametrize("topic", [None, *TOPICS])
def test_each_topic_has_its_word(topic, explainer):
    """All is well but for one thing, which is then the one reason."""
    values = np.array([[-5.0 if name == topic else 0.1 for name in list(TOPICS)[:5]]])
    sample = np.array([0.42 if topic == "margin" else 0.9]), np.array([2 if topic == "class" else 0])
    (explanation,) = explainer.explain(scored(values, *sample), seen(*sample))
    assert [reason.rsplit(" (", 1)[0] for reason in explanation.reasons] == ([TOPICS[topic]] if topic else [])


def test_what_was_never_seen_is_said_of_a_good_score_and_first(explainer):
    values, sample = np.full((1, 5), 3.0), (np.array([0.9]), np.array([0]))
    told = scored(values, *sample)
    beyond = {"opinion": np.array([True]), "distance": np.array([True])}
    (explanation,) = explainer.explain(told._replace(beyond=beyond), seen(*sample))
    assert [reason.rsplit(" (", 1)[0] for reason in explanation.reasons] == [TOPICS["opinion"]]
    told.parts["novelty"][:] = -2.0
    (explanation,) = explainer.explain(told._replace(beyond=beyond), seen(*sample))
    assert [reason.rsplit(" (", 1)[0] for reason in explanation.reasons] == ["unlike anything seen", TOPICS["opinion"]]
