"""How a fitted classifier is asked: what it says of each class, and what it answers."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit
from sklearn.frozen import FrozenEstimator
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import _num_samples

from abstain.outputs import ClassOutputs
from abstain.utils.rows import places, rows_not_once
from abstain.utils.unwrap import steps_of
from abstain.utils.validation import as_array, rounding_of, row_blocks

RESPONSES = {"predict_proba": "proba", "decision_function": "logits"}

# classes of scikit-learn whose `predict`, or that of the part they pass it on to, is the largest output but for ties
_ARGMAX = {
    "LinearClassifierMixin", "ForestClassifier", "BaseDecisionTree", "HistGradientBoostingClassifier",
    "GradientBoostingClassifier", "MLPClassifier", "_BaseNB", "LinearDiscriminantAnalysis",
    "DiscriminantAnalysisPredictionMixin", "QuadraticDiscriminantAnalysis", "KNeighborsClassifier",
    "BaggingClassifier", "AdaBoostClassifier", "CalibratedClassifierCV", "LinearProbe",
}  # fmt: skip
_REMEDY = 'declare them with response_method="decision_function", where there is one'
_WRAPPERS = {"CalibratedClassifierCV", "TunedThresholdClassifierCV", "FixedThresholdClassifier", "BaseCalibrator"}
# held-out answers that must all be the largest output before a classifier of another kind is taken to answer so
_ENOUGH = 100


class Heard(NamedTuple):
    """What a classifier said of n rows, as it said it."""

    values: np.ndarray  # (n, K) probabilities or logits, in the dtype in which they came, or float32 for bfloat16
    answer: np.ndarray  # (n,) indices of classes
    rounding: np.ndarray  # (n,) relative rounding error of what the values were computed from

    def of(self, rows):
        """What was said of some of the rows."""
        return Heard(*(column[rows] for column in self))


def is_frozen(estimator):
    """Whether an estimator keeps what it knows; the one place that asks for a type."""
    return isinstance(estimator, FrozenEstimator)


def is_wrapper(estimator):
    """Whether a classifier passes data to another as they are, and answers otherwise than that would."""
    return any(kind.__name__ in _WRAPPERS for kind in type(estimator).__mro__)


def inmost(estimator):
    """What is inside frozen classifiers, wrappers and searches, as they were given it; else the estimator itself."""
    while is_frozen(estimator) or _is_search(estimator) or (is_wrapper(estimator) and estimator.estimator is not None):
        estimator = estimator.estimator
    return estimator


def _is_search(estimator):
    searched = hasattr(estimator, "param_grid") or hasattr(estimator, "param_distributions")
    return searched and hasattr(estimator, "estimator")


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


def data_blocks(X, elements=1 << 22):
    """Pieces of ``X`` that are small against memory, in order; small data, and lists, come in one piece."""
    n, width = _num_samples(X), int(np.prod(getattr(X, "shape", (0,))[1:], dtype=np.int64))
    if hasattr(X, "nnz"):
        width = X.nnz // max(n, 1)
    if n * width <= elements:
        return [X]
    return (_safe_indexing(X, rows) for rows in row_blocks(n, width, elements))


def answers_by_argmax(estimator, response):
    """Whether a classifier answers the class of its largest output; None where its type does not tell."""
    estimator = _speaker(estimator)
    if not hasattr(estimator, "predict"):
        return True
    answers, speaks = (_owner(estimator, method) for method in ("predict", response))
    if any(
        owner is None or owner.__module__.split(".")[0] not in ("sklearn", "abstain") for owner in (answers, speaks)
    ):
        return None
    return answers.__name__ in _ARGMAX


def _speaker(estimator):
    """The classifier whose words those of frozen ones, pipelines and fitted searches are."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif steps := steps_of(estimator):
            estimator = steps[-1][1]
        elif is_frozen(estimator):
            estimator = estimator.estimator
        else:
            return estimator


def input_tags(estimator):
    """What scikit-learn's tags say of the data that an estimator takes; a frozen one is not copied to be asked."""
    while is_frozen(estimator):
        estimator = estimator.estimator
    return get_tags(estimator).input_tags


def takes_nan(estimator):
    """Whether an estimator says that it takes missing values; a pipeline does where its first step does."""
    while steps := steps_of(estimator := inmost(estimator)):
        estimator = next((step for _, step in steps if hasattr(step, "fit")), steps[-1][1])
    # one that hands each column to another transformer is taken at its word when it fails
    return hasattr(estimator, "transformers") or get_tags(estimator).input_tags.allow_nan


def _owner(estimator, method):
    return next((kind for kind in type(estimator).__mro__ if method in vars(kind)), None)


def ask(estimator, X, response, classes, by_argmax):
    """What a fitted estimator says of each class, and the class that it answers.

    Large data go through in blocks, since an estimator may make a wider copy of what it is given.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    X : array-like of shape (n, ...)
        Data as it takes them.
    response : {"predict_proba", "decision_function"}
        What to ask it for.
    classes : ndarray of shape (K,)
        Sorted labels. One that the estimator has not seen gets probability 0, or logit ``-inf``.
    by_argmax : bool or None
        Whether the answer is the largest output; if so, the estimator is asked for it only where outputs tie.

    Returns
    -------
    heard : Heard
        Values with columns in the order of ``classes``, and answers as indices into them.
    """
    check_response(estimator, response)
    parts = [_ask(estimator, block, response, classes, by_argmax) for block in data_blocks(X)]
    return parts[0] if len(parts) == 1 else Heard(*map(np.concatenate, zip(*parts, strict=True)))


