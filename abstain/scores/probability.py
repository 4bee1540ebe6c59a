"""Closed-form scores of class probabilities or logits: float64, in log space, without ties by saturation.

Near-certain predictions differ only in the probabilities of the *other* classes. So every score here is written
in those: the values are log-odds or negative logarithms whose order is the order of the textbook score, and two
predictions that both round to 1.0 still compare.
"""

import inspect
from functools import wraps

import numpy as np
from scipy.special import logsumexp, xlogy

from abstain.utils.validation import check_choice, check_logits, check_proba, row_blocks

# stands for the logarithm of a probability that is exactly zero
_LOWEST = -1e6


def log_probabilities(outputs, input="proba"):
    """Log-probabilities in float64.

    Parameters
    ----------
    outputs : ndarray of shape (n, n_classes)
        Probabilities or logits, as declared.
    input : {"proba", "logits"}, default="proba"
        What ``outputs`` are. Never guessed from the values.

    Returns
    -------
    log_proba : ndarray of shape (n, n_classes)
        ``-inf`` where a probability is 0.
    """
    outputs = np.asarray(outputs, dtype=np.float64)
    if input == "logits":
        return outputs - logsumexp(outputs, axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return np.log(outputs)


def _score(formula):
    """Turn a formula on log-probabilities of a block into a checked, blockwise score."""

    @wraps(formula)
    def score(outputs, *, input="proba", **options):
        check_choice(input, "input", ("proba", "logits"))
        outputs = check_proba(outputs) if input == "proba" else check_logits(outputs)
        out = np.empty(outputs.shape[0])
        for rows in row_blocks(*outputs.shape):
            out[rows] = formula(log_probabilities(outputs[rows], input), **options)
        return out

    score.sees = "proba"  # type: ignore[attr-defined]
    options = list(inspect.signature(formula).parameters.values())[1:]
    plain = inspect.signature(score, follow_wrapped=False).parameters
    signature = inspect.Signature([plain["outputs"], plain["input"], *options])
    score.__signature__ = signature  # type: ignore[attr-defined]
    return score


def _logit_score(formula):
    """Turn a formula on the logits of a block into a checked, blockwise score that accepts logits only."""

    @wraps(formula)
    def score(logits, **options):
        logits = check_logits(logits)
        out = np.empty(logits.shape[0])
        for rows in row_blocks(*logits.shape):
            out[rows] = formula(logits[rows].astype(np.float64), **options)
        return out

    score.sees = "logits"  # type: ignore[attr-defined]
    return score


def _split_top(log_proba):
    """Log of the largest probability, and the log-probabilities of all other classes."""
    top = log_proba.argmax(axis=1)[:, None]
    rest = log_proba.copy()
    np.put_along_axis(rest, top, -np.inf, axis=1)
    return np.take_along_axis(log_proba, top, axis=1)[:, 0], rest


def _log_total(log_proba):
    """Logarithm of the sum of probabilities, kept finite where all are zero."""
    top = np.maximum(log_proba.max(axis=1, keepdims=True), _LOWEST)
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(np.exp(log_proba - top).sum(axis=1)) + top[:, 0], _LOWEST)


