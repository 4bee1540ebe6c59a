"""The library's own checks fail where they should."""

import warnings
from dataclasses import dataclass

import numpy as np
import pytest

import abstain
from abstain.losses import CrossEntropyLoss
from abstain.selective.base import Evidence
from abstain.testing import _classifiers, _losses, _policies


@dataclass(frozen=True)
class WrongDerivative(CrossEntropyLoss):
    def derivative(self, z, target):
        return super().derivative(z, target) * 1.1


@dataclass(frozen=True)
class BatchMeanLabel(CrossEntropyLoss):
    """The bug of a released implementation: outputs (b, 1) against targets (b,)."""

    def value(self, z, target):
        return np.mean(np.logaddexp(0, z.reshape(-1, 1)) - target * z.reshape(-1, 1), axis=1)


class TwoPasses(abstain.SelectiveClassifier):
    def _evaluate(self, X):
        super()._evaluate(X)
        return super()._evaluate(X)


class BatchDependent(abstain.SelectiveClassifier):
    def _evaluate(self, X):
        answer, proba, score = super()._evaluate(X)
        return Evidence(answer, proba, score - score.mean())


class Greedy(abstain.FixedThreshold):
    def accept(self, score):
        return np.asarray(score) > self.threshold_


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        (_losses.check_loss_derivative, WrongDerivative()),
        (_losses.check_loss_is_per_sample, BatchMeanLabel()),
        (_classifiers.check_decision_costs_one_call_of_the_classifier, TwoPasses(cv=2)),
        (_classifiers.check_decision_does_not_depend_on_batch_or_order, BatchDependent(cv=2)),
        (_policies.check_policy_certificate_counts, Greedy(0.5 * (1 + np.finfo(float).eps))),
    ],
    ids=["derivative", "batch mean", "two passes", "batch", "strict"],
)
def test_a_broken_class_is_caught(check, broken):
    if isinstance(broken, Greedy):
        score, _ = _policies._held_out()
        broken.threshold = float(score[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(AssertionError):
            check(broken)
