"""Cross-entropy with an entropy bonus on difficult samples."""

from dataclasses import dataclass

from abstain.losses._base import check_strength, log_softmax
from abstain.utils.annotations import Array
from abstain.utils.validation import check_number


@dataclass(frozen=True, kw_only=True)
class DifficultyEntropyLoss:
    r"""Cross-entropy less alpha times difficulty weight times entropy.

    Parameters
    ----------
    alpha : float, default=0.3
        Strength, non-negative. 0 is plain cross-entropy.

    Notes
    -----
    .. math:: \ell(z, y, s) = -\log p_y - \alpha\, s\, H(p), \qquad H(p) = -\sum_k p_k \log p_k

    with s in [0, 1] the difficulty weight of the sample: confidence costs more where it is not deserved. At the
    minimum of one sample, whose other classes are alike, the margin m between its logits obeys
    :math:`\alpha\, s\, p\, m = 1`: a soft cap at about :math:`1 / (\alpha s)`. Below :math:`\alpha s = 0.1` the
    term does nothing; 0.3 caps p at 0.85 for 10 classes and at 0.49 for 1000, so alpha must fall as K grows.

    References
    ----------
    P. Cui et al., "Learning Sample Difficulty from Pre-trained Models for Reliable Prediction", NeurIPS 2023. The
    formula is that of the abstract and of second-hand accounts; the constants are not verified.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import DifficultyEntropyLoss
    >>> loss = DifficultyEntropyLoss(alpha=0.5)
    >>> loss.value_and_derivative(np.zeros((2, 2)), np.array([1, 1]), np.array([0.0, 1.0]))[0].round(3)
    array([0.693, 0.347])
    """

    alpha: float = 0.3

    def __post_init__(self):
        check_number(self.alpha, "alpha", least=0)

    def value_and_derivative(self, logits: Array, targets: Array, strength: Array = None) -> tuple[Array, Array]:
        """Loss of every sample and its derivative by the logits; ``strength`` (b,) is s, and None is 1."""
        log_proba, shares, xp = log_softmax(logits, targets)
        mass = xp.sum(shares, axis=1, keepdims=True)
        strength = mass[:, 0] if strength is None else check_strength(strength, logits)
        proba, strength = xp.exp(log_proba), self.alpha * strength
        entropy = -xp.sum(proba * log_proba, axis=1)
        value = -xp.sum(log_proba * shares, axis=1) - strength * entropy
        return value, mass * proba - shares + strength[:, None] * proba * (log_proba + entropy[:, None])
