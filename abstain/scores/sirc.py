"""Softmax information retaining combination, SIRC (Xia and Bouganis, ACCV 2022)."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from abstain.utils.borders import check_table
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import check_vector, row_blocks
from abstain.views import View, as_view, outputs_or_logits


class SIRC(BaseEstimator):
    r"""Maximum probability, lowered softly where the feature norm says "unlike anything seen" (SIRC).

    Parameters
    ----------
    secondary : callable, default=None
        Features ``(n, d) -> (n,)``, larger = more like the data of ``fit``. None is the L1 norm.

    Attributes
    ----------
    center_, scale_ : float
        Where the secondary score starts to count, mean - 3 sd on the data of ``fit``, and how sharply, 1 / sd.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    :math:`-[\log(1 - S_1) + \log(1 + e^{-b (S_2 - a)})]`: on data like those of ``fit`` the second term is flat
    and the order is that of maximum probability. A plain matrix given as input serves as logits and as features.

    References
    ----------
    G. Xia, C.-S. Bouganis, "Augmenting Softmax Information for Selective Classification with
    Out-of-Distribution Data", ACCV 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.scores import SIRC
    >>> logits = np.random.default_rng(0).normal(size=(50, 3))
    >>> SIRC().fit(logits).score_samples(logits).shape
    (50,)
    """

    sees = "both"
    target = "correct"

    def __init__(self, secondary: Callable | None = None) -> None:
        self.secondary = secondary

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the location and scale of the secondary score.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Features and class outputs; a plain matrix serves as both.
        y : object, default=None
            Ignored; present for the scorer convention.

        Returns
        -------
        self : object
            Fitted scorer.
        """
        with unchanged_on_failure(self):
            if self.secondary is not None and not callable(self.secondary):
                raise TypeError(f"secondary must be a function of features, or None; got {self.secondary!r}.")
            self.secondary_ = l1_norm if self.secondary is None else self.secondary
            second = self._second(self._parts(X, reset=True).features)
            with np.errstate(over="ignore", invalid="ignore"):
                deviation = second.std()
            if not np.isfinite(deviation):
                raise ValueError("X is too large for squares of its secondary score to be summed up: scale it.")
            self.center_ = float(second.mean() - 3 * deviation)
            self.scale_ = float(1 / deviation) if deviation > 0 else 1.0
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Score samples.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Features and class outputs; a plain matrix serves as both.

        Returns
        -------
        score : ndarray of shape (n,)
            Larger is safer.
        """
        check_is_fitted(self)
        view = self._parts(X, reset=False)
        log_doubt = -np.logaddexp(0, outputs_or_logits(view).log_odds)
        novelty = np.logaddexp(0, -self.scale_ * (self._second(view.features) - self.center_))
        return -(log_doubt + novelty)

    def _parts(self, X, reset):
        view = as_view(X)
        features = check_table(self, view.features, reset=reset, dtype="numeric", ensure_min_features=2)
        return View(features, view.outputs)

    def _second(self, features):
        return check_vector(self.secondary_(features), "the secondary score", n=len(features))


def l1_norm(features):
    """Sum of absolute values of each row, (n,)."""
    blocks = row_blocks(*features.shape)
    return np.concatenate([np.abs(features[rows]).sum(axis=1, dtype=np.float64) for rows in blocks])
