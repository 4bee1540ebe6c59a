"""Why a prediction is given or held back, as a line to print and as a table."""

from typing import NamedTuple

import numpy as np

from abstain.protocols import score_of
from abstain.utils.html import html_table

CLOSE = 0.3  # lead of the answer over the nearest rival, in probability, that counts as close
_MOST_COLUMNS = 64  # features that are looked at one by one
_ENDS = {np.inf: "where no threshold met the target", -np.inf: "where every score is accepted"}
_SMALLEST = 0.01  # change of a score that is worth a word


class Grounds(NamedTuple):
    """What a score rests on."""

    reasons: tuple = ()  # words, the weightiest first; in brackets what each does to the score
    typical: float = float("nan")  # log-odds of a typical prediction
    parts: dict | None = None  # log-odds by topic; their sum and ``typical`` are the log-odds of the score


class Explanation(NamedTuple):
    """Why one prediction is given or held back; print it."""

    answer: object
    probability: float
    rival: object  # the likeliest other class
    rival_probability: float
    score: float
    threshold: float
    accepted: bool
    grounds: Grounds
    means: str  # what the score means, "P(correct)" or "order"

    @property
    def reasons(self):
        """Words for what speaks against the answer, at most three."""
        return self.grounds.reasons

    def __str__(self):
        if np.isnan(self.score):
            return "abstains: the row cannot be scored"
        verb, side = ("answers", "at or above") if self.accepted else ("abstains from", "below")
        side = _ENDS.get(self.threshold) or f"{side} {self.threshold:.3g}"
        why = ", ".join(self.reasons) or _nothing(self)
        return (
            f"{verb} {self.answer} (probability {self.probability:.2f}; {self.rival} {self.rival_probability:.2f}), "
            f"{_named(self.means)} {self.score:.3g} {side}: {why}"
        )


class Explanations(list):
    """Explanations of some samples; print them, or let a notebook show them as a table."""

    def __str__(self):
        return "\n".join(map(str, self))

    def _repr_html_(self):
        head = ["answer", "probability", "rival", "its probability", "score", "threshold", "decision", "reasons"]
        head[4] = _named(self[0].means) if self else head[4]
        return html_table(head, map(_row, self))


def _named(means):
    """How a score is called."""
    return means if means == "P(correct)" else "score"


def _row(explanation):
    answer, probability, rival, other, score, threshold, accepted, *_ = explanation
    decision = "answer" if accepted else "abstain"
    if np.isnan(score):
        return ("", "", "", "", "none", f"{threshold:.3g}", decision, "the row cannot be scored")
    numbers = f"{score:.3g}", f"{threshold:.3g}"
    why = "; ".join(explanation.reasons) or _nothing(explanation)
    return (answer, f"{probability:.2f}", rival, f"{other:.2f}", *numbers, decision, why)


def _nothing(explanation):
    """Words where there are no reasons."""
    typical = explanation.grounds.typical
    if explanation.accepted and not explanation.score < 1 / (1 + np.exp(-typical)):
        return "nothing speaks against it"
    return "a little of everything, nothing that stands out"


def explained(evidence, classes, thresholds, accepted, means):
    """Explanations of evidence that comes with grounds."""
    at = np.arange(len(evidence.answer))
    others = evidence.proba.copy()
    others[at, evidence.answer] = -1
    rival = np.where(np.isnan(others).any(axis=1), 0, others.argmax(axis=1))
    labels = [*classes.tolist(), None]
    known = evidence.answer >= 0
    answer, rival = np.where(known, evidence.answer, -1), np.where(known, rival, -1)
    return Explanations(
        Explanation(
            labels[answer[i]], float(evidence.proba[i, answer[i]]), labels[rival[i]],
            float(evidence.proba[i, rival[i]]), float(evidence.score[i]), float(thresholds[i]), bool(accepted[i]),
            evidence.grounds[i], means,
        )
        for i in at
    )  # fmt: skip


def close_calls(evidence, classes):
    """A reason for every sample whose answer leads its rival by little; () for others."""
    order = np.argsort(np.nan_to_num(evidence.proba, nan=-1), axis=1)
    first, second = order[:, -1], order[:, -2]
    rival = np.where(first == evidence.answer, second, first)
    at = np.arange(len(rival))
    with np.errstate(invalid="ignore"):
        lead = evidence.proba[at, evidence.answer] - evidence.proba[at, rival]
    words = np.select([np.abs(lead) < CLOSE, lead < 0], ["a close call with", "in spite of a likelier"], "")
    return [(f"{word} {label}",) if word else () for word, label in zip(words, classes[rival].tolist(), strict=True)]


def by_features(scorer, view, score, typical, names):
    """What each feature does to a score, against a typical value of it: the two that lower it most, in words."""
    n, width = view.features.shape
    if width > _MOST_COLUMNS:
        change = score - score_of(scorer, view.with_features(np.broadcast_to(typical, (n, width)).copy()))
        return [(f"its features ({c:+.2f})",) if c <= -_SMALLEST else () for c in change]
    change = np.empty((n, width))
    for j in range(width):
        features = np.array(view.features, dtype=np.float64)
        features[:, j] = typical[j]
        change[:, j] = score - score_of(scorer, view.with_features(features))
    worst = np.argsort(change, axis=1, kind="stable")[:, :2]
    return [
        tuple(
            f"{names[j]} = {view.features[i, j]:.4g}, usually {typical[j]:.4g} ({change[i, j]:+.2f})"
            for j in worst[i] if change[i, j] <= -_SMALLEST
        )
        for i in range(n)
    ]  # fmt: skip
