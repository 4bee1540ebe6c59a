"""How bad mistakes are: distances and costs of answers, always beside how many mistakes there are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax

from abstain.utils.html import html_text
from abstain.utils.validation import (
    as_array,
    check_choice,
    check_count,
    check_labels,
    check_logits,
    check_proba,
    finite_array,
)


class SeverityReport(NamedTuple):
    """How many mistakes, and how bad: no number of these means much without the others."""

    n: int
    accuracy: float
    severity: float  # mean distance of the mistakes, NaN without any
    mean_distance: float  # of all answers, right ones at 0
    total_distance: float
    largest: float  # distance of the worst mistake

    def __str__(self):
        return "\n".join(f"{name:<15}{value:.6g}" for name, value in self._asdict().items())

    def _repr_html_(self):
        return html_text(self)


class MistakeShares(NamedTuple):
    """Samples that two classifiers answer wrongly, by whose mistake is nearer to the truth."""

    n: int
    better: float
    same: float
    worse: float


def _asks(hand_over):
    """Say what a metric is handed by `make_selective_scorer`: ``hand_over(held) -> (arrays, options)``."""

    def marked(metric):
        metric.asks = hand_over
        return metric

    return marked


def _answers(held):
    """Labels and answers of the samples that have a score."""
    return (held.labels[held.known], held.answers[held.known]), {"classes": held.classifier.classes_}


def _ranking(held):
    """Labels and probabilities of the samples that have a score."""
    return (held.labels[held.known], held.proba[held.known]), {"classes": held.classifier.classes_}


def _probabilities(held):
    """Probabilities of the samples that have a score, and the numbers of their classes."""
    codes = _codes(held.labels[held.known], held.classifier.classes_, "y")
    return (held.proba[held.known], codes), {}


@_asks(_answers)
def mistake_severity(y: ArrayLike, answer: ArrayLike, distance: Any, *, classes: ArrayLike | None = None) -> float:
    """Mean distance of the mistakes to the truth.

    It falls when easy mistakes are added; so read it beside the accuracy and `mean_cost`, or use `severity_report`.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels.
    answer : array-like of shape (n,)
        Answers.
    distance : array-like of shape (n_classes, n_classes), or ClassSemantics
        ``distance[truth, answer]``; of semantics, their own distance.
    classes : array-like of shape (n_classes,), default=None
        Labels of rows and columns; None is those of the semantics, or 0, 1, ...

    Returns
    -------
    severity : float
        Not negative; NaN without mistakes.

    Raises
    ------
    ValueError
        If a label is not among the classes, or distances are negative or not finite.

    References
    ----------
    L. Bertinetto et al., "Making Better Mistakes", CVPR 2020.

    Examples
    --------
    >>> from abstain.metrics import mistake_severity
    >>> mistake_severity([0, 1, 2], [0, 2, 1], [[0, 2, 3], [2, 0, 3], [3, 3, 0]])
    3.0
    """
    costs, wrong = _costs_of(y, answer, distance, classes)
    return float(costs[wrong].mean()) if wrong.any() else float("nan")


@_asks(_answers)
def mean_cost(y: ArrayLike, answer: ArrayLike, cost: Any, *, classes: ArrayLike | None = None) -> float:
    """Mean cost of the answers.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels.
    answer : array-like of shape (n,)
        Answers.
    cost : array-like of shape (n_classes, n_classes), or ClassSemantics
        ``cost[truth, answer]``; of semantics, their own distance.
    classes : array-like of shape (n_classes,), default=None
        Labels of rows and columns; None is those of the semantics, or 0, 1, ...

    Returns
    -------
    cost : float
        Not negative. With distances, the total distance over the number of samples: distance@1.

    Raises
    ------
    ValueError
        If a label is not among the classes, or costs are negative or not finite.

    Examples
    --------
    >>> from abstain.metrics import mean_cost
    >>> mean_cost([0, 1, 1, 1], [0, 0, 1, 1], [[0, 1], [8, 0]])
    2.0
    """
    return float(_costs_of(y, answer, cost, classes, "cost")[0].mean())


def severity_report(
    y: ArrayLike, answer: ArrayLike, distance: Any, *, classes: ArrayLike | None = None
) -> SeverityReport:
    """Report how many mistakes there are, and how bad they are.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels.
    answer : array-like of shape (n,)
        Answers.
    distance : array-like of shape (n_classes, n_classes), or ClassSemantics
        ``distance[truth, answer]``; of semantics, their own distance.
    classes : array-like of shape (n_classes,), default=None
        Labels of rows and columns; None is those of the semantics, or 0, 1, ...

    Returns
    -------
    report : SeverityReport
        It prints as a table.

    Raises
    ------
    ValueError
        If a label is not among the classes, or distances are negative or not finite.

    Examples
    --------
    >>> from abstain.metrics import severity_report
    >>> report = severity_report([0, 1, 2], [0, 2, 1], [[0, 2, 3], [2, 0, 3], [3, 3, 0]])
    >>> round(report.accuracy, 3), report.severity, report.mean_distance
    (0.333, 3.0, 2.0)
    """
    costs, wrong = _costs_of(y, answer, distance, classes)
    severity = float(costs[wrong].mean()) if wrong.any() else float("nan")
    largest = float(costs[wrong].max(initial=0.0))
    return SeverityReport(
        len(wrong), float(1 - wrong.mean()), severity, float(costs.mean()), float(costs.sum()), largest
    )


@_asks(_ranking)
def distance_at_k(
    y: ArrayLike, score: ArrayLike, distance: Any, k: int = 5, *, classes: ArrayLike | None = None
) -> float:
    """Mean distance of the k first answers to the truth.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels.
    score : array-like of shape (n, n_classes)
        What ranks the classes, larger first: probabilities, or less their expected costs.
    distance : array-like of shape (n_classes, n_classes), or ClassSemantics
        ``distance[truth, answer]``; of semantics, their own distance.
    k : int, default=5
        How many.
    classes : array-like of shape (n_classes,), default=None
        Labels of rows and columns; None is those of the semantics, or 0, 1, ...

    Returns
    -------
    distance : float
        Not negative. Equal scores rank by the place of the class.

    Raises
    ------
    ValueError
        If shapes differ, or there are fewer than k classes.

    References
    ----------
    L. Bertinetto et al., "Making Better Mistakes", CVPR 2020.

    Examples
    --------
    >>> from abstain.metrics import distance_at_k
    >>> distance_at_k([0], [[0.5, 0.2, 0.3]], [[0, 2, 3], [2, 0, 3], [3, 3, 0]], k=2)
    1.5
    """
    matrix, labels = _matrix(distance, classes)
    score = as_array(score, "score")
    codes = _codes(y, labels, "y", len(score))
    if score.ndim != 2 or score.shape[1] != len(matrix):
        raise ValueError(f"score must have a column for each of {len(matrix)} classes; got shape {score.shape}.")
    if np.isnan(score).any():
        raise ValueError("score has NaN entries: nothing can be ranked by them.")
    k = check_count(k, "k", most=len(matrix))
    first = np.argsort(-score, axis=1, kind="stable")[:, :k]
    return float(matrix[codes[:, None], first].mean())


def better_mistake_share(
    y: ArrayLike, answer: ArrayLike, reference: ArrayLike, distance: Any, *, classes: ArrayLike | None = None
) -> MistakeShares:
    """Say whose mistake is nearer to the truth, and how often, among samples that two classifiers both get wrong.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels.
    answer, reference : array-like of shape (n,)
        Answers of two classifiers.
    distance : array-like of shape (n_classes, n_classes), or ClassSemantics
        ``distance[truth, answer]``; of semantics, their own distance.
    classes : array-like of shape (n_classes,), default=None
        Labels of rows and columns; None is those of the semantics, or 0, 1, ...

    Returns
    -------
    shares : MistakeShares
        ``better`` is the share where ``answer`` is nearer than ``reference``; NaN where they are never both wrong.

    Examples
    --------
    >>> from abstain.metrics import better_mistake_share
    >>> better_mistake_share([0, 0], [1, 1], [2, 0], [[0, 2, 3], [2, 0, 3], [3, 3, 0]])
    MistakeShares(n=1, better=1.0, same=0.0, worse=0.0)
    """
    (one, wrong), (other, also) = (_costs_of(y, part, distance, classes) for part in (answer, reference))
    both = wrong & also
    if not both.any():
        return MistakeShares(0, *(float("nan"),) * 3)
    signs = np.sign(one[both] - other[both])
    return MistakeShares(int(both.sum()), *(float((signs == sign).mean()) for sign in (-1, 0, 1)))


@_asks(_probabilities)
def explicability_loss(outputs: ArrayLike, y: ArrayLike, weights: ArrayLike, *, input: str = "proba") -> float:
    """Mean cross-entropy of soft labels that depend on the true class: the loss WLF is trained on, as a metric.

    It mixes accuracy, calibration and severity, is never below the entropy of the weights, and falls whenever
    over-confident probabilities are softened; so it does not say on its own whether mistakes are better.

    Parameters
    ----------
    outputs : array-like of shape (n, n_classes)
        Probabilities or logits.
    y : array-like of shape (n,)
        Numbers of the true classes.
    weights : array-like of shape (n_classes, n_classes)
        Row i is the soft label of class i.
    input : {"proba", "logits"}, default="proba"
        What the outputs are.

    Returns
    -------
    loss : float
        In nats; infinite where a probability is zero that should not be.

    References
    ----------
    The metric of A. Agarwal et al., beside their weighted loss function.

    Examples
    --------
    >>> from abstain.metrics import explicability_loss
    >>> round(explicability_loss([[0.9, 0.1]], [0], [[0.8, 0.2], [0.2, 0.8]]), 3)
    0.545
    """
    check_choice(input, "input", ("proba", "logits"))
    if input == "logits":
        log_proba = log_softmax(check_logits(outputs, "outputs").astype(np.float64), axis=1)
    else:
        with np.errstate(divide="ignore"):
            log_proba = np.log(np.maximum(check_proba(outputs, "outputs"), 0.0, dtype=np.float64))
    weights = finite_array(weights, "weights")
    n, k = log_proba.shape
    if weights.shape != (k, k):
        raise ValueError(f"weights must have shape ({k}, {k}), a row for each class; got {weights.shape}.")
    if weights.min() < 0 or np.abs(weights.sum(axis=1) - 1).max() > 1e-6:
        raise ValueError("weights must be soft labels: not negative, and rows that sum to one.")
    codes = _codes(y, np.arange(k), "y", n)
    wanted = weights[codes]
    return float(-(wanted * np.where(wanted > 0, log_proba, 0.0)).sum(axis=1).mean())


def wrong_distances(y, answer, distance, classes=None):
    """Distances of the mistakes among answers."""
    costs, wrong = _costs_of(y, answer, distance, classes)
    return costs[wrong]


def _costs_of(y, answer, distance, classes, name="distance"):
    """Cost of each answer, and whether it is wrong."""
    matrix, labels = _matrix(distance, classes, name)
    truth = _codes(y, labels, "y")
    given = _codes(answer, labels, "answer", len(truth))
    return matrix[truth, given], truth != given


def _matrix(distance, classes, name="distance"):
    """Costs (n_classes, n_classes) and the labels of their rows."""
    if hasattr(distance, "classes"):
        semantics = distance if classes is None else distance.aligned(classes)
        return semantics.distance(), semantics.classes
    matrix = finite_array(distance, name)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must have shape (n_classes, n_classes); got {matrix.shape}.")
    if matrix.min(initial=0.0) < 0:
        raise ValueError(f"{name} must not be negative; got {matrix.min():g}.")
    labels = np.arange(len(matrix)) if classes is None else np.asarray(classes)
    if labels.shape != (len(matrix),):
        raise ValueError(f"classes must name the {len(matrix)} rows of {name}; got shape {labels.shape}.")
    return matrix, labels


def _codes(labels, known, name, n=None):
    """Places of labels among the known ones."""
    labels = np.asarray(labels)
    labels = check_labels(labels, known, len(labels) if n is None and labels.ndim else n, name)
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known[order], labels), len(known) - 1)
    found = order[at]
    strange = labels[known[found] != labels]
    if len(strange):
        raise ValueError(f"{name} holds {strange[:3].tolist()}, which are not among the classes {known[:5].tolist()}.")
    return found
