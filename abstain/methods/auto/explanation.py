"""Why a prediction is trusted or not: parts of the log-odds of its score, and what they stand for in words."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from abstain.selective.explanation import CLOSE, Grounds

# words for a part that lowers the score, used only where its evidence is bad
_WORDS = {
    "margin": "a close call between the classes",
    "fit": "a poor fit to its class",
    "distance": "far from the training data",
    "neighbours": "few near samples of this class",
    "opinion": "a second classifier doubts it",
    "class": "a class that is often wrong",
    "novelty": "unlike anything seen",
}
_SMALLEST = 0.1  # log-odds that are worth a word
_BAD = 0.2  # share of held-out samples whose part on a topic counts as bad


class OddsParts(NamedTuple):
    """Log-odds of scores, taken apart."""

    odds: np.ndarray  # (n,)
    parts: dict  # by topic, (n,): what it adds to them, up to a constant
    beyond: dict  # by topic, (n,) of bool: where evidence is worse than any that was seen


class Explainer:
    """Says which evidence makes a score lower than is typical.

    Parameters
    ----------
    scored : OddsParts
        Scores of held-out samples.
    view : View
        The samples.
    correct : ndarray of shape (n,) of bool
        Their correctness.
    """

    def __init__(self, scored, view, correct):
        odds, parts, _ = scored
        self.typical = float(odds.mean())
        self.means = {name: float(part.mean()) for name, part in parts.items()}
        self.bounds = {name: float(np.quantile(part, _BAD)) for name, part in parts.items()}
        self.spread = {name: float(part.std()) for name, part in parts.items()}
        k = len(view.outputs.classes)
        counts = np.bincount(view.answer, minlength=k)
        self.often_wrong = _often_wrong(np.bincount(view.answer, ~correct, k), counts)

    def explain(self, scored, view):
        """Say what the score of every sample rests on.

        Parameters
        ----------
        scored : OddsParts
            Scores of samples.
        view : View
            The samples.

        Returns
        -------
        grounds : list of Grounds
            One a sample.
        """
        odds, parts, beyond = scored
        names = list(parts)
        lowered = np.column_stack([parts[name] - self.means[name] for name in names])
        bad = np.column_stack([self._is_bad(name, parts[name], view) for name in names])
        none = np.zeros(len(odds), dtype=bool)
        unseen = np.column_stack([_unseen(name, parts, beyond, none) for name in names])
        return [self._one(odds[i], names, lowered[i], bad[i], unseen[i]) for i in range(len(odds))]

    def _is_bad(self, name, part, view):
        if name == "margin":
            return _is_close(view)
        return self.often_wrong[view.answer] if name == "class" else part < self.bounds[name]

    def _one(self, odds, names, parts, bad, unseen):
        order = np.argsort(parts, kind="stable")
        found = [j for j in order if unseen[j]]
        if odds < self.typical:
            found += [j for j in order if parts[j] <= -_SMALLEST and bad[j] and not unseen[j] and names[j] != "limit"]
        reasons = tuple(_in_words(names[j], expit(odds) - expit(odds - parts[j])) for j in found[:3])
        return Grounds(reasons, self.typical, dict(zip(names, parts.tolist(), strict=True)))


def _in_words(name, effect):
    """A reason, with what it does to P(correct)."""
    words = _WORDS.get(name, "low " + name)
    return f"{words} ({effect:+.2f})" if effect <= -0.005 else words


def _unseen(name, parts, beyond, none):
    """Where evidence on a topic is worse than any that was seen; of distance, the alarm has the word."""
    if name == "novelty":
        return parts[name] < 0
    return none if name == "distance" else beyond.get(name, none)


def _is_close(view):
    two = np.exp(-np.partition(-view.outputs.log_proba, 1, axis=1)[:, :2])
    return two[:, 0] - two[:, 1] < CLOSE


def _often_wrong(wrong, counts):
    """Classes whose share of errors exceeds that of all by more than its standard error."""
    rate = wrong.sum() / max(counts.sum(), 1)
    error = np.sqrt(rate * (1 - rate) / np.maximum(counts, 1))
    return (counts >= 10) & (wrong / np.maximum(counts, 1) > rate + error)
