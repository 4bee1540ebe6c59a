"""The weighted loss function (WLF): cross-entropy with soft labels that depend on the true class alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from abstain.losses._base import check_strength, log_softmax
from abstain.utils.annotations import Array


@dataclass(frozen=True, eq=False)
class WLFLoss:
    r"""Cross-entropy with the row of a weight matrix in the place of the label.

    Parameters
    ----------
    weights : array-like of shape (n_classes, n_classes), default=None
        Row i is the soft label of class i, as `ClassSemantics.weights` and `ClassSemantics.soft_labels` make them:
        non-negative, summing to one. None is the identity, plain cross-entropy.

    Notes
    -----
    .. math:: \ell(z, y) = -\sum_j W_{y j} \log p_j, \qquad p = \mathrm{softmax}(z)

    with :math:`t W` in the place of :math:`W_y` for soft targets t. A ``strength`` s mixes with the label as it came,
    :math:`(1 - s) t + s\, t W`.

    The minimum of a population is :math:`\eta W`, with :math:`\eta` the true probabilities: the loss is not proper,
    what it gives is no probability of being right, and its answer is that of the costs :math:`1 - W` on calibrated
    probabilities (`CostSensitiveClassifier`). `WLFTransform` goes from one to the other.

    References
    ----------
    The weighted loss function of A. Agarwal et al., 2018 to 2020. With the weights of `ClassSemantics.soft_labels`, the
    soft labels of L. Bertinetto et al., "Making Better Mistakes", CVPR 2020; their code averages over classes, too.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import WLFLoss
    >>> loss = WLFLoss([[0.9, 0.1], [0.1, 0.9]])
    >>> loss.value_and_derivative(np.array([[0.0, 2.0]]), np.array([1]))[0].round(3)
    array([0.327])
    """

    weights: Any = None

    def __post_init__(self):
        if self.weights is not None:
            weights = np.asarray(self.weights, dtype=np.float64)
            square = weights.ndim == 2 and weights.shape[0] == weights.shape[1]
            if not square or not (weights >= 0).all() or np.abs(weights.sum(axis=1) - 1).max() > 1e-6:
                raise ValueError(
                    "weights must be a square matrix, not negative, whose rows sum to one; ClassSemantics.weights "
                    f"makes such. Got shape {weights.shape}."
                )
            object.__setattr__(self, "weights", weights)

    def value_and_derivative(self, logits: Array, targets: Array, strength: Array = None) -> tuple[Array, Array]:
        """Loss of every sample and its derivative by the logits: ``(b, K), (b,) or (b, K) -> (b,), (b, K)``."""
        log_proba, shares, xp = log_softmax(logits, targets)
        soft = shares if self.weights is None else shares @ self._weights(logits)
        if strength is not None:
            s = check_strength(strength, logits)[:, None]
            soft = (1 - s) * shares + s * soft
        mass = xp.sum(soft, axis=1, keepdims=True)
        return -xp.sum(log_proba * soft, axis=1), mass * xp.exp(log_proba) - soft

    def _weights(self, like):
        if like.shape[1] != len(self.weights):
            raise ValueError(f"logits must have a column for each of the {len(self.weights)} rows of weights; "
                             f"got {like.shape[1]}.")  # fmt: skip
        return array_namespace(like).asarray(self.weights, dtype=like.dtype, device=device(like))
