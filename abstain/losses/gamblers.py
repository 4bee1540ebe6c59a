"""Deep Gamblers (Liu et al., NeurIPS 2019)."""

import math
from dataclasses import dataclass

from array_api_compat import array_namespace

from abstain.losses._base import check_shapes, log_sum, log_with_abstention
from abstain.utils.annotations import Array
from abstain.utils.validation import check_number


@dataclass(frozen=True, kw_only=True)
class GamblersLoss:
    r"""Log-wealth of a gambler who bets on the classes and may keep a part of the stake.

    Parameters
    ----------
    reward : float, default=None
        What a won bet pays, above 1 and below the number of classes. None is 2, and 1.5 for two classes.

    Notes
    -----
    With K + 1 logits, the last for keeping,

    .. math:: \ell = -\log\Bigl(p_y + \frac{p_{K+1}}{o}\Bigr), \qquad p = \mathrm{softmax}(z_1, \ldots, z_{K+1}).

    Where prediction and stake are learnt together, the gambler bets on the classes whose probability is well above
    1 / reward, and keeps the stake where there is none. Given probabilities p are bet on in their proportion; then the
    stake is kept whole where :math:`\sum_k p_k^2 \le 1 / o`, the Gini score. With a reward of K, betting on everything
    at once loses nothing, and keeping says nothing.

    References
    ----------
    Z. Liu et al., "Deep Gamblers: Learning to Abstain with Portfolio Theory", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import GamblersLoss
    >>> float(GamblersLoss(reward=1.5).value(np.zeros((1, 2)), np.zeros(1), np.array([0])).round(3))  # -log(1/3 + 2/9)
    0.588
    """

    reward: float | None = None

    def __post_init__(self):
        if self.reward is not None:
            check_number(self.reward, "reward", above=1)

    def parts(
        self, logits: Array, select: Array, codes: Array, *, auxiliary: Array = None, memory: Array = None
    ) -> dict[str, Array]:
        """Loss of each sample: ``(b, K), (b,), (b,) -> {name: (b,)}``."""
        check_shapes(logits, select, codes)
        n_classes = logits.shape[1]
        reward = min(2.0, (1 + n_classes) / 2) if self.reward is None else self.reward
        if reward >= n_classes:
            raise ValueError(
                f"reward must be below the number of classes, {n_classes}, else betting on all of them at once "
                f"is as good as keeping the stake; got {self.reward!r}."
            )
        log_true, log_kept = log_with_abstention(logits, select, codes)
        return {"loss": -array_namespace(logits).logaddexp(log_true, log_kept - math.log(reward))}

    def value(
        self, logits: Array, select: Array, codes: Array, *, auxiliary: Array = None, memory: Array = None
    ) -> Array:
        """Loss of a batch, a scalar."""
        return self.parts(logits, select, codes)["loss"].mean()

    def log_odds(self, logits: Array, select: Array) -> Array:
        """What the last logit says of each sample: log-odds of not keeping the stake."""
        return log_sum(logits) - select
