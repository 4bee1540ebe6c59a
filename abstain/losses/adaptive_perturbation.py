"""Adaptive label perturbation (Liu et al., ICCV 2023) in training: a level for each sample, which accuracy holds."""

from dataclasses import dataclass

import numpy as np

from abstain.losses.label_perturbation import LabelPerturbationLoss, adapted, level_margin
from abstain.utils.annotations import Array
from abstain.utils.validation import check_choice, check_count, check_number


@dataclass(frozen=True, kw_only=True)
class AdaptivePerturbationLoss:
    r"""Label perturbation whose level each sample learns by its margin, while accuracy on held-out samples holds it.

    Parameters
    ----------
    mode : {"mc", "mei"}, default="mc"
        What holds the levels. "mc", model calibration: the expected confidence of a target, 1 - s, is not to fall below
        held-out accuracy. "mei", maximum-entropy inference: levels rise until held-out accuracy falls below its best.
    eta : float, default=0.05
        Length of a step of the levels.
    penalty : float, default=100.0
        Weight of what holds them.
    warm_up : int, default=1
        Epochs without perturbation.

    Notes
    -----
    The loss is `LabelPerturbationLoss` at the level of each sample; a level moves when its sample is visited, by
    ``adapted``. The expected loss is trained on: nothing is drawn.

    References
    ----------
    J. Liu et al., "Model Calibration in Dense Classification with Adaptive Label Perturbation", ICCV 2023. Levels for
    each sample, their signs and what holds them are the paper's; the proximal step and more than two classes are ours.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import AdaptivePerturbationLoss
    >>> loss = AdaptivePerturbationLoss()
    >>> loss.remember(np.array([1.0, -1.0]), np.zeros(2), accuracy=0.9, best=0.9)
    array([0.05, 0.  ])
    """

    mode: str = "mc"
    eta: float = 0.05
    penalty: float = 100.0
    warm_up: int = 1

    def __post_init__(self):
        check_choice(self.mode, "mode", ("mc", "mei"))
        for name in ("eta", "penalty"):
            check_number(getattr(self, name), name, above=0)
        check_count(self.warm_up, "warm_up", least=0)

    def value_and_derivative(self, logits: Array, targets: Array, strength: Array = None) -> tuple[Array, Array]:
        """Loss of every sample, and its derivative by the logits; ``strength`` are levels, and none are 0."""
        return LabelPerturbationLoss().value_and_derivative(logits, targets, strength)

    def margin(self, logits: Array, codes: Array) -> Array:
        """What moves the level of each sample, (b,): how far its true class is ahead."""
        return level_margin(logits, codes)

    def remember(self, margin: np.ndarray, level: np.ndarray, accuracy: float, best: float) -> np.ndarray:
        """Levels of samples after a visit.

        Parameters
        ----------
        margin : ndarray of shape (b,)
            `margin` of the samples; of an image, its mean over pixels.
        level : ndarray of shape (b,)
            Levels before.
        accuracy, best : float
            Accuracy on held-out samples, now and at its best.

        Returns
        -------
        level : ndarray of shape (b,)
            In [0, .48].
        """
        reference = best if self.mode == "mei" else None
        return adapted(level, margin, accuracy=accuracy, reference=reference, eta=self.eta, penalty=self.penalty)
