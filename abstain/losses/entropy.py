"""Entropy minimisation beside another loss (Feng et al., ICLR 2023)."""

from dataclasses import dataclass

from array_api_compat import array_namespace

from abstain.losses._base import log_normalised
from abstain.utils.annotations import Array
from abstain.utils.validation import check_choice

FORMS = ("entropy", "released")


@dataclass(frozen=True, kw_only=True)
class EntropyTerm:
    r"""Entropy of the predictions, to be added to a loss with a small weight.

    Parameters
    ----------
    form : {"entropy", "released"}, default="entropy"
        "entropy" is the entropy. "released" is what the authors' code computes, :math:`-\sum_k p_k z_k`: the entropy
        less the logarithm of the sum of the exponentials. It changes when a constant is added to all logits, and has
        no lower bound; it is there to reproduce their results.

    Notes
    -----
    .. math:: H(p) = -\sum_k p_k \log p_k

    The difficulty-aware loss has the opposite sign: it rewards entropy on difficult samples.

    References
    ----------
    L. Feng et al., "Towards Better Selective Classification", ICLR 2023. There the weight is 0.001 to 0.01.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import EntropyTerm
    >>> logits = np.zeros((1, 2))
    >>> EntropyTerm().parts(logits).round(3), EntropyTerm().parts(logits + 7).round(3)
    (array([0.693]), array([0.693]))
    """

    form: str = "entropy"

    def __post_init__(self):
        check_choice(self.form, "form", FORMS)

    def parts(self, logits: Array) -> Array:
        """The term of each sample: ``(b, K) -> (b,)``."""
        xp, log_proba = array_namespace(logits), log_normalised(logits)
        return -xp.sum(xp.exp(log_proba) * (log_proba if self.form == "entropy" else logits), axis=1)
