"""Shared face of the scorers that see logits: validation, blocks, one hook. Log-probabilities are logits, too."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from abstain.utils.borders import check_table
from abstain.utils.validation import refuse_masked, row_blocks

# A class that cannot be has log-probability -inf; norms need a number, far below the largest.
_FLOOR = -700.0


def _finite_logits(logits):
    with np.errstate(over="ignore"):
        logits = np.asarray(logits, dtype=np.float64)
    top = logits.max(axis=-1, keepdims=True, initial=-np.inf)
    lowest = np.where(np.isfinite(top), top, 0.0) + _FLOOR
    if (logits.min(axis=-1, keepdims=True, initial=np.inf) >= lowest).all():  # no copy
        return logits
    return np.maximum(logits, lowest)


class LogitScorer(BaseEstimator):
    """Base of the scorers that see logits; a subclass writes ``fit`` and ``_score(logits)``."""

    sees = "log_proba"
    target = "correct"

    def _check(self, logits, **options) -> np.ndarray:
        refuse_masked(logits, "logits")
        finite = _finite_logits(logits) if isinstance(logits, np.ndarray) and logits.dtype.kind == "f" else logits
        return check_table(self, finite, dtype=np.float64, order="C", ensure_min_features=2, **options)

    def score_samples(self, logits: ArrayLike) -> np.ndarray:
        """Score samples.

        Parameters
        ----------
        logits : array-like of shape (n, n_classes)
            Logits or log-probabilities.

        Returns
        -------
        score : ndarray of shape (n,)
            Larger is safer.
        """
        check_is_fitted(self)
        return in_blocks(self._score, self._check(logits, reset=False))


def in_blocks(score, logits):
    """A score of every row, computed for some rows at a time: temporary arrays stay small."""
    return np.concatenate([score(logits[rows]) for rows in row_blocks(*logits.shape)])
