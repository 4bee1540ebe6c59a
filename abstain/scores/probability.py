"""Closed-form scores of class probabilities or logits: float64, in log space, without ties by saturation.

Near-certain predictions differ only in the probabilities of the *other* classes. So every score here is written
in those: the values are log-odds or negative logarithms whose order is the order of the textbook score, and two
predictions that both round to 1.0 still compare.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from scipy.special import logsumexp

from abstain.outputs import ClassOutputs, log_total, split_at
from abstain.utils.validation import check_choice, check_count, check_logits, check_number, check_unit, row_blocks


def _score(formula: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Turn a formula on the class outputs of a block into a checked, blockwise score."""

    @wraps(formula)
    def score(outputs: Any, *, input: str = "proba", **options: Any) -> np.ndarray:
        check_choice(input, "input", ("proba", "logits"))
        said = (
            outputs
            if hasattr(outputs, "answer")
            else ClassOutputs(outputs, input, name="outputs", remedy='pass input="logits"')
        )
        return np.concatenate([formula(said[rows], **options) for rows in row_blocks(*said.values.shape)])

    score.sees = "outputs"  # type: ignore[attr-defined]
    options = list(inspect.signature(formula).parameters.values())[1:]
    outputs = inspect.Parameter("outputs", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Any)
    kind = inspect.Parameter("input", inspect.Parameter.KEYWORD_ONLY, default="proba", annotation=str)
    signature = inspect.Signature([outputs, kind, *options], return_annotation=np.ndarray)
    score.__signature__ = signature  # type: ignore[attr-defined]
    return score


