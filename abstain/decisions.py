"""From what a classifier says to an answer, and from an answer and the truth to a loss."""

from typing import Protocol

import numpy as np


class DecisionRule(Protocol):
    """What is answered, and what a wrong answer costs."""

    def answer(self, outputs):
        """Answer to each sample: indices, (n,)."""

    def loss(self, answer, codes):
        """Loss of each answer where ``codes`` are the true classes: (n,), (n,) -> (n,) in [0, 1]."""


class ClassifierAnswer:
    """The rule by default: the classifier's own answer, and a loss of 1 where it is wrong."""

    def answer(self, outputs):
        """Return the answer of the classifier, (n,)."""
        return outputs.answer

    def loss(self, answer, codes):
        """Return 1 for an error and 0 for a right answer, (n,)."""
        return np.not_equal(answer, codes).astype(np.float64)
