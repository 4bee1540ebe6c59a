"""The stack behind AutoTrust: weights, and the guard on probabilities."""

import numpy as np
from scipy.special import expit
from sklearn.model_selection import KFold

from abstain.methods.stack import TrustStack, fit_stack


def test_stack_weights_are_those_of_a_constrained_logistic_regression(rng):
    truth = rng.normal(size=4000)
    odds = np.column_stack([truth + 0.1 * rng.normal(size=4000), rng.normal(size=4000), -truth])
    correct = rng.random(4000) < expit(2 * truth + 0.5)
    weights, intercept = fit_stack(odds, correct)
    np.testing.assert_allclose(weights, [2, 0, 0], atol=0.25)
    np.testing.assert_allclose(intercept, 0.5, atol=0.15)
    assert (weights > 0).all()


def test_a_better_order_of_worse_probabilities_is_not_kept(rng):
    """The score is a P(correct): it must have the lower held-out log loss, too."""
    truth = rng.normal(size=1000)
    correct, baseline = rng.random(1000) < expit(1 + 2 * truth), 1 + 2 * truth + rng.normal(size=1000)
    folds = list(KFold(5).split(truth))

    def kept(odds):
        stack = TrustStack([], "confidence", "fast", None, 0)
        stack.learners_, stack.sources_ = [], []
        stack._combine([("learner", odds)], baseline, correct, folds)
        return stack.learners_

    assert kept(1 + 2 * truth) == ["learner"]
    assert kept(np.sign(truth) * np.abs(truth) ** 9) == []  # the same order
