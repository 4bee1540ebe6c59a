"""Evidence about a risk that may be looked at after every label."""

from typing import Any

import numpy as np
from scipy.special import betainc, betaln


def log_evidence(lost: float | np.ndarray, seen: float | np.ndarray, risk: float, *, above: bool = True) -> Any:
    r"""Logarithm of the evidence that a risk lies above, or below, a number.

    Parameters
    ----------
    lost : float or ndarray
        Sums of losses in [0, 1] so far.
    seen : float or ndarray
        Numbers of losses.
    risk : float
        The number, in (0, 1).
    above : bool, default=True
        Which side is to be shown.

    Returns
    -------
    log_evidence : float or ndarray
        While the mean loss of the next sample is on the other side at all times, whatever came before, it exceeds
        log(1 / alpha) at any time with chance at most alpha.

    Notes
    -----
    The likelihood of the losses under a risk that is drawn from a Beta distribution, cut to the side in question, over
    that under ``risk``. The distribution is Beta(1, 1 / (2 ``risk``) - 1), of mean 2 ``risk``, for the side above, and
    its mirror image, of mean ``risk`` / 2, for the side below. For losses between 0 and 1 the same formula is a lower
    bound of such evidence, by convexity.

    References
    ----------
    H. Robbins, "Statistical Methods Related to the Law of the Iterated Logarithm", Ann. Math. Stat. 1970 (mixtures);
    J. Ville, 1939 (the inequality).

    Examples
    --------
    >>> from abstain.monitoring import log_evidence
    >>> bool(log_evidence(30, 200, 0.05) > log_evidence(15, 200, 0.05) > log_evidence(5, 200, 0.05))
    True
    """
    lost, seen = np.asarray(lost, dtype=np.float64), np.asarray(seen, dtype=np.float64)
    a, b = (1.0, 1.0 / (2.0 * risk) - 1.0) if above and risk < 0.5 else (1.0, 1.0)
    if not above:
        a, b = (1.0, 2.0 / risk - 1.0)
    likelihood = betaln(a + lost, b + seen - lost) - betaln(a, b)
    likelihood -= lost * np.log(risk) + (seen - lost) * np.log1p(-risk)
    with np.errstate(divide="ignore"):
        mass = np.log(_side(a + lost, b + seen - lost, risk, above)) - np.log(_side(a, b, risk, above))
    return likelihood + mass


def _side(a, b, risk, above):
    """Mass of a Beta distribution on one side of a number."""
    return betainc(b, a, 1.0 - risk) if above else betainc(a, b, risk)
