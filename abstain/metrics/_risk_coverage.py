"""Risk-coverage curves and the areas under them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from abstain.metrics._ranks import harmonic, loss_ranks, mean_harmonic, sorted_groups
from abstain.utils.validation import check_losses, check_unit, check_vector, check_weight


def risk_coverage_curve(
    correct: ArrayLike | None, score: ArrayLike, *, loss: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Selective risk at every coverage that a threshold can reach.

    Parameters
    ----------
    correct : array-like of shape (n,) or None
        Whether each prediction is right (bool or 0/1). Ignored where ``loss`` is given.
    score : array-like of shape (n,)
        Confidence, larger is safer.
    loss : array-like of shape (n,), default=None
        Graded losses in [0, 1] instead of errors.
    sample_weight : array-like of shape (n,), default=None
        Weights, of which only the ratios matter; a row of weight 0 is not there.

    Returns
    -------
    coverage : ndarray of shape (n_thresholds,)
        Share accepted, increasing, in (0, 1].
    risk : ndarray of shape (n_thresholds,)
        Mean loss among the accepted.
    threshold : ndarray of shape (n_thresholds,)
        The distinct scores, decreasing; accept ``score >= threshold``.

    Raises
    ------
    ValueError
        If shapes differ, or values are NaN, infinite or out of range.

    Examples
    --------
    >>> from abstain.metrics import risk_coverage_curve
    >>> coverage, risk, threshold = risk_coverage_curve([1, 1, 0], [0.8, 0.7, 0.6])
    >>> coverage.round(2), risk.round(2)
    (array([0.33, 0.67, 1.  ]), array([0.  , 0.  , 0.33]))
    """
    score = check_vector(score, "score")
    loss = check_losses(correct, loss, score.size)
    weight = check_weight(sample_weight, score.size)
    order, last = sorted_groups(score)
    accepted = np.cumsum(weight[order])[last]
    lost = np.cumsum((weight * loss)[order])[last]
    seen = accepted > 0
    return accepted[seen] / accepted[-1], lost[seen] / accepted[seen], score[order][last][seen]


def aurc_of(ranks):
    """AURC of losses that stand so."""
    return float((ranks.loss * (harmonic(ranks.total) - mean_harmonic(ranks.above, ranks.through))).sum() / ranks.total)


def augrc_of(ranks):
    """AUGRC of losses that stand so."""
    return float((ranks.loss * (ranks.total - 0.5 * (ranks.above + ranks.through))).sum() / ranks.total**2)


def both_areas(correct, score):
    """AURC and AUGRC of errors, from one sort."""
    ranks = loss_ranks(correct, score)
    return aurc_of(ranks), augrc_of(ranks)


