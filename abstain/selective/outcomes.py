"""What held-out labels say of a classifier: cross-fitting, or a frozen classifier on data it has not seen."""

import warnings
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from scipy.special import softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import _num_samples, check_is_fitted

from abstain.scores.probability import log_probabilities
from abstain.utils.validation import row_blocks
from abstain.warnings import RareClassWarning, RefitWarning, warn

RESPONSES = ("predict_proba", "decision_function")


class Outcome(NamedTuple):
    """What held-out labels say of a classifier."""

    outputs: np.ndarray  # (n, K) held out: probabilities, or logits where those were declared
    codes: np.ndarray  # (n,) index of the true class
    response: str  # "predict_proba" or "decision_function"

    @property
    def proba(self):
        """Class probabilities, (n, K)."""
        return to_proba(self.outputs, self.response)

    @property
    def log_proba(self):
        """Log-probabilities, (n, K)."""
        return to_log_proba(self.outputs, self.response)

    @property
    def correct(self):
        """Whether the predicted class is the true one, (n,) of bool."""
        return self.outputs.argmax(axis=1) == self.codes

    @property
    def tcp(self):
        """Probability given to the true class, (n,)."""
        return np.take_along_axis(self.proba, self.codes[:, None], axis=1)[:, 0]

    @property
    def tcp_ratio(self):
        """Probability given to the true class over the largest, (n,)."""
        return self.tcp / self.proba.max(axis=1)


def to_proba(outputs, response):
    """Probabilities of what an estimator said."""
    return outputs if response == "predict_proba" else softmax(outputs, axis=1)


def to_log_proba(outputs, response):
    """Log-probabilities of what an estimator said."""
    return log_probabilities(outputs, "proba" if response == "predict_proba" else "logits")


def data_blocks(X, elements=1 << 22):
    """Pieces of ``X`` that are small against memory, in order; small data, and lists, come in one piece."""
    n, width = _num_samples(X), int(np.prod(getattr(X, "shape", (0,))[1:], dtype=np.int64))
    if hasattr(X, "nnz"):
        width = X.nnz // max(n, 1)
    if n * width <= elements:
        return [X]
    return (_safe_indexing(X, rows) for rows in row_blocks(n, width, elements))


def is_frozen(estimator):
    """Whether an estimator keeps what it knows; the one place that asks for a type."""
    return isinstance(estimator, FrozenEstimator)


def known_classes(estimator):
    """Sorted labels of a frozen estimator, whatever the order of its own columns; None for others."""
    if not is_frozen(estimator):
        return None
    if not hasattr(estimator, "classes_"):
        raise ValueError(
            "estimator is frozen but not fitted: it has no classes_. Fit the classifier before freezing it."
        )
    classes, counts = np.unique(np.asarray(estimator.classes_), return_counts=True)
    if counts.max() > 1:
        raise ValueError(f"estimator.classes_ names {classes[counts > 1].tolist()} more than once.")
    return classes


def class_outputs(estimator, X, response, classes):
    """What a fitted estimator says of each class, (n, K) float64 with columns in the order of ``classes``.

    A class that the estimator has not seen gets probability 0 (logit ``-inf``). Large data go through in blocks,
    since an estimator may make a wider copy of what it is given.
    """
    check_response(estimator, response)
    answers = [np.asarray(getattr(estimator, response)(block), dtype=np.float64) for block in data_blocks(X)]
    outputs = np.concatenate(answers) if len(answers) > 1 else answers[0]
    if outputs.ndim == 1 and response == "decision_function":  # the log-odds of a binary classifier
        outputs = np.column_stack([-outputs / 2, outputs / 2])
    own = np.asarray(estimator.classes_)
    _check_outputs(estimator, outputs, response, (_num_samples(X), len(own)))
    if np.array_equal(own, classes):
        return outputs
    aligned = np.full((len(outputs), len(classes)), 0.0 if response == "predict_proba" else -np.inf)
    aligned[:, np.searchsorted(classes, own)] = outputs
    return aligned


def _check_outputs(estimator, outputs, response, shape):
    name = f"{type(estimator).__name__}.{response}"
    if outputs.shape != shape or (getattr(estimator, "decision_function_shape", None) == "ovo" and shape[1] > 2):
        raise ValueError(
            f"{name} must return one column for each of the {shape[1]} classes, shape {shape}; got {outputs.shape}. "
            'One-against-one decisions are not logits: use response_method="predict_proba".'
        )
    if np.isnan(outputs).any():
        raise ValueError(f"{name} returned NaN; repair the estimator or the data it is given.")


def check_response(estimator, response):
    """Say what to do where the estimator cannot answer in the way declared."""
    if not hasattr(estimator, response):
        remedy = {
            "predict_proba": "Wrap it in CalibratedClassifierCV, or declare logits with "
            'response_method="decision_function".',
            "decision_function": 'Leave response_method="predict_proba".',
        }[response]
        raise TypeError(f"estimator {type(estimator).__name__} has no {response}. {remedy}")


def warn_if_fitted(estimator):
    """Warn that a fitted estimator is about to be refitted."""
    if not get_tags(estimator).requires_fit:
        return
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return
    warn(
        f"{type(estimator).__name__} is fitted but not frozen: a clone of it is refitted in folds. To keep the "
        "fitted one, and to use X, y as data it has not seen, pass FrozenEstimator(estimator).",
        RefitWarning,
    )


