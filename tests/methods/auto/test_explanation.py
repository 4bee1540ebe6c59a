"""Explanations of AutoTrust: parts that add up, reasons that are true."""

import numpy as np
import pytest
from made import made_view
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from abstain import AutoTrust
from abstain.datasets import load_hard_digits
from abstain.methods.auto.explanation import Explainer
from abstain.outputs import ClassOutputs
from abstain.views import View
from abstain.warnings import FewErrorsWarning


def test_explanations_add_up_to_the_score(fitted, curved):
    *_, X, _ = curved
    score = fitted.score_samples(X[:100])
    explanations = fitted.explain(X[:100])
    assert len(explanations) == 100
    np.testing.assert_allclose([e.p_correct for e in explanations], score, rtol=1e-9)
    total = [e.typical + sum(e.parts.values()) for e in explanations]
    np.testing.assert_allclose(expit(total), score, rtol=1e-6)
    assert np.ptp([e.typical for e in explanations]) < 1e-6
    topics = ["fit", "distance", "neighbours", "opinion", "margin", "class", "interactions"]
    assert list(explanations[0].parts) == topics


def test_parts_are_sums_over_columns_and_explain_most(fitted, curved):
    """Each part is linear in the columns of its topic; what interactions are left is small beside the score."""
    *_, X, _ = curved
    stack = fitted.scorer_
    view = stack._enriched(View(X, ClassOutputs(fitted.estimator_.predict_proba(X), "proba", fitted.classes_)))
    explainer = stack.explainer_
    explanations = fitted.explain(X)
    z = (view.confidence - explainer.mean) / explainer.deviation
    for topic in ("distance", "neighbours", "opinion", "margin"):
        mine = explainer.topics == topic
        np.testing.assert_allclose([e.parts[topic] for e in explanations], z[:, mine] @ explainer.weights[mine])
    odds = np.array([e.typical + sum(e.parts.values()) for e in explanations])
    rest = np.array([e.parts["interactions"] for e in explanations])
    assert rest.var() < 0.3 * odds.var()


def test_reasons_are_true(fitted, curved):
    """At most three, worst first, none above a typical score; and each word has its fact."""
    *_, X, _ = curved
    stack, explanations = fitted.scorer_, fitted.explain(X)
    view = stack._enriched(View(X, ClassOutputs(fitted.estimator_.predict_proba(X), "proba", fitted.classes_)))
    share, lead = view.extra[:, 4], np.diff(np.sort(fitted.predict_proba(X))[:, -2:])[:, 0]
    assert stack.explainer_.topics[4] == "neighbours"
    words = {"few near samples": share < np.median(share), "a close call": lead < 0.3}
    found = dict.fromkeys(words, 0)
    for i, explanation in enumerate(explanations):
        values = [float(reason.split("(")[-1][:-1]) for reason in explanation.reasons]
        assert len(values) <= 3
        assert values == sorted(values)
        assert all(value < 0 for value in values)
        if explanation.p_correct > expit(explanation.typical):
            assert not values
        for word, fact in words.items():
            if any(word in reason for reason in explanation.reasons):
                found[word] += 1
                assert fact[i]
    assert min(found.values()) > 0
    assert "P(correct)" in str(explanation)


def test_explanations_of_the_fall_back():
    X, y = load_hard_digits(noise=2)
    with pytest.warns(FewErrorsWarning, match="maximum probability, recalibrated"):
        est = AutoTrust(LogisticRegression(max_iter=300), cv=3, random_state=0).fit(X[:300], y[:300])
    explanations = est.explain(X[300:400])
    proba = est.predict_proba(X[300:400]).max(axis=1)
    for explanation, top in zip(explanations, proba, strict=True):
        assert list(explanation.parts) == ["margin"]
        assert not (explanation.reasons and top > 0.9)
    total = [e.typical + e.parts["margin"] for e in explanations]
    np.testing.assert_allclose(expit(total), est.score_samples(X[300:400]))
    assert "close call" in str(min(explanations, key=lambda e: e.p_correct))


TOPICS = {
    "fit": "a poor fit to its class",
    "distance": "far from the training data",
    "neighbours": "few near samples of this class",
    "opinion": "a second classifier doubts it",
    "ripeness": "low ripeness",  # a scorer of the user's
}


def seen(extra, top, predicted):
    """Inputs in which the predicted one of three classes has the probability ``top``."""
    proba = np.repeat((1 - top)[:, None] / 2, 3, axis=1)
    proba[np.arange(len(top)), predicted] = top
    return made_view(None, np.log(proba), classes=np.arange(3), extra=extra)


@pytest.mark.parametrize("topic", [None, *TOPICS, "margin", "class"])
def test_each_topic_has_its_word(topic, rng):
    """All is well but for one thing, which is then the one reason."""

    def odds(extra, top, predicted):
        return 1 + extra.sum(axis=1) + 8 * (top - 0.7) - 4 * (predicted == 2)

    held_out = rng.normal(size=(3000, 5)), rng.uniform(0.4, 0.98, 3000), rng.integers(0, 3, 3000)
    correct = rng.random(3000) < expit(odds(*held_out))
    explainer = Explainer(list(TOPICS), seen(*held_out), odds(*held_out), correct)
    extra = np.array([[-5.0 if name == topic else 0.1 for name in TOPICS]])
    sample = extra, np.array([0.42 if topic == "margin" else 0.9]), np.array([2 if topic == "class" else 0])
    (explanation,) = explainer.explain(seen(*sample), odds(*sample))
    words = TOPICS | {"margin": "a close call between the classes", "class": "a class that is often wrong"}
    assert [reason.rsplit(" (", 1)[0] for reason in explanation.reasons] == ([words[topic]] if topic else [])
