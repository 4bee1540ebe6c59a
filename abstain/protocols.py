"""What the parts of a selective classifier are to each other, and how a function becomes a part."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

TARGETS = ("correct", "tcp", "tcp_ratio", "label", "outcome")
SEES = ("proba", "log_proba", "logits", "outputs", "features", "confidence", "both", "images")


@runtime_checkable
class Scorer(Protocol):
    """Something that scores predictions, and says itself what it looks at and what it learns from.

    Four attributes are data, with these defaults where they are missing. ``sees = "proba"``: what it is shown, one of
    "proba", "log_proba", "logits", "outputs" (`ClassOutputs`), "features", "confidence" and "both" (`View`), and
    "images" (`View`, whose features are the data as they came).
    ``target = "correct"``: what it learns from, one of "correct", "tcp", "tcp_ratio", "label", and
    "outcome" (``Outcome``, all of these; for scorers that cross-fit themselves).
    ``min_errors = 0``: the held-out errors (and right predictions) below which maximum probability takes its place.
    ``means = "order"``: what a score means, "P(correct)" or no more than its order.

    Three methods are optional. ``fit(view, target)`` learns. ``fit_held_out(view, target, folds)`` learns, and returns
    the score of every row by a model that has not seen it; without it the scorer is cloned and fitted on each split.
    ``recalibrate(score, correct)`` turns held-out scores into probabilities of being right.
    """

    def score_samples(self, view: Any) -> np.ndarray:
        """Score of every sample, (n,); larger is safer, NaN where it cannot be told."""


class FunctionScorer:
    """A function of what it sees as a scorer that has nothing to learn.

    Parameters
    ----------
    function : callable
        ``function(view) -> (n,)``; its attribute ``sees`` counts.
    """

    target, min_errors = "correct", 0

    def __init__(self, function):
        self.function = function

    @property
    def sees(self):
        """What the function is shown."""
        return getattr(self.function, "sees", "proba")

    @property
    def __name__(self):
        return name_of(self.function)

    def score_samples(self, view):
        """Score of every sample, (n,)."""
        return self.function(view)

    def __repr__(self):
        return f"FunctionScorer({self.__name__})"


def as_scorer(scorer: Any, name: str = "scorer") -> Any:
    """Return a scorer as it is, and a function as a scorer; refuse all else.

    Parameters
    ----------
    scorer : scorer or callable
        What the user gave.
    name : str, default="scorer"
        The parameter it came by.

    Returns
    -------
    scorer : object
        With ``score_samples``.

    Raises
    ------
    TypeError
        If it is neither, or says that it sees or learns from what is not there.

    Examples
    --------
    >>> from abstain.protocols import as_scorer
    >>> as_scorer(lambda proba: proba.max(axis=1)).score_samples
    <bound method FunctionScorer.score_samples of FunctionScorer(<lambda>)>
    """
    if isinstance(scorer, type) or not (callable(scorer) or hasattr(scorer, "score_samples")):
        raise TypeError(f"{name} must be a function of probabilities or have fit and score_samples; got {scorer!r}.")
    found = scorer if hasattr(scorer, "score_samples") else FunctionScorer(scorer)
    for what, known in (("sees", SEES), ("target", TARGETS)):
        if declared(found, what) not in known:
            raise TypeError(
                f"{name} {name_of(found)}.{what} must be one of {sorted(known)}; got {declared(found, what)!r}."
            )
    return found


def declared(scorer, what):
    """What a scorer says of itself: ``sees``, ``target``, ``min_errors`` or ``means``."""
    return getattr(scorer, what, {"sees": "proba", "target": "correct", "min_errors": 0, "means": "order"}[what])


def learns(scorer):
    """Whether a scorer has anything to learn."""
    return hasattr(scorer, "fit") or hasattr(scorer, "fit_held_out")


def score_of(scorer, view):
    """Score of every sample, (n,), in the float dtype it comes in; NaN where it is not finite."""
    score = np.asarray(scorer.score_samples(view))
    score = score if score.dtype.kind == "f" else score.astype(np.float64)
    if score.shape != (len(view),):
        raise ValueError(
            f"scorer {name_of(scorer)} must return one number a sample, shape ({len(view)},); got shape {score.shape}."
        )
    return np.where(np.isfinite(score), score, score.dtype.type(np.nan))


def name_of(part):
    """Name of a function, or of the class of an object."""
    return getattr(part, "__name__", None) or type(part).__name__
