"""True class probability (Corbiere et al., NeurIPS 2019)."""

from dataclasses import dataclass
from typing import ClassVar

from abstain.losses._base import paired, sigmoid
from abstain.utils.annotations import Array


@dataclass(frozen=True, kw_only=True)
class TCPLoss:
    r"""Squared error of a sigmoid output against the true class probability.

    Notes
    -----
    .. math:: \ell(z, t) = (\sigma(z) - t)^2

    The minimiser is the expected target, E[tcp | input]. For a calibrated classifier and inputs that are a
    function of its probabilities alone, that is the Gini score; a gain needs features.

    References
    ----------
    C. Corbiere, N. Thome, A. Bar-Hen, M. Cord, P. Perez, "Addressing Failure Prediction by Learning Model
    Confidence", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import TCPLoss
    >>> TCPLoss().value(np.zeros(2), np.array([1.0, 0.4])).round(3)
    array([0.25, 0.01])
    """

    convex: ClassVar[bool] = False

    def value(self, z: Array, target: Array) -> Array:
        """Loss of every sample: ``(b,), (b,) -> (b,)``."""
        paired(z, target)
        return _residual(z, target) ** 2

    def derivative(self, z: Array, target: Array) -> Array:
        """Derivative of ``value`` by ``z``."""
        paired(z, target)
        return 2 * _residual(z, target) * sigmoid(z) * sigmoid(-z)

    def inverse_link(self, z: Array) -> Array:
        """Estimated true class probability at the output ``z``."""
        return sigmoid(z)


def _residual(z, target):
    """``sigmoid(z) - target`` by the complements of both, so that no digits cancel where they are near 1."""
    return (1 - target) * sigmoid(z) - target * sigmoid(-z)
