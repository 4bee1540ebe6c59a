"""Virtual-logit matching: novelty from logits and from what the features leave unexplained."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from abstain.utils.borders import check_table
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import check_vector, finite_array, row_blocks
from abstain.views import as_view


class ViM(BaseEstimator):
    r"""Energy of the logits less the norm of the features outside their principal subspace.

    Parameters
    ----------
    n_principal : int, default=None
        Dimension of the principal subspace. None is the paper's: 1000 from 2048 features on, 512 from 768 on, and
        half of them below.
    weight : array-like of shape (n_classes, d), default=None
        Last linear layer of the network; with ``bias`` it gives the origin. None takes the mean of the features.
    bias : array-like of shape (n_classes,), default=None
        Bias of that layer.

    Attributes
    ----------
    origin_ : ndarray of shape (d,)
        Where features are measured from.
    alpha_ : float
        Scale of the virtual logit: the mean largest logit over the mean residual.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    :math:`\log \sum_k e^{z_k} - \alpha \lVert R^\top (h - o) \rVert`, with R the minor directions of the features and
    o the origin. It needs logits: probabilities have lost their sum. A plain matrix given as input serves as both.

    References
    ----------
    H. Wang, Z. Li, L. Feng, W. Zhang, "ViM: Out-Of-Distribution with Virtual-logit Matching", CVPR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain import ViM
    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> ViM().fit(X).score_samples(X).shape
    (50,)
    """

    sees = "both"
    target = "correct"

    def __init__(
        self, n_principal: int | None = None, *, weight: ArrayLike | None = None, bias: ArrayLike | None = None
    ) -> None:
        self.n_principal = n_principal
        self.weight = weight
        self.bias = bias

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the principal subspace and the scale.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Features with logits; a plain matrix serves as both.
        y : object, default=None
            Ignored; present for the scorer convention.

        Returns
        -------
        self : object
            Fitted scorer.

        Raises
        ------
        ValueError
            If the classifier was not declared to give logits, or ``n_principal`` leaves no direction.
        """
        with unchanged_on_failure(self):
            return self._fit(*self._parts(X, reset=True))

    def _fit(self, features, logits):
        d = features.shape[1]
        principal = (
            (1000 if d >= 2048 else 512 if d >= 768 else d // 2) if self.n_principal is None else self.n_principal
        )
        if isinstance(principal, bool) or not isinstance(principal, int | np.integer) or not 0 <= principal < d:
            raise ValueError(
                f"n_principal must be an integer in [0, {d - 1}] for {d} features; got {self.n_principal!r}."
            )
        self.origin_ = self._origin(features)
        scatter = np.zeros((d, d))
        for rows in row_blocks(len(features), features.shape[1], 1 << 21):
            block = features[rows].astype(np.float64) - self.origin_
            with np.errstate(over="ignore", invalid="ignore"):
                scatter += block.T @ block
        if not np.isfinite(scatter).all():
            raise ValueError("X is too large for its squares to be summed up: scale it.")
        self._minor = np.linalg.eigh(scatter)[1][:, : d - principal]
        residual = self._residual(features).mean()
        self.alpha_ = float(np.abs(logits.max(axis=1).mean(dtype=np.float64)) / max(residual, 1e-12))
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Score samples.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Features with logits; a plain matrix serves as both.

        Returns
        -------
        score : ndarray of shape (n,)
            Larger is safer.
        """
        check_is_fitted(self)
        features, logits = self._parts(X, reset=False)
        with np.errstate(over="ignore", invalid="ignore"):
            score = -self.alpha_ * self._residual(features)
            for rows in row_blocks(*logits.shape):
                score[rows] += logsumexp(logits[rows].astype(np.float64), axis=1)
        farthest = np.finfo(np.float64).min
        return np.nan_to_num(score, nan=farthest, neginf=farthest)

    def _origin(self, features):
        if self.weight is None and self.bias is not None:
            raise ValueError("bias was given without weight: the origin needs both, weight=(n_classes, d) beside it.")
        if self.weight is None:
            return features.mean(axis=0, dtype=np.float64)
        weight = finite_array(self.weight, "weight")
        bias = np.zeros(len(weight)) if self.bias is None else check_vector(self.bias, "bias")
        if weight.shape != (bias.size, features.shape[1]):
            raise ValueError(f"weight must have shape ({bias.size}, {features.shape[1]}); got {weight.shape}.")
        return -np.linalg.lstsq(weight, bias, rcond=None)[0]

    def _residual(self, features):
        minor, blocks = self._minor, row_blocks(len(features), features.shape[1], 1 << 21)
        return np.concatenate([np.linalg.norm((features[rows] - self.origin_) @ minor, axis=1) for rows in blocks])

    def _parts(self, X, reset):
        view = as_view(X)
        features = check_table(self, view.features, reset=reset, dtype="numeric", ensure_min_features=2)
        if view.outputs is None:
            return features, features
        if view.outputs.kind != "logits":
            raise ValueError('ViM needs logits: declare them with response_method="decision_function".')
        return features, view.outputs.logits
