"""Relative uncertainty, REL-U (Dadalto et al., ICLR 2024)."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from abstain.scores.logit_scorer import LogitScorer
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import check_number, check_unit, row_blocks
from abstain.views import unit_target


class RelU(LogitScorer):
    r"""Relative uncertainty (REL-U): which *pairs* of classes are confused when the prediction is wrong.

    Parameters
    ----------
    lam : float, default=0.5
        Weight of the errors against the correct predictions, in (0, 1).
    temperature : float, default=1.0
        Temperature of the softmax, positive.

    Attributes
    ----------
    matrix_ : ndarray of shape (n_classes, n_classes)
        Symmetric, non-negative, zero on the diagonal, Frobenius norm 1.
    n_features_in_ : int
        Number of classes.

    Notes
    -----
    The score is :math:`-p^\top D p` with :math:`D = \max(0, \lambda E[pp^\top | err] - (1-\lambda) E[pp^\top | ok])`
    off the diagonal; where that is zero, D = 1 - I, which is the Gini score. It learns K(K-1)/2 numbers: give it
    many more errors than that, or few classes.

    References
    ----------
    E. Dadalto et al., "A Data-Driven Measure of Relative Uncertainty for Misclassification Detection", ICLR 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.scores import RelU
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(50, 3))
    >>> RelU().fit(logits, rng.random(50) < 0.7).matrix_.diagonal()
    array([0., 0., 0.])
    """

    def __init__(self, lam: float = 0.5, temperature: float = 1.0) -> None:
        self.lam = lam
        self.temperature = temperature

    def fit(self, logits: ArrayLike, y: ArrayLike) -> Self:
        """Learn the matrix from held-out predictions.

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
        lam = check_unit(self.lam, "lam")
        check_number(self.temperature, "temperature", above=0)
        with unchanged_on_failure(self):
            return self._fit(self._check(logits), y, lam)

    def _fit(self, logits, y, lam):
        self.temperature_ = float(self.temperature)
        right = unit_target(y, n=len(logits))
        D = lam * self._second_moment(logits, 1 - right) - (1 - lam) * self._second_moment(logits, right)
        D = np.maximum(D, 0.0)
        np.fill_diagonal(D, 0.0)
        if not D.any():
            D = 1.0 - np.eye(D.shape[0])
        self.matrix_ = D / np.linalg.norm(D)
        return self

    def _second_moment(self, logits, weight):
        total = np.zeros((logits.shape[1],) * 2)
        for rows in row_blocks(*logits.shape):
            p = self._softmax(logits[rows])
            total += (p * weight[rows, None]).T @ p
        return total / max(weight.sum(), np.finfo(float).tiny)

    def _softmax(self, logits):
        return softmax(logits / self.temperature_, axis=1)

    def _score(self, logits):
        p = self._softmax(logits)
        return -((p @ self.matrix_) * p).sum(axis=1)
