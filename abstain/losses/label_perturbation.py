"""Label perturbation (SC-BCE and its softmax form): cross-entropy on labels of which some mass is moved elsewhere."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from array_api_compat import array_namespace

from abstain.losses._base import check_strength, log_softmax
from abstain.utils.annotations import Array
from abstain.utils.validation import check_number

# what the released code clips probabilities to, 1e-7, as log-odds
LARGEST_MARGIN = 16.118
HIGHEST = 0.48


@dataclass(frozen=True, kw_only=True)
class LabelPerturbationLoss:
    r"""Expected cross-entropy under labels that are perturbed at random.

    Parameters
    ----------
    level : float, default=0.0
        The expected mass s of a label that is moved to the wrong classes, in [0, 1]. A ``strength`` for each sample
        takes its place.

    Notes
    -----
    .. math:: \ell(z, y, s) = -\log p_y + \tfrac{s K}{K - 1} (z_y - \bar z)

    which is cross-entropy with a target of 1 - s at the true class and s shared by the others; with two classes it is
    SC-BCE, :math:`\mathrm{BCE} + s\, (2 y - 1) z`. The derivative by s is the signed margin, which is what the
    adaptive rule climbs (``adapted``). The minimum of one sample has confidence 1 - s. That of a population is
    :math:`(1 - 2 s) \eta + s` for two classes: the right side of one half, but not calibrated.

    Only s matters in expectation. The paper and its code write :math:`s = \alpha \beta / 2` and
    :math:`s = \alpha \beta`; `from_paper` and `from_code` convert, and the other constructors are what has been
    proposed under other names.

    References
    ----------
    J. Liu et al., "Model Calibration in Dense Classification with Adaptive Label Perturbation", ICCV 2023. The form
    for more than two classes is ours.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import LabelPerturbationLoss
    >>> loss = LabelPerturbationLoss.label_smoothing(0.2)
    >>> loss.level, loss.value_and_derivative(np.array([[0.0, 2.0]]), np.array([1]))[0].round(3)
    (0.1, array([0.327]))
    """

    level: float = 0.0

    def __post_init__(self):
        check_number(self.level, "level", least=0, most=1)

    def value_and_derivative(self, logits: Array, targets: Array, strength: Array = None) -> tuple[Array, Array]:
        """Loss of every sample and its derivative by the logits; ``strength`` (b,) is s, and None is ``level``."""
        log_proba, shares, xp = log_softmax(logits, targets)
        mass = xp.sum(shares, axis=1, keepdims=True)
        level = self.level * mass[:, 0] if strength is None else check_strength(strength, logits)
        moved = perturbed(shares, level)
        return -xp.sum(log_proba * moved, axis=1), mass * xp.exp(log_proba) - moved

    @classmethod
    def from_paper(cls, alpha: float, beta: float) -> Self:
        """Perturb with probability alpha; beta of the paper: 1 moderates, 1.5 inverts softly, 2 inverts."""
        return cls(level=alpha * beta / 2)

    @classmethod
    def from_code(cls, alpha: float, beta: float) -> Self:
        """Perturb with probability alpha; beta of the released code, half of the paper's."""
        return cls(level=alpha * beta)

    @classmethod
    def label_smoothing(cls, epsilon: float, n_classes: int = 2) -> Self:
        """Mix a share of the uniform distribution into every label."""
        return cls(level=epsilon * (n_classes - 1) / n_classes)

    @classmethod
    def disturb_label(cls, rate: float, n_classes: int = 2) -> Self:
        """Draw the label anew from all classes, at a rate."""
        return cls.label_smoothing(rate, n_classes)

    @classmethod
    def hard_inversion(cls, alpha: float) -> Self:
        """Move a label to the other classes, with probability alpha."""
        return cls(level=alpha)

    @classmethod
    def soft_inversion(cls, alpha: float) -> Self:
        """Move three quarters of a label to the other classes, with probability alpha."""
        return cls(level=0.75 * alpha)

    @classmethod
    def moderation(cls, alpha: float, n_classes: int = 2) -> Self:
        """Replace a label by the uniform distribution, with probability alpha."""
        return cls.label_smoothing(alpha, n_classes)


def perturbed(shares, level):
    """Targets (b, K) of which ``level`` (b,) is moved from where it is to the other classes, in equal parts.

    A level above one, as the default of the released code draws it, leaves the unit interval; the loss takes it.
    """
    xp = array_namespace(shares)
    k = shares.shape[1]
    epsilon = xp.reshape(level * (k / (k - 1)), (-1, 1))
    return (1 - epsilon) * shares + epsilon * xp.sum(shares, axis=1, keepdims=True) / k


def drawn_level(level, size, rng):
    """Draw what is moved of each label: ``size`` with probability ``level / size``, else nothing; (b,).

    Its mean is ``level``: sampled labels are those of the expected loss, with noise.
    """
    return np.where(rng.random_sample(np.shape(level)) < np.asarray(level) / size, size, 0.0)


def level_margin(logits, codes):
    """Derivative of the loss by the level: how far the true class is ahead, (n,), within what the code clips to."""
    k = logits.shape[1]
    own = np.take_along_axis(logits, codes[:, None], axis=1)[:, 0]
    return np.clip(k / (k - 1) * (own - logits.mean(axis=1)), -LARGEST_MARGIN, LARGEST_MARGIN)


def adapted(level, margin, *, accuracy, reference=None, eta=0.05, penalty=100.0, highest=HIGHEST):
    """One step of the adaptive level of each sample, or group: up the margin, and back where it is too high.

    Parameters
    ----------
    level, margin : ndarray of shape (n,)
        Levels, and `level_margin` of the samples (or its mean over each group).
    accuracy : float
        Accuracy on samples that are held out.
    reference : float, default=None
        None is model calibration: levels above ``1 - accuracy`` are drawn back to it, by a proximal step that is stable
        for any ``penalty``. A number is maximum-entropy inference: all levels fall as far as the accuracy has fallen
        below it.
    eta : float, default=0.05
        Length of a step.
    penalty : float, default=100.0
        Weight of what draws back, ``beta * lambda`` of the released code.
    highest : float, default=0.48
        Largest level.

    Returns
    -------
    level : ndarray of shape (n,)
        In [0, highest].
    """
    new = level + eta * margin
    if reference is not None:
        return np.clip(new + eta * penalty * min(accuracy - reference, 0.0), 0.0, highest)
    cap, pull = 1.0 - accuracy, eta * penalty
    return np.clip(np.where(new > cap, (new + pull * cap) / (1.0 + pull), new), 0.0, highest)
