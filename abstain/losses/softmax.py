"""Multinomial cross-entropy."""

from dataclasses import dataclass

from abstain.losses._base import log_softmax


@dataclass(frozen=True)
class SoftmaxLoss:
    r"""Logarithmic loss of the true class.

    Notes
    -----
    .. math:: \ell(z, y) = -w \log p_y, \qquad p = \mathrm{softmax}(z)

    with w the weight of the sample.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import SoftmaxLoss
    >>> value, slope = SoftmaxLoss().value_and_derivative(np.zeros((1, 2)), np.array([1]), np.ones(1))
    >>> value.round(3), slope
    (array([0.693]), array([[ 0.5, -0.5]]))
    """

    def value_and_derivative(self, logits, codes, weight):
        """Loss of every sample and its derivative by the logits: ``(b, K), (b,), (b,) -> (b,), (b, K)``."""
        log_proba, true, xp = log_softmax(logits, codes)
        return -weight * xp.sum(log_proba * true, axis=1), weight[:, None] * (xp.exp(log_proba) - true)
