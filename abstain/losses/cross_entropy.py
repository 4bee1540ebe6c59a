"""Binary cross-entropy on correctness, with an optional weight on the errors."""

import math
from dataclasses import dataclass
from typing import ClassVar

from abstain.losses._base import check_arrays, paired, sigmoid, softplus
from abstain.utils.annotations import Array
from abstain.utils.validation import check_number


@dataclass(frozen=True, kw_only=True)
class CrossEntropyLoss:
    r"""Logistic loss of the correctness of each sample.

    Parameters
    ----------
    error_weight : float, default=1.0
        Weight of the errors against the correct predictions, positive; undone in ``inverse_link``.

    Notes
    -----
    .. math:: \ell(z, o) = o \log(1 + e^{-z}) + w\,(1 - o) \log(1 + e^{z})

    sample by sample. (A released implementation averages the labels of a batch by accident, through a (b, 1)
    against (b,) broadcast; here that raises.)

    References
    ----------
    The baseline of Y. Luo et al., NeurIPS 2021, and C. Corbiere et al., NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import CrossEntropyLoss
    >>> CrossEntropyLoss(error_weight=2.0).value(np.zeros(2), np.array([1.0, 0.0])).round(3)
    array([0.693, 1.386])
    """

    error_weight: float = 1.0
    convex: ClassVar[bool] = True

    def __post_init__(self):
        check_number(self.error_weight, "error_weight", above=0)

    def value(self, z: Array, target: Array) -> Array:
        """Loss of every sample: ``(b,), (b,) -> (b,)``."""
        paired(z, target)
        return target * softplus(-z) + self.error_weight * (1 - target) * softplus(z)

    def derivative(self, z: Array, target: Array) -> Array:
        """Derivative of ``value`` by ``z``."""
        paired(z, target)
        return -target * sigmoid(-z) + self.error_weight * (1 - target) * sigmoid(z)

    def inverse_link(self, z: Array) -> Array:
        """Estimated P(correct) at the output ``z``, with the error weight undone."""
        check_arrays(z=z)
        return sigmoid(z + math.log(self.error_weight))
