"""What a fitted model says of labelled data, from one call of it, through pipelines and searches."""

from typing import Any, NamedTuple

import numpy as np

from abstain.utils.unwrap import unwrap
from abstain.utils.validation import check_labels


class HeldOut(NamedTuple):
    """Answers, probabilities and scores of labelled samples; those without a score rank last."""

    classifier: Any  # the selective classifier inside
    correct: np.ndarray
    score: np.ndarray
    proba: np.ndarray
    labels: np.ndarray
    answers: np.ndarray
    known: np.ndarray  # whether a sample has a score


def held_out(model, X, y) -> HeldOut:
    """Ask a fitted selective classifier, or a pipeline or search around one, about labelled data."""
    classifier, data = unwrap(model, X)
    evidence = classifier.evaluate(data)
    known = ~np.isnan(evidence.score)
    y = check_labels(y, classifier.classes_, len(known))
    answers = classifier.classes_[evidence.answer]
    correct = known & (answers == y)
    lowest = evidence.score[known].min(initial=0.0)
    score = np.where(known, evidence.score, lowest - 1.0)
    return HeldOut(classifier, correct, score, evidence.proba, y, answers, known)
