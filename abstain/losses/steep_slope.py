"""Steep slope loss (Luo et al., NeurIPS 2021)."""

import math
from dataclasses import dataclass
from typing import ClassVar

from array_api_compat import array_namespace

from abstain.losses._base import check_arrays, paired, sigmoid
from abstain.utils.annotations import Array
from abstain.utils.validation import check_number


@dataclass(frozen=True, kw_only=True)
class SteepSlopeLoss:
    r"""Two opposed slides in the softsign of the output, steeper for the errors.

    Parameters
    ----------
    alpha_pos : float, default=1.0
        Steepness for correct predictions, in (0, 80].
    alpha_neg : float, default=3.0
        Steepness for errors, in (0, 80]. The paper's code lists it first.

    Notes
    -----
    With :math:`s = z / (1 + |z|)` and the target :math:`o` (1 = correct),

    .. math:: \ell(z, o) = o\,(e^{-\alpha_+ s} - e^{-\alpha_+}) + (1 - o)\,(e^{\alpha_- s} - e^{-\alpha_-}).

    It is the cost-weighted exponential loss in :math:`s`, so that
    :math:`\hat\eta = \sigma((\alpha_+ + \alpha_-) s + \log(\alpha_- / \alpha_+))` estimates P(correct), and
    :math:`z > 0` means :math:`\hat\eta > \alpha_- / (\alpha_- + \alpha_+)`. It is not convex in :math:`z`.

    References
    ----------
    Y. Luo, Y. Wong, M. S. Kankanhalli, Q. Zhao, "Learning to Predict Trustworthiness with Steep Slope Loss",
    NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import SteepSlopeLoss
    >>> SteepSlopeLoss().value(np.array([0.0, 0.0]), np.array([1.0, 0.0])).round(3)
    array([0.632, 0.95 ])
    """

    alpha_pos: float = 1.0
    alpha_neg: float = 3.0
    convex: ClassVar[bool] = False

    def __post_init__(self):
        for name in ("alpha_pos", "alpha_neg"):
            check_number(getattr(self, name), name, above=0, most=80)

    def value(self, z: Array, target: Array) -> Array:
        """Loss of every sample: ``(b,), (b,) -> (b,)``."""
        xp = paired(z, target)
        s = z / (1 + xp.abs(z))
        trusted = xp.exp(-self.alpha_pos * s) - math.exp(-self.alpha_pos)
        doubted = xp.exp(self.alpha_neg * s) - math.exp(-self.alpha_neg)
        return target * trusted + (1 - target) * doubted

    def derivative(self, z: Array, target: Array) -> Array:
        """Derivative of ``value`` by ``z``."""
        xp = paired(z, target)
        slope = 1 / (1 + xp.abs(z))
        s = z * slope
        trusted = -self.alpha_pos * xp.exp(-self.alpha_pos * s)
        doubted = self.alpha_neg * xp.exp(self.alpha_neg * s)
        return (target * trusted + (1 - target) * doubted) * slope * slope

    def inverse_link(self, z: Array) -> Array:
        """Estimated P(correct) at the output ``z``."""
        check_arrays(z=z)
        s = z / (1 + array_namespace(z).abs(z))
        return sigmoid((self.alpha_pos + self.alpha_neg) * s + math.log(self.alpha_neg / self.alpha_pos))
