"""The library's own checks fail where they should."""

import warnings
from dataclasses import dataclass

import numpy as np
import pytest

import abstain
from abstain import testing
from abstain.losses import CrossEntropyLoss


@dataclass(frozen=True)
class WrongDerivative(CrossEntropyLoss):
    def derivative(self, z, target):
        return super().derivative(z, target) * 1.1


@dataclass(frozen=True)
class BatchMeanLabel(CrossEntropyLoss):
    """The bug of a released implementation: outputs (b, 1) against targets (b,)."""

    def value(self, z, target):
        return np.mean(np.logaddexp(0, z.reshape(-1, 1)) - target * z.reshape(-1, 1), axis=1)


def asking_twice(method):
    """A classifier that makes two passes in one of its methods."""

    def twice(self, X):
        getattr(abstain.SelectiveClassifier, method)(self, X)
        return getattr(abstain.SelectiveClassifier, method)(self, X)

    return type("TwoPasses", (abstain.SelectiveClassifier,), {method: twice})(cv=2)


def of_the_batch(proba):
    """A score that depends on the rows beside."""
    top = proba.max(axis=1)
    return top - top.mean()


class Greedy(abstain.FixedThreshold):
    """Leaves the sample unanswered that its threshold was taken from."""

    def fit(self, score, correct, **options):
        self.threshold = float(score[0])
        return super().fit(score, correct, **options)

    def accept(self, score):
        return np.asarray(score) > self.threshold_


ASKING = ("predict", "predict_proba", "score_samples", "accept", "decide", "evaluate")


@pytest.mark.parametrize(
    ("checks", "name", "broken"),
    [
        (testing.loss_checks, "check_loss_derivative", WrongDerivative()),
        (testing.loss_checks, "check_loss_is_per_sample", BatchMeanLabel()),
        *(
            (
                testing.selective_classifier_checks,
                "check_decision_costs_one_call_of_the_classifier",
                asking_twice(method),
            )
            for method in ASKING
        ),
        (
            testing.selective_classifier_checks,
            "check_decision_does_not_depend_on_batch_or_order",
            abstain.SelectiveClassifier(scorer=of_the_batch, cv=2),
        ),
        (testing.policy_checks, "check_policy_certificate_counts", Greedy(0.5)),
    ],
    ids=["derivative", "batch mean", *(f"two passes of {method}" for method in ASKING), "batch", "strict"],
)
def test_a_broken_class_is_caught(checks, name, broken):
    check = {check.__name__: check for check in checks()}[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(AssertionError):
            check(broken)