def _logit_score(formula: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Turn a formula on the logits of a block into a checked, blockwise score that accepts logits only."""

    @wraps(formula)
    def score(logits, **options):
        logits = check_logits(logits)
        blocks = row_blocks(*logits.shape)
        return np.concatenate([formula(logits[rows].astype(np.float64, order="C"), **options) for rows in blocks])

    score.sees = "logits"  # type: ignore[attr-defined]
    return score


def _doubt(outputs):
    """Log-probabilities of all classes but the likeliest, and the logarithm of their sum."""
    log_proba = outputs.log_proba
    _, rest = split_at(log_proba, log_proba.argmax(axis=1))
    return rest, log_total(rest)


@_score
def max_probability(outputs: Any) -> np.ndarray:
    """Maximum probability, as log-odds: log p - log(1 - p) of the predicted class.

    Parameters
    ----------
    outputs : array-like of shape (n, n_classes), or ClassOutputs
        Class probabilities, or logits.
    input : {"proba", "logits"}, default="proba"
        What an array is; declared, never guessed.

    Returns
    -------
    score : ndarray of shape (n,)
        Larger is safer; ``scipy.special.expit(score)`` is the maximum probability. Of `ClassOutputs`, it is the
        probability of the answer, which need not be the largest.

    Raises
    ------
    ValueError
        If probabilities are negative or do not sum to one, or anything is NaN.

    References
    ----------
    D. Hendrycks, K. Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural
    Networks", ICLR 2017.

    Examples
    --------
    >>> from abstain.scores import max_probability
    >>> max_probability([[0.9, 0.1], [0.5, 0.5]]).round(3)
    array([2.197, 0.   ])
    """
    return outputs.log_odds


@_score
def margin(outputs: Any) -> np.ndarray:
    """Difference of the two largest probabilities, as -log(1 - (p1 - p2)).

    Parameters
    ----------
    outputs : array-like of shape (n, n_classes), or ClassOutputs
        Class probabilities, or logits.
    input : {"proba", "logits"}, default="proba"
        What an array is; declared, never guessed.

    Returns
    -------
    score : ndarray of shape (n,)
        In [0, inf); larger is safer. Of `ClassOutputs`, it is the lead of the answer over the best other class, and
        negative where that is likelier.

    Examples
    --------
    >>> from abstain.scores import margin
    >>> margin([[0.9, 0.1], [0.5, 0.5]]).round(3)
    array([1.609, 0.   ])
    """
    _, rest = split_at(outputs.log_proba, outputs.answer)
    # 1 - p1 + p2 is the sum of the others plus the second
    return 0.0 - np.logaddexp(*(np.maximum(part, outputs.log_zero) for part in (log_total(rest), rest.max(axis=1))))


@_score
def entropy(outputs: Any) -> np.ndarray:
    """Negative Shannon entropy, as -log H.

    Parameters
    ----------
    outputs : array-like of shape (n, n_classes), or ClassOutputs
        Class probabilities, or logits.
    input : {"proba", "logits"}, default="proba"
        What an array is; declared, never guessed.

    Returns
    -------
    score : ndarray of shape (n,)
        Larger is safer; H is in nats.

    Examples
    --------
    >>> from abstain.scores import entropy
    >>> entropy([[0.9, 0.1], [0.5, 0.5]]).round(3)
    array([1.124, 0.367])
    """
    rest, log_doubt = _doubt(outputs)
    # the largest probability enters through its complement d: -(1 - d) log(1 - d) is d where d is tiny
    doubt = np.minimum(np.exp(log_doubt), 1 - 1e-16)
    own = np.where(doubt > 1e-9, np.log(-(1 - doubt) * np.log1p(-np.maximum(doubt, 1e-9))), log_doubt)
    with np.errstate(divide="ignore", invalid="ignore"):
        others = np.where(np.isfinite(rest), rest + np.log(-rest), -np.inf)
    return -np.logaddexp(own, log_total(others))


@_score
def gini(outputs: Any) -> np.ndarray:
    """Gini purity (DOCTOR's D_alpha), as log(g / (1 - g)) with g the sum of squared probabilities.

    Parameters
    ----------
    outputs : array-like of shape (n, n_classes), or ClassOutputs
        Class probabilities, or logits.
    input : {"proba", "logits"}, default="proba"
        What an array is; declared, never guessed.

    Returns
    -------
    score : ndarray of shape (n,)
        Larger is safer. For a calibrated classifier g is the expected true class probability.

    References
    ----------
    F. Granese et al., "DOCTOR: A Simple Method for Detecting Misclassification Errors", NeurIPS 2021.

    Examples
    --------
    >>> from abstain.scores import gini
    >>> gini([[0.9, 0.1], [0.5, 0.5]]).round(3)
    array([1.516, 0.   ])
    """
    rest, log_doubt = _doubt(outputs)
    # impurity d (2 - d) - sum of squares, with d taken out, since both vanish with it
    with np.errstate(over="ignore"):
        twice = log_total(2 * rest)
    inner = 2 - np.exp(log_doubt) - np.exp(np.minimum(twice - log_doubt, 0.0))
    log_impurity = log_doubt + np.log(np.maximum(inner, 1e-16))
    return np.log1p(-np.minimum(np.exp(log_impurity), 1 - 1e-16)) - log_impurity


@_score
def gen(outputs: Any, *, gamma: float = 0.1, top: int = 100) -> np.ndarray:
    """Generalised entropy (GEN): -log of the sum of p^gamma (1 - p)^gamma over the largest probabilities.

    Parameters
    ----------
    outputs : array-like of shape (n, n_classes), or ClassOutputs
        Class probabilities, or logits.
    input : {"proba", "logits"}, default="proba"
        What an array is; declared, never guessed.
    gamma : float, default=0.1
        Exponent in (0, 1); small values look at the tail.
    top : int, default=100
        How many of the largest probabilities enter.

    Returns
    -------
    score : ndarray of shape (n,)
        Larger is safer.

    References
    ----------
    X. Liu, Y. Lochman, C. Zach, "GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection",
    CVPR 2023.

    Examples
    --------
    >>> from abstain.scores import gen
    >>> gen([[0.9, 0.1], [0.5, 0.5]]).round(3)
    array([-0.452, -0.555])
    """
    check_unit(gamma, "gamma")
    check_count(top, "top")
    rest, log_doubt = _doubt(outputs)
    largest, n_classes = outputs.log_proba.max(axis=1), rest.shape[1]
    first = max(n_classes - (top - 1), 1)  # the removed maximum is -inf and sorts to column 0
    kept = np.partition(rest, min(first, n_classes - 1), axis=1)[:, first:]
    largest_side = (largest + log_doubt)[:, None]
    sides = np.concatenate([largest_side, kept + np.log1p(-np.exp(kept))], axis=1)
    return -logsumexp(gamma * sides, axis=1)


@_logit_score
def max_logit(logits: Any) -> np.ndarray:
    """Largest logit.

    Parameters
    ----------
    logits : array-like of shape (n, n_classes)
        Logits. Probabilities will not do: the score depends on what the softmax removes.

    Returns
    -------
    score : ndarray of shape (n,)
        Larger is safer. Meant for novelty; usually weaker than maximum probability on errors.

    References
    ----------
    D. Hendrycks et al., "Scaling Out-of-Distribution Detection for Real-World Settings", ICML 2022.

    Examples
    --------
    >>> from abstain.scores import max_logit
    >>> max_logit([[2.0, -1.0], [0.5, 0.0]])
    array([2. , 0.5])
    """
    return logits.max(axis=1)


@_logit_score
def energy(logits: Any, *, temperature: float = 1.0) -> np.ndarray:
    """Negative free energy, T logsumexp(z / T).

    Parameters
    ----------
    logits : array-like of shape (n, n_classes)
        Logits. With log-probabilities the score is 0 for every sample.
    temperature : float, default=1.0
        T, positive.

    Returns
    -------
    score : ndarray of shape (n,)
        Larger is safer. Meant for novelty; usually weaker than maximum probability on errors.

    References
    ----------
    W. Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020.

    Examples
    --------
    >>> from abstain.scores import energy
    >>> energy([[2.0, -1.0], [0.5, 0.0]]).round(3)
    array([2.049, 0.974])
    """
    check_number(temperature, "temperature", above=0)
    top = logits.max(axis=1)
    with np.errstate(over="ignore"):
        return top + temperature * logsumexp((logits - top[:, None]) / temperature, axis=1)
