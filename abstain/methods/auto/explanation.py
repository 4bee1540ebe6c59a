"""Why a prediction is trusted or not: parts of the log-odds of its score, and what they stand for in words."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

# words for a part that lowers the score, used only where its columns are bad
_WORDS = {
    "margin": "a close call between the classes",
    "fit": "a poor fit to its class",
    "distance": "far from the training data",
    "neighbours": "few near samples of this class",
    "opinion": "a second classifier doubts it",
    "class": "a class that is often wrong",
    "interactions": "a combination of these",
}
_SMALLEST = 0.1  # log-odds that are worth a word
_BAD = 0.2  # share of held-out samples whose columns on a topic count as bad
_CLOSE = 0.3  # lead of the first class over the second, in probability, that counts as close


class Explanation(NamedTuple):
    """Parts of the log-odds of one score."""

    p_correct: float
    typical: float  # log-odds of a typical prediction
    parts: dict  # log-odds by topic; their sum and ``typical`` are the log-odds of ``p_correct``
    reasons: tuple  # words for the parts that lower the score most, at most three; none for a score above the typical

    def __str__(self):
        return f"P(correct) {self.p_correct:.2f}: {', '.join(self.reasons) or 'nothing speaks against it'}"


class Explainer:
    """Takes the scores of a stack apart by their best additive approximation.

    The log-odds of the score are regressed on the columns and on the predicted class. A topic's part is
    the sum over its columns; what no sum explains is the part "interactions".

    Parameters
    ----------
    topics : list of str
        What each column speaks of.
    view : View
        Held-out samples, with the columns of all sources.
    odds : ndarray of shape (n,)
        Log-odds of their scores.
    correct : ndarray of shape (n,) of bool
        Their correctness.
    """

    def __init__(self, topics, view, odds, correct):
        columns = view.confidence
        self.topics = np.array([*topics, *["margin"] * (columns.shape[1] - len(topics))])
        self.names = list(dict.fromkeys(self.topics.tolist()))
        self.mean, self.deviation = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-12)
        self.typical = float(odds.mean())
        z, n = self._standardised(view), len(odds)
        self.weights = np.linalg.solve(z.T @ z + 1e-2 * n * np.eye(z.shape[1]), z.T @ (odds - self.typical))
        rest, k = odds - self.typical - z @ self.weights, len(view.outputs.classes)
        counts = np.bincount(view.answer, minlength=k)
        self.offsets = np.bincount(view.answer, rest, k) / (counts + 10)
        self.often_wrong = _often_wrong(np.bincount(view.answer, ~correct, k), counts)
        self.bounds = {name: np.quantile(self._level(z, name), _BAD) for name in self.names}

    def explain(self, view, odds):
        """Explain the score of every sample.

        Parameters
        ----------
        view : View
            Samples with the columns of the sources.
        odds : ndarray of shape (n,)
            Log-odds of their scores.

        Returns
        -------
        explanations : list of Explanation
            One a sample.
        """
        z = self._standardised(view)
        sums = [z[:, self.topics == name] @ self.weights[self.topics == name] for name in self.names]
        sums.append(self.offsets[view.answer])
        parts = np.column_stack([*sums, odds - self.typical - np.sum(sums, axis=0)])
        levels = [
            _is_close(view) if name == "margin" else self._level(z, name) < self.bounds[name] for name in self.names
        ]
        bad = np.column_stack([*levels, self.often_wrong[view.answer]])
        names = [*self.names, "class", "interactions"]
        return [_explanation(odds[i], self.typical, names, parts[i], bad[i]) for i in range(len(odds))]

    def _level(self, z, name):
        return z[:, self.topics == name].mean(axis=1)

    def _standardised(self, view):
        return (view.confidence - self.mean) / self.deviation


class MarginExplainer:
    """Explains scores that are maximum probability: one part, exactly.

    Parameters
    ----------
    topics, view, odds, correct : object
        As for `Explainer`.
    """

    def __init__(self, topics, view, odds, correct):
        self.typical = float(odds.mean())

    def explain(self, view, odds):
        """Explain the score of every sample; see `Explainer`."""
        close = _is_close(view)
        return [
            _explanation(odds[i], self.typical, ["margin"], odds[[i]] - self.typical, close[[i]])
            for i in range(len(odds))
        ]


def _is_close(view):
    two = np.exp(-np.partition(-view.outputs.log_proba, 1, axis=1)[:, :2])
    return two[:, 0] - two[:, 1] < _CLOSE


def _often_wrong(wrong, counts):
    """Classes whose share of errors exceeds that of all by more than its standard error."""
    rate = wrong.sum() / max(counts.sum(), 1)
    error = np.sqrt(rate * (1 - rate) / np.maximum(counts, 1))
    return (counts >= 10) & (wrong / np.maximum(counts, 1) > rate + error)


def _explanation(odds, typical, names, parts, bad):
    found = []
    if odds < typical:
        lowering = [j for j in np.argsort(parts, kind="stable") if parts[j] <= -_SMALLEST]
        named = [j for j in lowering if j < len(bad) and bad[j]]
        # what interactions combine are reasons that are named
        shown = [j for j in lowering if j in named or (j >= len(bad) and len(named) > 1)]
        found = [f"{_WORDS.get(names[j], 'low ' + names[j])} ({parts[j]:+.1f})" for j in shown[:3]]
    return Explanation(float(expit(odds)), typical, dict(zip(names, parts.tolist(), strict=True)), tuple(found))
