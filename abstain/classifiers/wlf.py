"""The weighted loss function on features, and what it does to probabilities, without training."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from abstain.classifiers.linear_probe import LinearProbe
from abstain.losses import WLFLoss
from abstain.utils.annotations import Seed
from abstain.utils.validation import check_number, check_proba

# beyond it, digits of float64 probabilities are lost to the point of no return
_WORST = 1e8


class WLFClassifier(LinearProbe):
    r"""A linear classifier trained on soft labels that say how near the classes are to each other.

    Parameters
    ----------
    weights : array-like of shape (n_classes, n_classes), or ClassSemantics, default=None
        Row i is the soft label of class i, in the order of sorted labels. Semantics give ``weights(temperature=...)``.
        None is plain cross-entropy.
    temperature : float, default=1.0
        Of the weights of semantics: below 1 sharpens them.
    l2 : float or "auto", default=1.0
        Penalty; see `LinearProbe`.
    standardise : bool, default=True
        Whether the penalty is meant for standardised features.
    max_iter : int, default=300
        Iterations.
    tol : float, default=None
        Where to stop; see `LinearProbe`.
    n_jobs : int, default=None
        Workers among which the rows are shared.
    device : str, default="cpu"
        "cpu" is NumPy; anything else is a torch device.
    random_state : int, RandomState or None, default=None
        Seed of the split behind ``l2="auto"``.

    Attributes
    ----------
    weights_ : ndarray of shape (n_classes, n_classes)
        Soft labels in the order of ``classes_``.
    coef_, intercept_, l2_, loss_, classes_, n_features_in_, n_iter_ : object
        As in `LinearProbe`.

    See Also
    --------
    WLFTransform : The same on probabilities of a classifier that is trained already.
    CostSensitiveClassifier : The same answers, with probabilities that stay true.

    Notes
    -----
    ``predict_proba`` are soft labels, not probabilities of being right: see `abstain.losses.WLFLoss`.

    References
    ----------
    The weighted loss function of A. Agarwal et al.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from abstain import ClassSemantics, WLFClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> flowers = ClassSemantics.from_matrix([[0, 4, 4], [4, 0, 1], [4, 1, 0]])
    >>> WLFClassifier(flowers, temperature=0.5).fit(X, y).predict_proba(X[50:51]).round(1)
    array([[0. , 0.6, 0.4]])
    """

    def __init__(
        self, weights: Any = None, *, temperature: float = 1.0, l2: float | str = 1.0, standardise: bool = True,
        max_iter: int = 300, tol: float | None = None, n_jobs: int | None = None, device: str = "cpu",
        random_state: Seed = None,
    ) -> None:  # fmt: skip
        super().__init__(
            l2, standardise=standardise, max_iter=max_iter, tol=tol, n_jobs=n_jobs, device=device,
            random_state=random_state,
        )  # fmt: skip
        self.weights = weights
        self.temperature = temperature

    @classmethod
    def _get_param_names(cls):
        return sorted({*super()._get_param_names()} - {"loss"})

    def _loss(self):
        check_number(self.temperature, "temperature", above=0)
        weights = self.weights
        if hasattr(weights, "aligned"):
            weights = weights.aligned(self.classes_).weights(temperature=self.temperature)
        loss = WLFLoss(np.eye(len(self.classes_)) if weights is None else weights)
        if len(loss.weights) != len(self.classes_):
            raise ValueError(
                f"weights must have a row for each of the {len(self.classes_)} classes in y; got {len(loss.weights)}."
            )
        self.weights_ = loss.weights
        return loss


class WLFTransform(TransformerMixin, BaseEstimator):
    """What training on soft labels does to calibrated probabilities, and back: ``P @ W``.

    Parameters
    ----------
    weights : array-like of shape (n_classes, n_classes), default=None
        Row i is the soft label of class i. None is the identity.

    Attributes
    ----------
    weights_ : ndarray of shape (n_classes, n_classes)
        The weights.
    condition_ : float
        Their condition number: by how much errors of probabilities may grow on the way back.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.classifiers import WLFTransform
    >>> transform = WLFTransform([[0.9, 0.1], [0.1, 0.9]]).fit([[0.7, 0.3]])
    >>> soft = transform.transform([[0.7, 0.3]])
    >>> soft, transform.inverse_transform(soft).round(6)
    (array([[0.66, 0.34]]), array([[0.7, 0.3]]))
    """

    def __init__(self, weights: ArrayLike | None = None) -> None:
        self.weights = weights

    def fit(self, X: Any, y: None = None) -> Self:
        """Check the weights against probabilities.

        Parameters
        ----------
        X : array-like of shape (n, n_classes)
            Probabilities.
        y : None
            Not looked at.

        Returns
        -------
        self : object
            Fitted.
        """
        n_classes = self._checked(X, reset=True).shape[1]
        weights = WLFLoss(np.eye(n_classes) if self.weights is None else self.weights).weights
        if len(weights) != n_classes:
            raise ValueError(f"weights must have a row for each of the {n_classes} columns of X; got {len(weights)}.")
        self.weights_, self.condition_ = weights, float(np.linalg.cond(weights))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Mix probabilities as the soft labels do.

        Parameters
        ----------
        X : array-like of shape (n, n_classes)
            Probabilities.

        Returns
        -------
        soft : ndarray of shape (n, n_classes)
            ``X @ weights_``.
        """
        check_is_fitted(self)
        return self._checked(X) @ self.weights_

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Undo the mixing, as for a network that was trained on soft labels and is to be calibrated.

        Parameters
        ----------
        X : array-like of shape (n, n_classes)
            Mixed probabilities.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Probabilities; where noise makes them negative they are cut at zero, and rows summed to one again.

        Raises
        ------
        ValueError
            If the weights cannot be inverted.
        """
        check_is_fitted(self)
        if not self.condition_ < _WORST:
            raise ValueError(
                f"weights are singular, or nearly so (condition number {self.condition_:.3g}): different probabilities "
                "are mixed into the same. Sharpen the weights: a smaller temperature or mix."
            )
        proba = np.maximum(np.linalg.solve(self.weights_.T, self._checked(X).T).T, 0.0)
        return proba / proba.sum(axis=1, keepdims=True)

    def _checked(self, X, reset=False):
        validate_data(self, X if hasattr(X, "columns") else np.asarray(X), reset=reset, skip_check_array=True)
        return check_proba(X, "X", "take their softmax").astype(np.float64)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # rows must be probabilities, which data of a check are not
        return tags
