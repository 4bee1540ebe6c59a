"""Self-adaptive training (Huang, Zhang & Zhang, NeurIPS 2020)."""

from dataclasses import dataclass

from array_api_compat import array_namespace

from abstain.losses._base import check_shapes, detach, log_softmax, log_sum, log_with_abstention
from abstain.utils.annotations import Array
from abstain.utils.validation import check_number


@dataclass(frozen=True, kw_only=True)
class SelfAdaptiveLoss:
    r"""Cross-entropy with a target that moves from the label towards the prediction; what it loses is abstention.

    Parameters
    ----------
    momentum : float, default=0.9
        How much of its target a sample keeps at each visit, in [0, 1]. 1 is cross-entropy,
        which drives the last logit away.

    Notes
    -----
    With K + 1 logits, the last for abstaining, and a target t of each sample, 1 at first,

    .. math::
        t \leftarrow m\, t + (1 - m)\, \tilde p_y, \qquad
        \ell = -t \log p_y - (1 - t) \log p_{K+1}

    where p is the softmax of all logits and :math:`\tilde p` that of the first K. The paper keeps a target for every
    class of every sample; that of the true class is all that the loss looks at, so one number a sample is kept.

    Frozen logits leave nothing to adapt: t falls to :math:`\tilde p_y`, and the last logit learns what a head trained
    on the true class probability (`TCPLoss`) learns. So there is no post-hoc kind.

    References
    ----------
    L. Huang, C. Zhang, H. Zhang, "Self-Adaptive Training: beyond Empirical Risk Minimization", NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import SelfAdaptiveLoss
    >>> logits, select, codes = np.zeros((1, 2)), np.zeros(1), np.array([0])
    >>> SelfAdaptiveLoss().remember(logits, select, codes, np.ones(1))  # 0.9 * 1 + 0.1 * 0.5
    array([0.95])
    """

    momentum: float = 0.9

    def __post_init__(self):
        check_number(self.momentum, "momentum", least=0, most=1)

    def parts(
        self, logits: Array, select: Array, codes: Array, *, auxiliary: Array = None, memory: Array = None
    ) -> dict[str, Array]:
        """Loss of each sample and its target: ``(b, K), (b,), (b,) -> {name: (b,)}``."""
        check_shapes(logits, select, codes)
        log_true, log_abstain = log_with_abstention(logits, select, codes)
        target = array_namespace(select).ones_like(select) if memory is None else memory[0]
        return {"loss": -target * log_true - (1 - target) * log_abstain, "target": target}

    def value(
        self, logits: Array, select: Array, codes: Array, *, auxiliary: Array = None, memory: Array = None
    ) -> Array:
        """Loss of a batch, a scalar."""
        return self.parts(logits, select, codes, memory=memory)["loss"].mean()

    def remember(self, logits: Array, select: Array, codes: Array, rows: Array, *, auxiliary: Array = None) -> Array:
        """The target after this visit: ``(b, K), (b,), (b,), (b,) -> (b,)``."""
        log_proba, true, xp = log_softmax(logits, codes)
        before = xp.where(xp.isnan(rows), xp.ones_like(rows), rows)
        return self.momentum * before + (1 - self.momentum) * detach(xp.exp(xp.sum(log_proba * true, axis=1)))

    def log_odds(self, logits: Array, select: Array) -> Array:
        """What the last logit says of each sample: log-odds of not abstaining."""
        return log_sum(logits) - select