def _ask(estimator, X, response, classes, by_argmax):
    values, rounding = _columns(estimator, X, response)
    values = _aligned(estimator, values, response, classes)
    answer = values.argmax(axis=1)
    unsure = _ties(values, answer, rounding) if by_argmax else np.arange(len(values))
    if unsure.size and hasattr(estimator, "predict"):
        asked = X if unsure.size == len(values) else _safe_indexing(X, unsure)
        answer[unsure] = _codes(estimator, estimator.predict(asked), classes)
    return Heard(values, answer, np.full(len(values), rounding))


def _columns(estimator, X, response):
    """Values as the estimator orders its classes, and their relative rounding error."""
    name = f"{type(estimator).__name__}.{response}"
    said = getattr(estimator, response)(X)
    values = as_array(said, name)
    if values.ndim == 1 and response == "decision_function":  # the log-odds of a binary classifier
        values = np.column_stack([-values / 2, values / 2])
    shape, speaker = (_num_samples(X), len(estimator.classes_)), _speaker(estimator)
    one_against_one = getattr(speaker, "decision_function_shape", None) == "ovo" and shape[1] > 2
    if values.shape != shape or (one_against_one and response == "decision_function"):
        remedy = (
            'One-against-one decisions are not logits: use response_method="predict_proba".'
            if response == "decision_function"
            else "It must keep to the shape of scikit-learn's predict_proba; with two classes there are two columns."
        )
        raise ValueError(
            f"{name} must return one column for each of the {shape[1]} classes, shape {shape}; got {values.shape}. "
            f"{remedy}"
        )
    values = values if values.dtype.kind == "f" else values.astype(np.float64)
    if response == "predict_proba" and shape[1] == 2 and hasattr(estimator, "decision_function"):
        values = _unrounded(estimator, X, values)
    return values, max(rounding_of(said), getattr(speaker, "rounding_", 0.0))


def _unrounded(estimator, X, proba):
    """Probabilities of two classes; those rounded as ``1 - p``, or to 0, by log-odds that say the same."""
    smallest = np.finfo(proba.dtype).eps
    small = np.flatnonzero((proba[:, 0] < 4096 * smallest) | (proba[:, 1] == 0))
    if not small.size:
        return proba
    odds = as_array(estimator.decision_function(_safe_indexing(X, small)), "decision_function")
    if odds.shape != small.shape:
        return proba
    exact, column = proba.copy(), proba[small].argmin(axis=1)
    own = expit(np.where(column == 0, -1.0, 1.0) * odds.astype(np.float64))
    same = np.abs(own - proba[small, column]) <= 4 * smallest
    exact[small[same], column[same]] = own[same]
    return exact


def _aligned(estimator, values, response, classes):
    own = np.asarray(estimator.classes_)
    if np.array_equal(own, classes):
        return values
    aligned = np.full((len(values), len(classes)), 0.0 if response == "predict_proba" else -np.inf, values.dtype)
    aligned[:, np.searchsorted(classes, own)] = values
    return aligned


def _ties(values, largest, rounding):
    """Rows whose two largest outputs differ by no more than rounding, or that have no largest."""
    top = values.take(places(largest, values.shape[1])).astype(np.float64)
    with np.errstate(invalid="ignore"):
        least = top - 256 * rounding * np.maximum(np.abs(top), 1e-300)
    return rows_not_once(values, least.astype(values.dtype))


def _codes(estimator, labels, classes):
    labels = np.asarray(labels)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels  # a column, as of CatBoost
    position = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    if not (classes[position] == labels).all():
        strange = np.unique(labels[classes[position] != labels])[:3].tolist()
        raise ValueError(f"{type(estimator).__name__}.predict answers {strange}, which are not among its classes_.")
    return position


def learnt_argmax(values, answer):
    """Whether enough held-out answers were seen, and all of them were the largest output."""
    return len(answer) >= _ENOUGH and bool((values.argmax(axis=1) == answer).all())


def said(estimator, heard, response, classes):
    """Class outputs of what was heard of an estimator."""
    answer, rounding = heard.answer.astype(np.intp, copy=False), heard.rounding.max(initial=0.0)
    name = f"{type(estimator).__name__}.{response}"
    return ClassOutputs(
        heard.values, RESPONSES[response], classes, answer, rounding=rounding, name=name, remedy=_REMEDY
    )


def check_response(estimator, response):
    """Say what to do where the estimator cannot answer in the way declared."""
    if not hasattr(estimator, response):
        remedy = {
            "predict_proba": "Wrap it in CalibratedClassifierCV, or declare logits with "
            'response_method="decision_function".',
            "decision_function": 'Leave response_method="predict_proba".',
        }[response]
        raise TypeError(f"estimator {type(estimator).__name__} has no {response}. {remedy}")
