"""MaxLogit-pNorm (Cattelan and Silva, UAI 2024)."""

from __future__ import annotations

from functools import partial
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from abstain.metrics import aurc
from abstain.scores.logit_scorer import LogitScorer, in_blocks
from abstain.scores.probability import max_probability
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import check_number
from abstain.views import unit_target


class MaxLogitPNorm(LogitScorer):
    r"""Largest centred logit over the p-norm of the centred logits, with maximum probability as a fall-back.

    Parameters
    ----------
    exponents : tuple of int, default=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
        Candidates for p; 0 leaves the centred logit undivided.

    Attributes
    ----------
    p_ : int or None
        The exponent of smallest AURC on the data of ``fit``; None where none beats maximum probability.
    n_features_in_ : int
        Number of classes.

    Notes
    -----
    :math:`\max_k (z_k - \bar z) / \lVert z - \bar z \rVert_p`. It mends the ranking of networks whose maximum
    probability is broken by label smoothing or mixup. With two classes it is constant, hence the fall-back.

    References
    ----------
    L. F. P. Cattelan, D. Silva, "How to Fix a Broken Confidence Estimator", UAI 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.scores import MaxLogitPNorm
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(50, 4))
    >>> MaxLogitPNorm().fit(logits, rng.random(50) < 0.7).score_samples(logits).shape
    (50,)
    """

    def __init__(self, exponents: tuple[int, ...] = tuple(range(10))) -> None:
        self.exponents = exponents

    def fit(self, logits: ArrayLike, y: ArrayLike) -> Self:
        """Choose p on held-out data.

        Parameters
        ----------
        logits : array-like of shape (n, n_classes)
            Logits or log-probabilities.
        y : array-like of shape (n,)
            Correctness, 1 = right, or a graded one in [0, 1].

        Returns
        -------
        self : object
            Fitted scorer.
        """
        exponents = np.asarray(self.exponents, dtype=object)
        if exponents.ndim != 1:
            raise ValueError(f"exponents must be a list of numbers; got {self.exponents!r}.")
        exponents = exponents.tolist()
        for p in exponents:
            check_number(p, "exponents", least=0)
        with unchanged_on_failure(self):
            return self._fit(self._check(logits), y, exponents)

    def _fit(self, logits, y, exponents):
        loss = 1 - unit_target(y, n=len(logits))
        candidates = [None, *exponents] if logits.shape[1] > 2 else [None]
        areas = [aurc(None, in_blocks(partial(self._normed, p=p), logits), loss=loss) for p in candidates]
        self.p_ = candidates[int(np.argmin(areas))]
        return self

    def _score(self, logits):
        return self._normed(logits, self.p_)

    @staticmethod
    def _normed(logits, p):
        if p is None:
            return max_probability(logits, input="logits")
        centred = logits - logits.mean(axis=1, keepdims=True)
        if p == 0:
            return centred.max(axis=1)
        scale = np.abs(centred).max(axis=1, keepdims=True) + 1e-300  # keeps the powers within range
        return (centred / scale).max(axis=1) / np.linalg.norm(centred / scale, ord=p, axis=1).clip(1e-300)
