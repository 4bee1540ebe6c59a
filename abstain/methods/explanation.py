"""Why a prediction is trusted or not: parts of the log-odds of its score, and what they stand for in words."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

# words for a part that lowers the score, used only where the evidence itself lies on the bad side
_WORDS = {
    "margin": "a close call between the classes",
    "distance": "far from the training data",
    "neighbours": "few near samples of this class",
    "opinion": "a second classifier doubts it",
    "class": "a class that is often wrong",
    "interactions": "a combination of these",
}
_SMALLEST = 0.1  # log-odds that are worth a word


class Explanation(NamedTuple):
    """Parts of the log-odds of one score."""

    p_correct: float
    typical: float  # log-odds of a typical prediction
    parts: dict  # log-odds by topic; their sum and ``typical`` are the log-odds of ``p_correct``
    reasons: tuple  # words for the parts that lower the score most, at most three

    def __str__(self):
        return f"P(correct) {self.p_correct:.2f}: {', '.join(self.reasons) or 'nothing speaks against it'}"


class Explainer:
    """Takes scores apart by their best additive approximation.

    The log-odds of the score are regressed on the columns of evidence and on the predicted class. A topic's part is
    the sum over its columns; what no sum explains is the part "interactions".

    Parameters
    ----------
    topics : list of str
        What each column of evidence speaks of.
    inputs : HeadInputs
        Held-out inputs, with the columns of all sources.
    odds : ndarray of shape (n,)
        Log-odds of their scores.
    correct : ndarray of shape (n,) of bool
        Their correctness.
    """

    def __init__(self, topics, inputs, odds, correct):
        columns = inputs.confidence
        self.topics = np.array([*topics, *["margin"] * (columns.shape[1] - len(topics))])
        self.mean, self.deviation = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-12)
        self.typical = odds.mean()
        z, n = self._standardised(inputs), len(odds)
        self.weights = np.linalg.solve(z.T @ z + 1e-2 * n * np.eye(z.shape[1]), z.T @ (odds - self.typical))
        rest, k = odds - self.typical - z @ self.weights, len(inputs.classes)
        counts = np.bincount(inputs.predicted, minlength=k)
        self.offsets = np.bincount(inputs.predicted, rest, k) / (counts + 10)
        wrong = np.bincount(inputs.predicted, ~correct, k) / np.maximum(counts, 1)
        self.often_wrong = wrong > (~correct).mean()

    def explain(self, inputs, odds):
        """Explain the score of every sample.

        Parameters
        ----------
        inputs : HeadInputs
            Inputs with the columns of the sources.
        odds : ndarray of shape (n,)
            Log-odds of their scores.

        Returns
        -------
        explanations : list of Explanation
            One a sample.
        """
        z = self._standardised(inputs)
        names = [*dict.fromkeys(self.topics.tolist()), "class"]
        mine = [self.topics == name for name in names[:-1]]
        sums = [*(z[:, m] @ self.weights[m] for m in mine), self.offsets[inputs.predicted]]
        parts = np.column_stack([*sums, odds - self.typical - np.sum(sums, axis=0)])
        bad = np.column_stack([self._is_bad(z, inputs, name) for name in [*names, "interactions"]])
        names.append("interactions")
        return [
            Explanation(
                float(expit(odds[i])),
                float(self.typical),
                dict(zip(names, parts[i].tolist(), strict=True)),
                _reasons(names, parts[i], bad[i]),
            )
            for i in range(len(odds))
        ]

    def _is_bad(self, z, inputs, name):
        """Whether the evidence on a topic is worse than usual, by sample."""
        if name == "class":
            return self.often_wrong[inputs.predicted]
        if name == "interactions":
            return np.ones(len(z), dtype=bool)
        mine = z[:, self.topics == name]
        # of the confidence features the last is the log-odds; the others point either way
        return (mine[:, -1] if name == "margin" else mine.mean(axis=1)) < 0

    def _standardised(self, inputs):
        return (inputs.confidence - self.mean) / self.deviation


def _reasons(names, parts, bad):
    worst = [j for j in np.argsort(parts, kind="stable")[:3] if parts[j] <= -_SMALLEST]
    words = [_WORDS.get(names[j], names[j]) if bad[j] else names[j] for j in worst]
    return tuple(f"{word} ({parts[j]:+.1f})" for word, j in zip(words, worst, strict=True))
