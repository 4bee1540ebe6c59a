"""Multinomial cross-entropy."""

from dataclasses import dataclass

from abstain.losses._base import check_strength, log_softmax
from abstain.utils.annotations import Array


@dataclass(frozen=True)
class SoftmaxLoss:
    r"""Logarithmic loss of the true class, or of soft labels.

    Notes
    -----
    .. math:: \ell(z, t) = -\sum_k t_k \log p_k, \qquad p = \mathrm{softmax}(z)

    with t the shares of the classes: 1 at the true one, unless soft labels are given.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import SoftmaxLoss
    >>> value, slope = SoftmaxLoss().value_and_derivative(np.zeros((1, 2)), np.array([1]))
    >>> value.round(3), slope
    (array([0.693]), array([[ 0.5, -0.5]]))
    """

    def value_and_derivative(self, logits: Array, targets: Array, strength: Array = None) -> tuple[Array, Array]:
        """Loss of every sample and its derivative by the logits: ``(b, K), (b,) or (b, K) -> (b,), (b, K)``."""
        log_proba, shares, xp = log_softmax(logits, targets)
        if strength is not None:
            check_strength(strength, logits)
        mass = xp.sum(shares, axis=1, keepdims=True)
        return -xp.sum(log_proba * shares, axis=1), mass * xp.exp(log_proba) - shares
