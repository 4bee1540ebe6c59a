"""SelectiveNet (Geifman & El-Yaniv, ICML 2019)."""

from dataclasses import dataclass

from abstain.losses._base import check_shapes, log_softmax, sigmoid
from abstain.utils.annotations import Array
from abstain.utils.validation import check_choice, check_flag, check_number

RISKS = ("cross_entropy", "brier", "error")


@dataclass(frozen=True, kw_only=True)
class SelectiveNetLoss:
    r"""Risk of what is accepted, with a penalty for accepting too little.

    Parameters
    ----------
    coverage : float, default=0.8
        Share of the samples to accept, in (0, 1].
    lam : float, default=32.0
        Weight of the penalty.
    alpha : float, default=0.5
        Share of the selective part in the loss; the rest is cross-entropy of the auxiliary head, if there is one.
    normalise : bool, default=True
        Whether the risk is divided by the coverage, as in the paper. False is the authors' released code, whose soft
        coverage always falls short of the target.
    risk : {"cross_entropy", "brier", "error"}, default="cross_entropy"
        Loss of one prediction. "error" has no gradient for the prediction.

    Notes
    -----
    With the selector's logit u, :math:`g = \sigma(u)`, the soft coverage :math:`\hat\phi = \overline{g}` and the loss
    :math:`\ell` of each prediction,

    .. math::
        \alpha \Bigl[ \frac{\overline{\ell\, g}}{\hat\phi} + \lambda \max(0, c - \hat\phi)^2 \Bigr]
        + (1 - \alpha)\, \overline{\ell_{\mathrm{aux}}} .

    In function space the optimum is bang-bang: accept where
    :math:`\ell < \hat r + 2 \lambda \hat\phi (c - \hat\phi)_+` (normalised) or
    :math:`\ell < 2 \lambda (c - \hat\phi)_+` (released). The order inside the accepted set is undefined, so a selector
    trained for one coverage should not serve one far below.

    The coverage of a small batch is noisy, and a convex penalty turns noise into bias. With a memory of what each
    sample got last, :math:`\hat\phi` in the penalty is the mean over all samples, and its gradient that of the batch.

    References
    ----------
    Y. Geifman, R. El-Yaniv, "SelectiveNet: A Deep Neural Network with an Integrated Reject Option", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import SelectiveNetLoss
    >>> logits, select, codes = np.zeros((2, 2)), np.array([0.0, 0.0]), np.array([0, 1])
    >>> float(SelectiveNetLoss(coverage=0.7, alpha=1.0).value(logits, select, codes).round(3))  # log 2 + 32 * 0.2^2
    1.973
    """

    coverage: float = 0.8
    lam: float = 32.0
    alpha: float = 0.5
    normalise: bool = True
    risk: str = "cross_entropy"

    def __post_init__(self):
        check_number(self.coverage, "coverage", above=0, most=1)
        check_number(self.lam, "lam", least=0)
        check_number(self.alpha, "alpha", above=0, most=1)
        check_choice(self.risk, "risk", RISKS)
        check_flag(self.normalise, "normalise")

    def parts(
        self, logits: Array, select: Array, codes: Array, *, auxiliary: Array = None, memory: Array = None
    ) -> dict[str, Array]:
        """Loss of each prediction and how far it is accepted: ``(b, K), (b,), (b,) -> {name: (b,)}``."""
        check_shapes(logits, select, codes)
        return {"loss": prediction_loss(logits, codes, self.risk), "accept": sigmoid(select)}

    def value(
        self, logits: Array, select: Array, codes: Array, *, auxiliary: Array = None, memory: Array = None
    ) -> Array:
        """Loss of a batch, a scalar."""
        parts = self.parts(logits, select, codes)
        return self.mixed(selective_risk(self, parts, memory), auxiliary, codes)

    def remember(self, logits: Array, select: Array, codes: Array, rows: Array, *, auxiliary: Array = None) -> Array:
        """What the memory keeps of each sample: how far it was accepted."""
        return sigmoid(select)

    def log_odds(self, logits: Array, select: Array) -> Array:
        """What the selector says of each sample: log-odds of accepting."""
        return select

    def mixed(self, selective: Array, auxiliary: Array, codes: Array) -> Array:
        """Add the cross-entropy of the auxiliary head, if there is one."""
        if auxiliary is None:
            return self.alpha * selective
        log_proba, true, xp = log_softmax(auxiliary, codes)
        return self.alpha * selective - (1 - self.alpha) * xp.mean(xp.sum(log_proba * true, axis=1))


def prediction_loss(logits, codes, risk):
    """Loss of each prediction, never averaged: a selector learns from the differences."""
    log_proba, true, xp = log_softmax(logits, codes)
    if risk == "cross_entropy":
        return -xp.sum(log_proba * true, axis=1)
    if risk == "brier":
        return xp.sum((xp.exp(log_proba) - true) ** 2, axis=1)
    return xp.astype(xp.argmax(log_proba, axis=1) != codes, log_proba.dtype)


def selective_risk(constants, parts, memory=None):
    """Risk of what is accepted plus the one-sided quadratic penalty on the coverage."""
    accept, errors = parts["accept"], parts["loss"]
    covered = accept.mean()
    risk = (errors * accept).mean()
    if constants.normalise:
        risk = risk / (covered + 1e-12)
    if memory is not None:
        rows, overall = memory
        covered = covered + (overall - rows.mean())
    missing = constants.coverage - covered
    return risk + constants.lam * (missing * (missing > 0)) ** 2