@_score
def max_probability(log_proba):
    """Maximum probability, as log-odds: log p - log(1 - p) of the predicted class.

    Parameters
    ----------
    outputs : array-like of shape (n, n_classes)
        Class probabilities, or logits.
    input : {"proba", "logits"}, default="proba"
        What ``outputs`` are; declared, never guessed.

    Returns
    -------
    score : ndarray of shape (n,)
        Larger is safer; ``scipy.special.expit(score)`` is the maximum probability.

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
    top, rest = _split_top(log_proba)
    return top - _log_total(rest)


@_score
def margin(log_proba):
    """Difference of the two largest probabilities, as -log(1 - (p1 - p2)).

    Parameters
    ----------
    outputs : array-like of shape (n, n_classes)
        Class probabilities, or logits.
    input : {"proba", "logits"}, default="proba"
        What ``outputs`` are; declared, never guessed.

    Returns
    -------
    score : ndarray of shape (n,)
        In [0, inf); larger is safer.

    Examples
    --------
    >>> from abstain.scores import margin
    >>> margin([[0.9, 0.1], [0.5, 0.5]]).round(3)
    array([1.609, 0.   ])
    """
    _, rest = _split_top(log_proba)
    # 1 - p1 + p2 is the sum of the others plus the second
    return 0.0 - np.logaddexp(_log_total(rest), np.maximum(rest.max(axis=1), _LOWEST))


@_score
def entropy(log_proba):
    """Negative Shannon entropy, as -log H.

    Parameters
    ----------
    outputs : array-like of shape (n, n_classes)
        Class probabilities, or logits.
    input : {"proba", "logits"}, default="proba"
        What ``outputs`` are; declared, never guessed.

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
    _, rest = _split_top(log_proba)
    log_doubt = _log_total(rest)
    # the largest probability enters through its complement d: -(1 - d) log(1 - d) is d where d is tiny
    doubt = np.minimum(np.exp(log_doubt), 1 - 1e-16)
    own = np.where(doubt > 1e-9, np.log(-(1 - doubt) * np.log1p(-np.maximum(doubt, 1e-9))), log_doubt)
    with np.errstate(divide="ignore", invalid="ignore"):
        others = np.where(np.isfinite(rest), rest + np.log(-rest), -np.inf)
    return -np.logaddexp(own, _log_total(others))


@_score
def gini(log_proba):
    """Gini purity (DOCTOR's D_alpha), as log(g / (1 - g)) with g the sum of squared probabilities.

    Parameters
    ----------
    outputs : array-like of shape (n, n_classes)
        Class probabilities, or logits.
    input : {"proba", "logits"}, default="proba"
        What ``outputs`` are; declared, never guessed.

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
    _, rest = _split_top(log_proba)
    log_doubt = _log_total(rest)
    # impurity d (2 - d) - sum of squares, with d taken out, since both vanish with it
    inner = 2 - np.exp(log_doubt) - np.exp(np.minimum(_log_total(2 * rest) - log_doubt, 0.0))
    log_impurity = log_doubt + np.log(np.maximum(inner, 1e-16))
    return np.log1p(-np.minimum(np.exp(log_impurity), 1 - 1e-16)) - log_impurity


@_score
def gen(log_proba, *, gamma=0.1, top=100):
    """Generalised entropy (GEN): -log of the sum of p^gamma (1 - p)^gamma over the largest probabilities.

    Parameters
    ----------
    outputs : array-like of shape (n, n_classes)
        Class probabilities, or logits.
    input : {"proba", "logits"}, default="proba"
        What ``outputs`` are; declared, never guessed.
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
    largest, rest = _split_top(log_proba)
    n_classes = log_proba.shape[1]
    first = max(n_classes - max(top - 1, 0), 1)  # the removed maximum is -inf and sorts to column 0
    kept = np.partition(rest, min(first, n_classes - 1), axis=1)[:, first:]
    largest_side = largest[:, None] + _log_total(rest)[:, None]
    sides = np.concatenate([largest_side, kept + np.log1p(-np.exp(kept))], axis=1)
    return -logsumexp(gamma * sides, axis=1)


@_logit_score
def max_logit(logits):
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
def energy(logits, *, temperature=1.0):
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
    return temperature * logsumexp(logits / temperature, axis=1)


def confidence_features(log_proba, *, top=5, floor=-30.0):
    """What the probabilities of a sample say of its difficulty, as inputs for a head.

    Parameters
    ----------
    log_proba : ndarray of shape (n, n_classes)
        Log-probabilities.
    top : int, default=5
        How many sorted log-probabilities to keep (fewer with fewer classes).
    floor : float, default=-30.0
        Log-probabilities below are raised to it, so that classes that cannot be do not dominate.

    Returns
    -------
    features : ndarray of shape (n, min(top, n_classes) + 3)
        Sorted log-probabilities, probability margin, entropy in nats, log-odds of the maximum.
    """
    clipped = np.maximum(log_proba, floor)
    k = min(top, log_proba.shape[1])
    largest = -np.sort(-np.partition(clipped, -k, axis=1)[:, -k:], axis=1)
    p = np.exp(log_proba)
    second = np.exp(largest[:, 1])
    nats = -xlogy(p, p).sum(axis=1)
    first, rest = _split_top(log_proba)
    odds = np.clip(first - _log_total(rest), floor, -floor)
    return np.column_stack([largest, np.exp(largest[:, 0]) - second, nats, odds])
