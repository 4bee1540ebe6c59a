"""The stack behind AutoTrust: weights, and the guard on probabilities."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.model_selection import KFold

from abstain.folds import Folds
from abstain.heads.confidence import RecalibratedConfidence
from abstain.methods.auto.stack import Candidate, StackReport, TrustStack, logit_norm
from abstain.outputs import ClassOutputs
from abstain.solvers.logistic import fit_platt
from abstain.views import View


def test_stack_weights_are_those_of_a_constrained_logistic_regression(rng):
    truth = rng.normal(size=4000)
    odds = np.column_stack([truth + 0.1 * rng.normal(size=4000), rng.normal(size=4000), -truth])
    correct = rng.random(4000) < expit(2 * truth + 0.5)
    weights, intercept = fit_platt(odds, correct)
    np.testing.assert_allclose(weights, [2, 0, 0], atol=0.25)
    np.testing.assert_allclose(intercept, 0.5, atol=0.15)
    assert (weights > 0).all()


def test_a_better_order_of_worse_probabilities_is_not_kept(rng):
    """The score is a P(correct): it must have the lower held-out log loss, too."""
    truth = rng.normal(size=1000)
    correct, baseline = rng.random(1000) < expit(1 + 2 * truth), 1 + 2 * truth + rng.normal(size=1000)
    folds, outputs = (
        Folds(KFold(5).split(truth), 1000),
        ClassOutputs(np.column_stack([baseline, 0 * baseline]), "logits", answer=np.zeros(1000)),
    )

    def kept(odds):
        stack = TrustStack([], "confidence", "fast", None, 0)
        stack.learners_, stack.sources_ = [], []
        stack.confidence_ = RecalibratedConfidence().fit(outputs, correct)
        _, candidate = stack._combine([("learner", odds)], outputs, correct, folds)
        assert candidate.gain > candidate.error
        assert candidate.kept == (stack.learners_ == ["learner"])
        return stack.learners_

    assert kept(1 + 2 * truth) == ["learner"]
    assert kept(np.sign(truth) * np.abs(truth) ** 9) == []  # the same order


@pytest.mark.parametrize(
    ("gain", "kept", "verdict"), [(0.02, True, "kept"), (0.02, False, "log loss"), (0.0, False, "dropped")]
)
def test_the_report_says_why_a_stack_was_dropped(gain, kept, verdict):
    stack = Candidate("stack", 0.1, gain, 0.01, 0.0, kept)
    report = StackReport(100, 20, 0.12, (), (stack._replace(name="logistic", kept=True),), stack, "", {"logistic": 1.0})
    line = str(report).splitlines()[-2]
    assert line.startswith("stack")
    assert line.endswith(f" {verdict}")


def test_the_interval_of_a_gain_is_that_of_a_normal_law():
    low, high = Candidate("logistic", 0.1, 0.02, 0.005, 0.0, True).interval
    np.testing.assert_allclose([low, high], norm.interval(0.95, 0.02, 0.005), rtol=1e-3)


def test_the_norm_of_logits_by_hand(rng):
    logits = rng.normal(size=(20, 5))
    logits[3:6, 1] = -np.inf  # a class that cannot be is left out
    possible = [row[np.isfinite(row)] for row in logits]
    expected = [np.log(np.linalg.norm(row - row.mean())) for row in possible]
    np.testing.assert_allclose(logit_norm(logits), expected, rtol=1e-9)
    np.testing.assert_allclose(logit_norm(logits + 5), expected, rtol=1e-9)
    assert np.isfinite(logit_norm(np.ones((2, 3)))).all()


def test_a_learner_that_is_off_by_a_constant_is_put_right(rng):
    truth = rng.normal(size=1000)
    correct, baseline = rng.random(1000) < expit(1 + 2 * truth), 1 + 2 * truth + rng.normal(size=1000)
    outputs = ClassOutputs(np.column_stack([baseline, 0 * baseline]), "logits", answer=np.zeros(1000))
    learner = SimpleNamespace(log_odds=lambda view: 6 + 2 * truth)
    stack = TrustStack([], "confidence", "fast", None, 0)
    stack.learners_, stack.sources_ = [], []
    stack.confidence_ = RecalibratedConfidence().fit(outputs, correct)
    stack._combine([(learner, learner.log_odds(None))], outputs, correct, Folds(KFold(5).split(truth), 1000))
    assert stack.learners_ == [learner]
    score = stack.score_samples(View(None, outputs))
    assert score.mean() == pytest.approx(correct.mean(), abs=1e-3)
    np.testing.assert_allclose(score, expit(1 + 2 * truth), atol=0.1)
