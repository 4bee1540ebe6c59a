"""Noise on the features of samples at hand: how evidence behaves when data move."""

import numpy as np

from abstain.protocols import declared
from abstain.selective.features import is_numeric
from abstain.selective.posthoc import BasePostHoc
from abstain.views import Stressed, View, shown

LEVELS = 0.25, 0.5, 1.0  # standard deviations of each feature
_MOST_NUMBERS = 1 << 23  # of features and outputs, beyond which stress is left out


def levels_of(n):
    """How much noise each of n rows is given, (n,)."""
    return np.random.RandomState(n % 2**32).permutation(np.resize(LEVELS, n))


def noisy(X, n_classes):
    """Return data with noise on every numeric feature, each row by its level; None for data of another kind.

    Parameters
    ----------
    X : ndarray or data frame of shape (n, d)
        Data.
    n_classes : int
        Number of outputs of the classifier, which count for the size.
    """
    if not is_numeric(X) or hasattr(X, "nnz") or X.shape[0] * (X.shape[1] + n_classes) > _MOST_NUMBERS:
        return None
    values = np.asarray(X, dtype=np.float64)
    with np.errstate(all="ignore"):
        spread = np.nan_to_num(np.nanstd(values, axis=0), posinf=0.0)
        drawn = np.random.RandomState(0).standard_normal(values.shape)
        moved = values + levels_of(len(values))[:, None] * spread * drawn
    if hasattr(X, "iloc"):
        return type(X)(moved, index=X.index, columns=X.columns)
    return moved.astype(X.dtype if X.dtype.kind == "f" else np.float64)


class BaseUnderStress(BasePostHoc):
    """Base of the post-hoc classifiers whose score is also tried on features with noise."""

    def _under_stress(self, X):
        return None if self._apart() or self.head_inputs == "confidence" else noisy(X, len(self.classes_))

    def _stressed_view(self, scorer, samples, fit):
        seen = View(self._seen(scorer, samples), fit.stressed)
        return Stressed(shown(seen, declared(scorer, "sees")), levels_of(fit.n)[fit.rows])
