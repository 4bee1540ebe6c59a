"""SYNC, as far as it is known (Mishra et al., 2026)."""

import math
from dataclasses import dataclass

from array_api_compat import array_namespace, device

from abstain.losses._base import detach, log_softmax, softplus
from abstain.losses.selectivenet import SelectiveNetLoss, selective_risk
from abstain.utils.annotations import Array
from abstain.utils.validation import check_choice, check_flag, check_number

MODES = ("bce", "mse", "weight")
HEADS = ("prediction", "auxiliary")


@dataclass(frozen=True, kw_only=True)
class SYNCLoss(SelectiveNetLoss):
    r"""SelectiveNet whose selector is drawn to a power of the softmax response.

    Parameters
    ----------
    coverage, lam, alpha, normalise, risk : object
        As in `SelectiveNetLoss`.
    beta : float, default=0.5
        Weight of the drawing term, of modes "bce" and "mse". 0 is SelectiveNet.
    mode : {"bce", "mse", "weight"}, default="bce"
        "bce" is cross-entropy of the selector with the prior as its target, "mse" their squared difference. "weight"
        has no such term: the prior multiplies what is accepted, in the risk and in the coverage; rank by the product.
    gamma : float or "auto", default="auto"
        Power of the prior. "auto" makes its mean equal to the coverage, batch by batch, with a power between 0.001 and
        1000; where the network is certain of its training samples none is large enough. Not with "weight": the prior
        alone would accept what is asked for, and nothing be left to select.
    chance_correction : bool, default=False
        Whether the prior is 0, not 1 / K to the power, where all classes are alike; for many classes.
    prior_head : {"prediction", "auxiliary"}, default="prediction"
        Whose softmax response is the prior.
    detach_prior : bool, default=True
        Whether no gradient flows through the prior. If it does, confidence grows wherever the selector accepts.

    Notes
    -----
    With the softmax response :math:`s = \max_k p_k` and the prior :math:`\pi = s^\gamma`,

    .. math:: L = L_{\mathrm{SelectiveNet}} + \beta\, \overline{\mathrm{BCE}(\sigma(u), \pi)} .

    Certain, from the abstract: SelectiveNet is the base, and the softmax response enters its training. Second-hand:
    that it enters as a power. Inferred: that a term draws the selector to it, and by which distance; the stop-gradient;
    every constant. What is inferred is a parameter here, and no number of the paper is claimed.

    Of one sample, with the loss :math:`\tau` at the border of what is accepted and
    :math:`\kappa = \alpha (\ell - \tau) / (\beta \hat\phi)` (no :math:`\hat\phi` in the released risk), the optimum is
    :math:`g = \bigl(\kappa + 1 - \sqrt{(\kappa + 1)^2 - 4 \kappa \pi}\bigr) / (2 \kappa)` ("bce") or
    :math:`\pi - \kappa / 2` cut to [0, 1] ("mse"): graded, where SelectiveNet is bang-bang.

    References
    ----------
    Mishra et al., arXiv 2602.11316, 2026 (abstract). Y. Geifman, R. El-Yaniv, ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import SYNCLoss
    >>> logits, codes = np.log([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 0])
    >>> SYNCLoss(gamma=2.0).prior(logits).round(2)
    array([0.81, 0.36])
    """

    beta: float = 0.5
    mode: str = "bce"
    gamma: float | str = "auto"
    chance_correction: bool = False
    prior_head: str = "prediction"
    detach_prior: bool = True

    def __post_init__(self):
        super().__post_init__()
        check_number(self.beta, "beta", least=0)
        check_flag(self.chance_correction, "chance_correction")
        check_flag(self.detach_prior, "detach_prior")
        if not isinstance(self.gamma, str) or self.gamma != "auto":
            check_number(self.gamma, 'gamma (if not "auto")', above=0)
        if self.mode == "weight" and self.gamma == "auto":
            raise ValueError(
                'gamma must be a number with mode="weight": "auto" makes the prior alone accept what is asked for, so '
                "that nothing is left to select. Try gamma=1.0."
            )
        for name, choices in (("mode", MODES), ("prior_head", HEADS)):
            check_choice(getattr(self, name), name, choices)

    def parts(
        self, logits: Array, select: Array, codes: Array, *, auxiliary: Array = None, memory: Array = None
    ) -> dict[str, Array]:
        """Those of SelectiveNet, and what draws the selector to the prior."""
        parts = super().parts(logits, select, codes)
        prior = self.prior(self._head(logits, auxiliary))
        if self.mode == "weight":
            return {**parts, "accept": parts["accept"] * prior}
        if self.mode == "mse":
            return {**parts, "match": (parts["accept"] - prior) ** 2}
        return {**parts, "match": softplus(select) - prior * select}

    def value(
        self, logits: Array, select: Array, codes: Array, *, auxiliary: Array = None, memory: Array = None
    ) -> Array:
        """Loss of a batch, a scalar."""
        parts = self.parts(logits, select, codes, auxiliary=auxiliary)
        total = self.mixed(selective_risk(self, parts, memory), auxiliary, codes)
        return total + self.beta * parts["match"].mean() if "match" in parts else total

    def remember(self, logits: Array, select: Array, codes: Array, rows: Array, *, auxiliary: Array = None) -> Array:
        """How far each sample was accepted."""
        accept = super().remember(logits, select, codes, rows, auxiliary=auxiliary)
        return accept * self.prior(self._head(logits, auxiliary)) if self.mode == "weight" else accept

    def prior(self, logits: Array) -> Array:
        """Softmax response to the power ``gamma``: ``(b, K) -> (b,)``."""
        n_classes, xp = logits.shape[1], array_namespace(logits)
        log_response = xp.max(log_softmax(logits, xp.argmax(logits, axis=1))[0], axis=1)
        if self.chance_correction:
            above = (xp.exp(log_response) - 1 / n_classes) / (1 - 1 / n_classes)
            log_response = xp.log(above * (above > 0) + 1e-12)
        if self.detach_prior:
            log_response = detach(log_response)
        gamma = solve_gamma(log_response, self.coverage) if self.gamma == "auto" else self.gamma
        return xp.exp(gamma * log_response)

    def _head(self, logits, auxiliary):
        if self.prior_head == "auxiliary" and auxiliary is None:
            raise ValueError('prior_head="auxiliary" needs an auxiliary head, which joint training alone has.')
        return logits if self.prior_head == "prediction" else auxiliary


def solve_gamma(log_response, coverage, *, steps=11):
    """Solve mean(response ** gamma) = coverage for gamma in [1e-3, 1e3], by eighths of its logarithm."""
    xp, response = array_namespace(log_response), detach(log_response)
    eighths = xp.arange(1, 8, dtype=response.dtype, device=device(response)) / 8
    low, width = math.log(1e-3), math.log(1e6)
    for _ in range(steps):  # numbers stay where they are: to ask a GPU for one is to wait for it
        means = xp.mean(xp.exp(response[:, None] * xp.exp(low + width * eighths)), axis=0)
        low, width = low + width / 8 * xp.sum(xp.astype(means > coverage, response.dtype)), width / 8
    return xp.exp(low + width / 2)