def aurc(
    correct: ArrayLike | None, score: ArrayLike, *, loss: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:  # fmt: skip
    r"""Area under the risk-coverage curve: the mean selective risk over coverages 1/n, 2/n, ..., 1.

    Parameters
    ----------
    correct : array-like of shape (n,) or None
        Whether each prediction is right (bool or 0/1). Ignored where ``loss`` is given.
    score : array-like of shape (n,)
        Confidence, larger is safer.
    loss : array-like of shape (n,), default=None
        Graded losses in [0, 1] instead of errors.
    sample_weight : array-like of shape (n,), default=None
        Weights, of which only the ratios matter; a row of weight 0 is not there.

    Returns
    -------
    aurc : float
        In [0, 1], smaller is better.

    Notes
    -----
    :math:`\frac1n \sum_{k=1}^{n} \frac1k \sum_{i \le k} e_{(i)}`, in expectation over the order of ties. Other
    libraries use the trapezoid rule; do not compare across conventions.

    References
    ----------
    Y. Geifman, G. Uziel, R. El-Yaniv, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", ICLR 2019.

    Examples
    --------
    >>> from abstain.metrics import aurc
    >>> round(aurc([1, 1, 0], [0.8, 0.7, 0.6]), 4)
    0.1111
    """
    return aurc_of(loss_ranks(correct, score, loss, sample_weight))


def _oracle_aurc(correct, score, loss, sample_weight):
    score = check_vector(score, "score")
    loss = check_losses(correct, loss, score.size)
    return aurc(None, -loss, loss=loss, sample_weight=sample_weight)


def e_aurc(
    correct: ArrayLike | None, score: ArrayLike, *, loss: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:  # fmt: skip
    """Excess AURC: AURC minus that of the best possible order of the same losses.

    Parameters
    ----------
    correct : array-like of shape (n,) or None
        Whether each prediction is right (bool or 0/1). Ignored where ``loss`` is given.
    score : array-like of shape (n,)
        Confidence, larger is safer.
    loss : array-like of shape (n,), default=None
        Graded losses in [0, 1] instead of errors.
    sample_weight : array-like of shape (n,), default=None
        Weights, of which only the ratios matter; a row of weight 0 is not there.

    Returns
    -------
    e_aurc : float
        At least 0, smaller is better. The oracle is the finite-sample one.

    References
    ----------
    Y. Geifman, G. Uziel, R. El-Yaniv, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", ICLR 2019.

    Examples
    --------
    >>> from abstain.metrics import e_aurc
    >>> e_aurc([1, 1, 0], [0.8, 0.7, 0.6])
    0.0
    """
    area = aurc(correct, score, loss=loss, sample_weight=sample_weight)
    return float(max(area - _oracle_aurc(correct, score, loss, sample_weight), 0.0))


def naurc(
    correct: ArrayLike | None, score: ArrayLike, *, loss: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:  # fmt: skip
    """Normalised AURC: 0 for the best order, 1 for a random one.

    Parameters
    ----------
    correct : array-like of shape (n,) or None
        Whether each prediction is right (bool or 0/1). Ignored where ``loss`` is given.
    score : array-like of shape (n,)
        Confidence, larger is safer.
    loss : array-like of shape (n,), default=None
        Graded losses in [0, 1] instead of errors.
    sample_weight : array-like of shape (n,), default=None
        Weights, of which only the ratios matter; a row of weight 0 is not there.

    Returns
    -------
    naurc : float
        Smaller is better; NaN where all losses are equal, since then every order is as good.

    References
    ----------
    L. F. P. Cattelan, D. Silva, "How to Fix a Broken Confidence Estimator", UAI 2024.

    Examples
    --------
    >>> from abstain.metrics import naurc
    >>> naurc([1, 1, 0], [0.5, 0.5, 0.5])
    1.0
    """
    score = check_vector(score, "score")
    losses = check_losses(correct, loss, score.size)
    weight = check_weight(sample_weight, score.size)
    seen = losses[weight > 0]
    if seen.min() == seen.max():
        return float("nan")
    best = _oracle_aurc(correct, score, loss, sample_weight)
    excess = aurc(correct, score, loss=loss, sample_weight=sample_weight) - best
    return float(excess / (np.average(losses, weights=weight) - best))


def augrc(
    correct: ArrayLike | None, score: ArrayLike, *, loss: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:  # fmt: skip
    r"""Area under the generalised risk curve: the average risk of an undetected failure.

    Parameters
    ----------
    correct : array-like of shape (n,) or None
        Whether each prediction is right (bool or 0/1). Ignored where ``loss`` is given.
    score : array-like of shape (n,)
        Confidence, larger is safer.
    loss : array-like of shape (n,), default=None
        Graded losses in [0, 1] instead of errors.
    sample_weight : array-like of shape (n,), default=None
        Weights, of which only the ratios matter; a row of weight 0 is not there.

    Returns
    -------
    augrc : float
        In [0, 1/2], smaller is better.

    Notes
    -----
    :math:`\int_0^1 P(\mathrm{error} \wedge \mathrm{accepted})\, dc` by the trapezoid rule from (0, 0). For errors
    it equals :math:`\varepsilon [\varepsilon / 2 + (1 - \varepsilon)(1 - \mathrm{AUROC})]`.

    References
    ----------
    J. Traub et al., "Overcoming Common Flaws in the Evaluation of Selective Classification Systems", NeurIPS 2024.

    Examples
    --------
    >>> from abstain.metrics import augrc
    >>> round(augrc([1, 1, 0], [0.8, 0.7, 0.6]), 4)
    0.0556
    """
    return augrc_of(loss_ranks(correct, score, loss, sample_weight))


def risk_at_coverage(
    correct: ArrayLike | None, score: ArrayLike, coverage: float, *, loss: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:  # fmt: skip
    """Selective risk when the safest share of the samples is accepted.

    Parameters
    ----------
    correct : array-like of shape (n,) or None
        Whether each prediction is right (bool or 0/1). Ignored where ``loss`` is given.
    score : array-like of shape (n,)
        Confidence, larger is safer.
    coverage : float
        Share to accept, in (0, 1]; rounded up to a whole number of samples.
    loss : array-like of shape (n,), default=None
        Graded losses in [0, 1] instead of errors.
    sample_weight : array-like of shape (n,), default=None
        Weights, of which only the ratios matter; a row of weight 0 is not there.

    Returns
    -------
    risk : float
        Mean loss of the accepted, in expectation over the order of ties.

    Raises
    ------
    ValueError
        If ``coverage`` is not in (0, 1].

    Examples
    --------
    >>> from abstain.metrics import risk_at_coverage
    >>> risk_at_coverage([1, 1, 0, 0], [4, 3, 2, 1], 0.75)
    0.3333333333333333
    """
    check_unit(coverage, "coverage", closed=True)
    if coverage == 0:
        raise ValueError("coverage must be positive: the risk of accepting nothing is undefined.")
    score = check_vector(score, "score")
    total = check_weight(sample_weight, score.size).sum()
    reached, risk, _ = risk_coverage_curve(correct, score, loss=loss, sample_weight=sample_weight)
    accepted = np.concatenate([[0.0], reached * total])
    lost = np.concatenate([[0.0], reached * total * risk])
    wanted = min(max(np.ceil(coverage * total - 1e-9), np.nextafter(0, 1)), total)
    return float(np.interp(wanted, accepted, lost) / wanted)


def coverage_at_risk(
    correct: ArrayLike | None, score: ArrayLike, risk: float, *, loss: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:  # fmt: skip
    """Largest coverage whose selective risk is at most a target, read off the same data.

    Parameters
    ----------
    correct : array-like of shape (n,) or None
        Whether each prediction is right (bool or 0/1). Ignored where ``loss`` is given.
    score : array-like of shape (n,)
        Confidence, larger is safer.
    risk : float
        The target, in [0, 1].
    loss : array-like of shape (n,), default=None
        Graded losses in [0, 1] instead of errors.
    sample_weight : array-like of shape (n,), default=None
        Weights, of which only the ratios matter; a row of weight 0 is not there.

    Returns
    -------
    coverage : float
        In [0, 1]; 0 where no threshold meets the target. Optimistic, since threshold and risk come from the same
        data: for a guarantee use `abstain.TargetRisk` on a calibration set.

    Examples
    --------
    >>> from abstain.metrics import coverage_at_risk
    >>> coverage_at_risk([1, 1, 0, 1], [4, 3, 2, 1], 0.25)
    1.0
    """
    check_unit(risk, "risk", closed=True)
    reached, selective, _ = risk_coverage_curve(correct, score, loss=loss, sample_weight=sample_weight)
    met = np.flatnonzero(selective <= risk + 1e-12)
    return float(reached[met[-1]]) if met.size else 0.0
