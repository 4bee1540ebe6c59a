"""From what a classifier says to an answer, and from an answer and the truth to a loss."""

from typing import Any, Protocol

import numpy as np

from abstain.utils.validation import row_blocks, working_dtype

# a block of rows and the costs of all answers to it stay in cache
_ELEMENTS = 1 << 20
_NOTHING = np.float32(1e-30)


class DecisionRule(Protocol):
    """What is answered, and what a wrong answer costs."""

    def answer(self, outputs: Any) -> np.ndarray:
        """Answer to each sample: indices, (n,)."""

    def loss(self, answer: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Loss of each answer where ``codes`` are the true classes: (n,), (n,) -> (n,) in [0, 1]."""


class ClassifierAnswer:
    """The rule by default: the classifier's own answer, and a loss of 1 where it is wrong."""

    def answer(self, outputs):
        """Return the answer of the classifier, (n,)."""
        return outputs.answer

    def loss(self, answer, codes):
        """Return 1 for an error and 0 for a right answer, (n,)."""
        return np.not_equal(answer, codes).astype(np.float64)


class LeastExpectedCost:
    """The rule for costs: the answer of least expected cost, and its cost as a share of the largest.

    Parameters
    ----------
    cost : ndarray of shape (n_classes, n_classes)
        ``cost[truth, answer]``, not negative.
    """

    def __init__(self, cost):
        self.cost = cost

    def answer(self, outputs):
        """Return the answer of least expected cost, (n,)."""
        return least_expected_cost(outputs.proba, self.cost)[0]

    def loss(self, answer, codes):
        """Return costs as shares of the largest, (n,)."""
        return self.cost[codes, answer] / self.cost.max()


def least_expected_cost(proba: np.ndarray, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Answer of least expected cost to each sample, and that cost.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Probabilities of classes, in memory or memory-mapped. They are read in blocks, in the precision in which they
        come, and float16 in float32.
    cost : ndarray of shape (n_classes, n_answers)
        ``cost[truth, answer]``, not negative.

    Returns
    -------
    answer : ndarray of shape (n,)
        Columns of the costs; the first of those that are equal but for rounding.
    expected : ndarray of shape (n,)
        Their expected costs.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.decisions import least_expected_cost
    >>> least_expected_cost(np.array([[0.8, 0.2]]), np.array([[0.0, 1.0], [9.0, 0.0]]))
    (array([1]), array([0.8]))
    """
    dtype = working_dtype(proba)
    cost = np.asarray(cost, dtype=dtype)
    slack = dtype(1 + 256 * np.finfo(dtype).eps)  # sums of terms that are not negative err by a share of themselves
    answer, expected = np.empty(len(proba), dtype=np.intp), np.empty(len(proba))
    for rows in row_blocks(len(proba), max(cost.shape), _ELEMENTS):
        block = np.ascontiguousarray(proba[rows], dtype=dtype)
        if dtype is np.float32:  # products of numbers too small for the format are many times slower
            block = np.where(block < _NOTHING, np.float32(0), block)
        costs = block @ cost
        # the rounding of a product depends on its size, and must not choose among equals
        answer[rows] = (costs <= costs.min(axis=1, keepdims=True) * slack).argmax(axis=1)
        expected[rows] = np.take_along_axis(costs, answer[rows, None], axis=1)[:, 0]
    return answer, expected
