"""What a language model says of its answers, as scores: probabilities of labels, repeated answers, stated confidence.

Wherever nothing can be read, the result is NaN, which every policy abstains on.
"""

import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from abstain.utils.validation import as_array, rounding_of, sum_tolerance

__all__ = ["answer_frequencies", "label_probabilities", "stated_confidence"]

_SLACK = 1e-3  # by which interfaces round log-probabilities
_NUMBER = re.compile(
    r"(?<![\w.])([-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?)\s*(%|percent\b|/\s*\d+(?:\.\d+)?)?(?![\w])", re.IGNORECASE
)


def label_probabilities(log_proba: Any, labels: Any = None) -> np.ndarray:
    """Probabilities of labels, and of anything else, from the log-probabilities of their tokens.

    Parameters
    ----------
    log_proba : array-like of shape (n, n_labels), or list of dict
        Natural logarithms. A dictionary maps tokens to them, as interfaces return the likeliest few; None or an empty
        one is a sample without an answer.
    labels : sequence of str, default=None
        For dictionaries, the tokens that are labels. One that a dictionary lacks counts as anything else.

    Returns
    -------
    proba : ndarray of shape (n, n_labels + 1)
        In the last column is what is missing to one: the mass of all other answers. A model that is sure of saying
        something else is thereby not sure of any label. NaN where nothing is known.

    Raises
    ------
    ValueError
        If labels are missing or given without need, or a row holds more probability than one.

    Examples
    --------
    >>> from abstain.language import label_probabilities
    >>> label_probabilities([{"yes": -0.2, "Sure": -2.0}, None], labels=["yes", "no"]).round(2)
    array([[0.82, 0.  , 0.18],
           [ nan,  nan,  nan]])
    """
    log_proba = log_proba if hasattr(log_proba, "shape") else list(log_proba)
    if isinstance(log_proba, list) and any(row is None or isinstance(row, Mapping) for row in log_proba):
        logs = _table(log_proba, labels)
    elif labels is not None:
        raise ValueError("labels are for dictionaries; the columns of an array are labels already.")
    else:
        logs = as_array(log_proba, "log_proba").astype(np.float64)
        if logs.ndim != 2:
            raise ValueError(f"log_proba must have one row a sample and one column a label; got shape {logs.shape}.")
    known = ~np.isnan(logs).any(axis=1)
    proba = np.full((len(logs), logs.shape[1] + 1), np.nan)
    proba[known, :-1] = np.exp(logs[known])
    total = proba[known, :-1].sum(axis=1)
    if (total > 1 + max(_SLACK, sum_tolerance(rounding_of(log_proba)))).any():
        raise ValueError(
            f"log_proba holds {total.max():.3g} of probability in a row, more than one. Are these logits, or another "
            "base? Natural logarithms of probabilities are expected."
        )
    proba[known, :-1] /= np.maximum(total, 1.0)[:, None]
    proba[known, -1] = np.maximum(1 - total, 0.0)
    return proba


def _table(rows, labels):
    """Log-probabilities of labels from dictionaries, (n, n_labels)."""
    if labels is None:
        raise ValueError("labels must be given with dictionaries: which tokens are labels?")
    labels = _distinct(labels, "labels")
    if not all(row is None or isinstance(row, Mapping) for row in rows):
        raise ValueError("log_proba must hold a dictionary, or None, for every sample.")
    found = [[row.get(label, -np.inf) for label in labels] if row else [np.nan] * len(labels) for row in rows]
    return np.array(found, dtype=np.float64)


def _distinct(names, what):
    """A list of names, none of them twice."""
    if isinstance(names, str) or not hasattr(names, "__iter__"):
        raise ValueError(f"{what} must be a list; got {names!r}.")
    names = list(names)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{what} must hold distinct names, at least one; got {names!r}.")
    return names


def answer_frequencies(samples: list, answers: Any = None) -> tuple[np.ndarray, list]:
    """How often each answer was given when a model was asked several times.

    Parameters
    ----------
    samples : list of sequence
        For each question the answers that were sampled; None where the model gave none that could be read.
    answers : sequence, default=None
        Those that are looked for. None is all that were given, sorted.

    Returns
    -------
    proba : ndarray of shape (n, n_answers + 1)
        Shares of the samples of a question; in the last column those of unreadable and of other answers. NaN for a
        question that was never answered.
    answers : list
        What the other columns stand for.

    Raises
    ------
    ValueError
        If nothing was answered at all, so that there is no column.

    Examples
    --------
    >>> from abstain.language import answer_frequencies
    >>> answer_frequencies([["Bern", "Bern", "Basel", None], []])
    (array([[0.25, 0.5 , 0.25],
           [ nan,  nan,  nan]]), ['Basel', 'Bern'])
    """
    samples = [() if row is None else row for row in samples]
    if any(isinstance(row, str) or not hasattr(row, "__iter__") for row in samples):
        raise ValueError("samples must hold a list of answers for every question, also where there is one answer.")
    samples = [[None if answer != answer else answer for answer in row] for row in samples]  # NaN is none
    answers = _distinct(_given(samples) if answers is None else answers, "answers")
    column = {answer: j for j, answer in enumerate(answers)}
    proba = np.full((len(samples), len(answers) + 1), np.nan)
    for i, row in enumerate(samples):
        if any(answer is not None for answer in row):
            given = [column.get(answer, len(answers)) for answer in row]
            proba[i] = np.bincount(given, minlength=len(answers) + 1) / len(given)
    return proba, answers


def _given(samples):
    """All answers that were given, sorted."""
    given = {answer for row in samples for answer in row if answer is not None}
    if not given:
        raise ValueError("samples hold no answer to any question.")
    if len({isinstance(answer, str) for answer in given}) > 1:
        raise ValueError("samples must hold answers of one kind; got texts and others. Convert them, or name answers.")
    return sorted(given)


def stated_confidence(texts: list[str] | float) -> np.ndarray:
    """Read the confidence that a model states in words.

    Parameters
    ----------
    texts : list of str or float
        Such as "I am 85 % sure", "0.85", "8/10", or a number; a number above 1 is a percentage.

    Returns
    -------
    confidence : ndarray of shape (n,)
        In [0, 1]; NaN where there is no number, several that differ, or one out of range.

    Raises
    ------
    ValueError
        If there is no list of them.

    Examples
    --------
    >>> from abstain.language import stated_confidence
    >>> stated_confidence(["I am 85 % sure.", "8/10", "no idea", "between 20 % and 90 %", 0.5])
    array([0.85, 0.8 ,  nan,  nan, 0.5 ])
    """
    if isinstance(texts, str) or not hasattr(texts, "__iter__"):
        raise ValueError(f"texts must be a list, one entry a sample; got {texts!r}.")
    return np.array([_confidence(text) for text in texts], dtype=np.float64)


def _confidence(text):
    said = [(text, "")] if isinstance(text, Real) else _NUMBER.findall(str(text))
    found = {_share(*match) for match in said}
    if len(found) != 1:
        return np.nan
    (share,) = found
    return share if 0 <= share <= 1 else np.nan


def _share(number, unit):
    """A number as a share: a percentage, one of so many, or as it is."""
    value = float(number)
    if unit.startswith("/"):
        parts = float(unit[1:])
        return value / parts if parts else np.inf
    return value / 100 if unit or value > 1 else value
