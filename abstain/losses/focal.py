"""Focal loss on correctness (Lin et al., ICCV 2017)."""

import math
from dataclasses import dataclass
from typing import ClassVar

from array_api_compat import array_namespace

from abstain.losses._base import check_arrays, paired, sigmoid, softplus
from abstain.utils.annotations import Array
from abstain.utils.validation import check_number


@dataclass(frozen=True, kw_only=True)
class FocalLoss:
    r"""Cross-entropy that pays less attention to samples already on the right side.

    Parameters
    ----------
    gamma : float, default=2.0
        Focusing exponent, non-negative; 0 is cross-entropy.
    error_weight : float, default=1.0
        Weight of the errors, positive; undone in ``inverse_link``.

    Notes
    -----
    With :math:`q = \sigma(z)`,

    .. math:: \ell(z, o) = -o\,(1-q)^\gamma \log q - w\,(1-o)\,q^\gamma \log(1-q).

    :math:`q` is pulled towards one half; ``inverse_link`` solves the stationarity condition of the conditional
    risk, :math:`\hat\eta = \ell_0' / (\ell_0' - \ell_1')`, in closed form.

    References
    ----------
    T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017; as a trust loss: Y. Luo et al.,
    NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import FocalLoss
    >>> FocalLoss().value(np.zeros(2), np.array([1.0, 0.0])).round(3)
    array([0.173, 0.173])
    """

    gamma: float = 2.0
    error_weight: float = 1.0
    convex: ClassVar[bool] = False

    def __post_init__(self):
        check_number(self.gamma, "gamma", least=0, most=100)
        check_number(self.error_weight, "error_weight", above=0)

    def value(self, z: Array, target: Array) -> Array:
        """Loss of every sample: ``(b,), (b,) -> (b,)``."""
        paired(z, target)
        return target * self._side(-z) + self.error_weight * (1 - target) * self._side(z)

    def derivative(self, z: Array, target: Array) -> Array:
        """Derivative of ``value`` by ``z``."""
        paired(z, target)
        return -target * self._slope(-z) + self.error_weight * (1 - target) * self._slope(z)

    def inverse_link(self, z: Array) -> Array:
        """Estimated P(correct) at the output ``z``."""
        check_arrays(z=z)
        odds = (self.gamma + 1) * z + self._log_bracket(z) - self._log_bracket(-z)
        return sigmoid(odds + math.log(self.error_weight))

    def _side(self, x):
        # loss of a sample whose margin to the wrong side is x
        return self._focus(x) * softplus(x)

    def _slope(self, x):
        return self._focus(x) * (self.gamma * sigmoid(-x) * softplus(x) + sigmoid(x))

    def _focus(self, x):
        # sigmoid(x) ** gamma, whose slope is a number where sigmoid(x) is rounded to 0
        return array_namespace(x).exp(-self.gamma * softplus(-x))

    def _log_bracket(self, x):
        # log of the bracket in _slope over sigmoid(x): softplus / sigmoid tends to 1 where both vanish
        xp = array_namespace(x)
        x = 1.0 * x
        x = xp.clip(x, math.log(xp.finfo(x.dtype).smallest_normal), None)
        return xp.log1p(self.gamma * sigmoid(-x) * softplus(x) / sigmoid(x))
