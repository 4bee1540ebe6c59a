"""Deep Gamblers (Liu et al., NeurIPS 2019)."""

import math
from dataclasses import dataclass

from abstain.losses._base import check_shapes, log_softmax, log_sum, log_with_abstention


@dataclass(frozen=True, kw_only=True)
class GamblersLoss:
    r"""Log-wealth of a gambler who bets on the classes and may keep a part of the stake.

    Parameters
    ----------
    reward : float, default=2.0
        What a won bet pays, above 1 and at most the number of classes. A prediction whose probability is under
        1 / reward is better kept.

    Notes
    -----
    With K + 1 logits, the last for keeping,

    .. math:: \ell = -\log\Bigl(p_y + \frac{p_{K+1}}{o}\Bigr), \qquad p = \mathrm{softmax}(z_1, \ldots, z_{K+1}).

    References
    ----------
    Z. Liu et al., "Deep Gamblers: Learning to Abstain with Portfolio Theory", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import GamblersLoss
    >>> float(GamblersLoss(reward=2.0).value(np.zeros((1, 2)), np.zeros(1), np.array([0])).round(3))  # -log(1/3 + 1/6)
    0.693
    """

    reward: float = 2.0

    def __post_init__(self):
        if not self.reward > 1:
            raise ValueError(f"reward must be above 1, else no bet is ever worth it; got {self.reward!r}.")

    def parts(self, logits, select, codes, *, auxiliary=None, memory=None):
        """Loss of each sample: ``(b, K), (b,), (b,) -> {name: (b,)}``."""
        check_shapes(logits, select, codes)
        if self.reward > logits.shape[1]:
            raise ValueError(
                f"reward must be at most the number of classes, {logits.shape[1]}: above it, betting on all of them at "
                f"once wins without knowing anything; got {self.reward!r}."
            )
        log_proba, log_kept = log_with_abstention(logits, select)
        _, true, xp = log_softmax(logits, codes)
        return {"loss": -xp.logaddexp(xp.sum(log_proba * true, axis=1), log_kept - math.log(self.reward))}

    def value(self, logits, select, codes, *, auxiliary=None, memory=None):
        """Loss of a batch, a scalar."""
        return self.parts(logits, select, codes)["loss"].mean()

    def log_odds(self, logits, select):
        """What the last logit says of each sample: log-odds of not keeping the stake."""
        return log_sum(logits) - select
