"""Why a prediction is trusted or not: the additive parts of its log-odds, and what they stand for in words."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from abstain.methods.learners import HeadLearner
from abstain.scores.probability import max_probability

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
    """Takes the score of a fitted stack apart.

    The linear learner's log-odds are a sum over columns, and so have parts by topic; those of the other learners are
    one part, "interactions".

    Parameters
    ----------
    stack : TrustStack
        Fitted.
    inputs : HeadInputs
        Held-out inputs of the fit, with the columns of all its sources.
    correct : ndarray of shape (n,) of bool
        Their correctness.
    """

    def __init__(self, stack, inputs, correct):
        self.stack = stack
        self.classes = inputs.classes
        linear = [j for j, learner in enumerate(stack.learners_) if _is_linear(learner)]
        self.linear = linear[0] if linear else None
        topics = [topic for source in stack.sources_ for topic in source.topics]
        width = inputs.confidence.shape[1] - len(topics) if stack.learners_ else 0
        self.topics = [*topics, *["margin"] * width]
        parts, others, _ = self._split(inputs)
        self.centre = {topic: part.mean() for topic, part in parts.items()}
        self.level = others.mean()
        self.columns = inputs.confidence.mean(axis=0), np.maximum(inputs.confidence.std(axis=0), 1e-12)
        wrong = np.bincount(inputs.predicted, ~correct, len(inputs.classes))
        predicted = np.bincount(inputs.predicted, minlength=len(inputs.classes))
        self.often_wrong = wrong / np.maximum(predicted, 1) > (~correct).mean()

    def explain(self, inputs):
        """Explain the score of every sample.

        Parameters
        ----------
        inputs : HeadInputs
            Inputs with the columns of the sources.

        Returns
        -------
        explanations : list of Explanation
            One a sample.
        """
        parts, others, total = self._split(inputs)
        parts = {topic: part - self.centre[topic] for topic, part in parts.items()}
        if len(self.stack.learners_) > 1 or (self.stack.learners_ and self.linear is None):
            parts["interactions"] = others - self.level
        typical = total - sum(parts.values())
        facts = self._facts(inputs)
        return [
            Explanation(
                float(expit(total[i])),
                float(typical[i]),
                {topic: float(part[i]) for topic, part in parts.items()},
                self._reasons({topic: part[i] for topic, part in parts.items()}, {t: f[i] for t, f in facts.items()}),
            )
            for i in range(len(total))
        ]

    def _split(self, inputs):
        """Parts of the linear learner by topic, the sum of the others, and the log-odds of the score."""
        stack = self.stack
        if not stack.learners_:
            odds = stack.weights_[0] * max_probability(inputs.log_proba, input="logits")
            return {"margin": odds}, np.zeros(len(odds)), odds + stack.intercept_
        odds = np.column_stack([learner.log_odds(inputs) for learner in stack.learners_]) * stack.weights_
        total = odds.sum(axis=1) + stack.intercept_
        if self.linear is None:
            return {}, odds.sum(axis=1), total
        columns, classes = stack.learners_[self.linear].parts(inputs)
        weight = stack.weights_[self.linear]
        parts = {topic: np.zeros(len(total)) for topic in dict.fromkeys(self.topics)}
        for topic, column in zip(self.topics, columns.T, strict=True):
            parts[topic] = parts[topic] + weight * column
        parts["class"] = weight * classes
        return parts, odds.sum(axis=1) - odds[:, self.linear], total

    def _facts(self, inputs):
        """Whether the evidence of a topic lies on the bad side of what is usual, by topic."""
        mean, deviation = self.columns
        columns = (inputs.confidence - mean) / deviation if self.topics else np.zeros((len(inputs), 0))
        facts = {"class": self.often_wrong[inputs.predicted]}
        for topic in dict.fromkeys(self.topics):
            mine = [j for j, name in enumerate(self.topics) if name == topic]
            # of the confidence features the last is the log-odds; the others point either way
            facts[topic] = columns[:, mine[-1]] < 0 if topic == "margin" else columns[:, mine].mean(axis=1) < 0
        return facts

    @staticmethod
    def _reasons(parts, facts):
        lowering = sorted((value, topic) for topic, value in parts.items() if value <= -_SMALLEST)
        words = [_WORDS.get(topic, topic) if facts.get(topic, True) else topic for _, topic in lowering[:3]]
        return tuple(f"{word} ({value:+.1f})" for word, (value, _) in zip(words, lowering, strict=False))


def _is_linear(learner):
    return isinstance(learner, HeadLearner) and learner.name == "logistic"
