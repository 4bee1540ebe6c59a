"""What a classifier says of data that it has not seen: cross-fitting, or a frozen classifier as it is."""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import check_is_fitted

from abstain.asking.ask import Heard, answers_by_argmax, ask, is_frozen, learnt_argmax, said
from abstain.folds import Folds, held_out, make_folds, warn_missing_classes
from abstain.outputs import ClassOutputs
from abstain.utils.process_wide import silence
from abstain.warnings import FlawlessWarning, RefitWarning, warn

_MANY = 200  # samples without an error that make one wonder


class CrossFit(NamedTuple):
    """A fitted estimator, and what it said of data that it had not seen."""

    estimator: object
    by_argmax: bool  # whether its answer is its largest output
    outputs: ClassOutputs  # of the rows below
    rows: np.ndarray  # rows that were held out; all of them but where splits leave some out
    n: int  # number of all rows
    split: Callable[[], Folds]  # makes the splits, of all rows, where something is learnt by them
    model: np.ndarray  # which model spoke of each of those rows; one number for a frozen one
    stressed: ClassOutputs | None = None  # of those rows otherwise measured

    @property
    def folds(self):
        """The splits, of all rows."""
        return self.split()

    def inner_folds(self, strata, seed):
        """Folds of the rows that were held out, for whatever learns from them."""
        return self.folds.among(self.rows, strata, seed) if self.n > 1 else self.folds


class Question(NamedTuple):
    """How a classifier is asked, and whose data it may see."""

    response: str
    classes: np.ndarray
    cv: object
    seed: int
    n_jobs: int | None = None
    groups: np.ndarray | None = None
    fit_params: dict | None = None  # what `fit` of the estimator is given besides X and y
    training: bool = False  # whether the outcome is that on the very data of the fit
    stressed: object = None  # the same rows otherwise measured, of which the same models are asked, too


def cross_fit(estimator, X, y, codes, question) -> CrossFit:
    """Fit the estimator on all data, and hear what it says of data that it has not seen.

    Parameters
    ----------
    estimator : estimator
        Frozen ones are taken as they are, and ``X, y`` as unseen by them.
    X, y : data and labels
        As given by the user.
    codes : ndarray of shape (n,)
        Index of each label in the classes.
    question : Question
        How to ask.

    Returns
    -------
    fit : CrossFit
        Estimator, outputs, rows and folds.
    """
    known, n = answers_by_argmax(estimator, question.response), len(codes)
    if is_frozen(estimator):
        return _frozen(estimator, X, codes, question, known)
    warn_if_fitted(estimator)
    folds = make_folds(question.cv, X, codes, groups=question.groups, seed=question.seed)
    warn_missing_classes(folds, codes, question.classes)
    params = question.fit_params or {}
    if question.training:
        fitted = clone(estimator).fit(X, y, **params)
        heard = _heard(fitted, X, question.stressed, question, known)
        rows, model = np.arange(n), np.zeros(n, dtype=int)
    else:
        heard = _held_out(estimator, X, y, codes, folds, question, known)
        fitted = clone(estimator).fit(X, y, **params)
        rows, model = folds.tested, folds.scored_by
    by_argmax, outputs, stressed = _understood(estimator, [part[rows] for part in heard], question, known)
    return CrossFit(fitted, by_argmax, outputs, rows, n, lambda: folds, model[rows], stressed)


def _frozen(estimator, X, codes, question, known):
    heard, n = _heard(estimator, X, question.stressed, question, known), len(codes)
    by_argmax, outputs, stressed = _understood(estimator, heard, question, known)
    right = outputs.answer == codes
    warn_if_flawless(estimator, right)
    make = partial(make_folds, question.cv, X, right, groups=question.groups, seed=question.seed)
    split = cache(make if n > 1 else partial(Folds, [], n))
    return CrossFit(estimator, by_argmax, outputs, np.arange(n), n, split, np.zeros(n, dtype=int), stressed)


def _heard(estimator, X, stressed, question, by_argmax):
    """What is heard of rows, and then of the same rows under stress, where there are any, column by column."""
    heard = ask(estimator, X, question.response, question.classes, by_argmax)
    if stressed is None:
        return heard
    try:
        with silence():
            return (*heard, *ask(estimator, stressed, question.response, question.classes, by_argmax))
    except Exception:  # a classifier may refuse values that it would never meet: then nothing is known of stress
        return (*heard, np.full_like(heard.values, np.nan), *heard[1:])


def _understood(estimator, heard, question, known):
    """Whether answers are the largest outputs, and the class outputs of what was heard."""
    width = len(Heard._fields)
    plain, stressed = Heard(*heard[:width]), heard[width:]
    by_argmax = learnt_argmax(plain.values, plain.answer) if known is None else known
    outputs = said(estimator, plain, question.response, question.classes)
    return by_argmax, outputs, _said_under_stress(estimator, Heard(*stressed), question) if stressed else None


def _said_under_stress(estimator, heard, question):
    """Class outputs under stress, or None where a classifier was not made for such values."""
    try:
        return said(estimator, heard, question.response, question.classes)
    except ValueError:
        return None


def _held_out(estimator, X, y, codes, folds, question, by_argmax):
    """What is heard of every held-out row, by a clone that was fitted on the others."""

    def fit(train):
        if len(np.unique(codes[train])) < 2:
            raise ValueError(
                "a training fold holds 1 class only, so no classifier can be fitted there. Give more samples of the "
                "rare class, a smaller or shuffled cv, or FrozenEstimator(estimator)."
            )
        params = {name: part_of(value, train, len(codes)) for name, value in (question.fit_params or {}).items()}
        return clone(estimator).fit(_safe_indexing(X, train), _safe_indexing(y, train), **params)

    def predict(model, test):
        stressed = None if question.stressed is None else _safe_indexing(question.stressed, test)
        return _heard(model, _safe_indexing(X, test), stressed, question, by_argmax)

    return held_out(folds, fit, predict, n_jobs=question.n_jobs)


def part_of(value, rows, n):
    """Rows of a fit parameter that has one entry a sample; any other as it is."""
    per_sample = len(value) == n if isinstance(value, list | tuple) else getattr(value, "shape", ())[:1] == (n,)
    return _safe_indexing(value, rows) if per_sample else value


def is_fitted(estimator):
    """Whether an estimator has been fitted, and needs that."""
    if not get_tags(estimator).requires_fit:
        return False
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return True


def warn_if_flawless(estimator, correct):
    """Warn that a frozen estimator makes no errors, as it does on the data that it was trained on."""
    if len(correct) < _MANY or not correct.all():
        return
    while is_frozen(estimator):
        estimator = estimator.estimator
    warn(
        f"the frozen {type(estimator).__name__} answers all of {len(correct)} samples right: were they those that it "
        "was trained on? Then nothing that is learnt from them, threshold or promise holds for new data: give it data "
        "that it has not seen.",
        FlawlessWarning,
    )


def warn_if_fitted(estimator):
    """Warn that a fitted estimator is about to be refitted."""
    if not is_fitted(estimator):
        return
    warn(
        f"{type(estimator).__name__} is fitted but not frozen: a clone of it is refitted in folds. To keep the "
        "fitted one, and to use X, y as data it has not seen, pass FrozenEstimator(estimator).",
        RefitWarning,
    )