def _positions(part):
    """Rows of a part of a split, which may be a mask, or empty."""
    part = np.asarray(part)
    return np.flatnonzero(part) if part.dtype == bool or not part.size else part


def make_folds(cv, X, strata, random_state, *, warn_rare=False):
    """Return the list of (train, test) index pairs, with as many folds as the strata allow."""
    if not isinstance(cv, int | np.integer):
        splits = check_cv(cv, strata, classifier=True).split(X, strata)
        folds = [tuple(_positions(part) for part in split) for split in splits]
        if not folds:
            raise ValueError("cv gave no splits: an iterator serves one fit only. Pass a list, a splitter or a number.")
        return folds
    if isinstance(cv, bool) or cv < 2:
        raise ValueError(f"cv must be a number of folds of at least 2, a splitter or a list of splits; got {cv!r}.")
    counts = np.unique(strata, return_counts=True)[1]
    n_splits = int(min(cv, counts.max()))
    if n_splits < 2:
        raise ValueError(
            f"cv={cv}: cross-fitting needs a class with at least 2 samples; got n_samples={len(strata)} with at "
            "most 1 sample a class. Give more data, or FrozenEstimator(estimator)."
        )
    if warn_rare and len(strata) >= 2 * cv and counts.min() < n_splits:
        _warn_rare(counts.min(), n_splits)
    splitter = StratifiedKFold(n_splits, shuffle=True, random_state=random_state)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return list(splitter.split(np.zeros(len(strata)), strata))


def _warn_rare(smallest, n_splits):
    warn(
        f"the rarest class has {smallest} samples but there are {n_splits} folds: where a fold has none to train on, "
        "its held-out samples count as errors. Use a smaller cv, merge rare classes, or give more data.",
        RareClassWarning,
    )


class CrossFit(NamedTuple):
    """A fitted estimator with its held-out outcome."""

    estimator: object
    outcome: Outcome  # of the rows below
    rows: np.ndarray  # rows that have a held-out outcome; all of them but for a single split
    folds: list  # (train, test) within those rows, for whatever learns from the outcome


def cross_fit(estimator, X, y, codes, classes, cv, *, response, outcomes, n_jobs, seed) -> CrossFit:
    """Fit the estimator on all data, and find its outcome on data that it had not seen.

    Parameters
    ----------
    estimator : estimator
        Frozen ones are taken as they are, and ``X, y`` as unseen by them.
    X, y : data and labels
        As given by the user.
    codes : ndarray of shape (n,)
        Index of each label in ``classes``.
    classes : ndarray of shape (K,)
        All labels.
    cv : int, splitter or iterable
        Folds of the rows: by class; of a frozen estimator, which needs no refitting, by correctness.
    response : {"predict_proba", "decision_function"}
        What to ask the estimator for.
    outcomes : {"held_out", "training"}
        "training" takes the outcome on the very data of the fit.
    n_jobs : int or None
        Folds fitted at once; joblib backends apply.
    seed : int
        Seed of the folds.

    Returns
    -------
    fit : CrossFit
        Estimator, outcome, rows and folds.
    """
    everything = np.arange(len(codes))
    if is_frozen(estimator):
        outcome = Outcome(class_outputs(estimator, X, response, classes), codes, response)
        folds = make_folds(cv, X, outcome.correct, seed) if len(codes) > 1 else []
        return CrossFit(estimator, outcome, everything, _covering(folds, outcome, seed))
    warn_if_fitted(estimator)
    folds = make_folds(cv, X, codes, seed, warn_rare=True)
    if outcomes == "training":
        fitted = clone(estimator).fit(X, y)
        outcome = Outcome(class_outputs(fitted, X, response, classes), codes, response)
        return CrossFit(fitted, outcome, everything, _covering(folds, outcome, seed))
    jobs = [*folds, (None, None)]
    results = Parallel(n_jobs=n_jobs)(
        delayed(_fit_fold)(clone(estimator), X, y, codes, classes, train, test, response) for train, test in jobs
    )
    outputs = np.full((len(codes), len(classes)), np.nan)
    for (_, test), (_, held_out) in zip(folds, results, strict=False):
        outputs[test] = held_out
    rows = np.unique(np.concatenate([test for _, test in folds]))
    outcome = Outcome(outputs[rows], codes[rows], response)
    folds = folds if rows.size == len(codes) else []
    return CrossFit(results[-1][0], outcome, rows, _covering(folds, outcome, seed))


def _covering(folds, outcome, seed):
    """Folds that test every row of the outcome: those given if they do, else five by correctness."""
    tested = np.unique(np.concatenate([test for _, test in folds])) if folds else np.empty(0)
    n = len(outcome.codes)
    if tested.size == n or n < 2:
        return folds
    return make_folds(5, None, outcome.correct, seed)


def _fit_fold(estimator, X, y, codes, classes, train, test, response):
    if train is None:
        return estimator.fit(X, y), None
    if len(np.unique(codes[train])) < 2:
        raise ValueError(
            "a training fold holds 1 class only, so no classifier can be fitted there. Give more samples of the "
            "rare class, a smaller cv, or FrozenEstimator(estimator)."
        )
    fitted = estimator.fit(_safe_indexing(X, train), _safe_indexing(y, train))
    return None, class_outputs(fitted, _safe_indexing(X, test), response, classes)
