"""A second classifier's opinion of the first one's predictions."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from abstain.outputs import LOWEST, ClassOutputs, compressed, log_total, split_at
from abstain.solvers.forest import SmoothedTrees
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed, check_table, label_column
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.labels import label_codes
from abstain.views import View, as_view

# no classifier is surer than one error in a million; beyond, there is order and little else
_LIMIT = np.log(1e6)


class SecondOpinion(BaseEstimator):
    """Log-odds that another classifier, trained on the same labels, gives the predicted class.

    Parameters
    ----------
    estimator : estimator, default=None
        A classifier with ``predict_proba``, best of another kind than the first. None is 200 extremely randomised
        trees, whose leaves are never surer than their samples can bear.
    random_state : int, RandomState or None, default=None
        Seed of the default.

    Attributes
    ----------
    estimator_ : estimator
        The second classifier, fitted.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    Where two classifiers that make different mistakes disagree, the first is more often wrong than its probability
    says. Given a plain matrix, without predictions to judge, it scores its own.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from abstain import SecondOpinion
    >>> X, y = load_iris(return_X_y=True)
    >>> SecondOpinion(random_state=0).fit(X[::2], y[::2]).score_samples(X[1::2]).shape
    (75,)
    """

    sees = "both"
    target = "label"
    # what `columns` measure, for an explanation
    topics = ("opinion", "opinion")

    def __init__(self, estimator: Any = None, *, random_state: Seed = None) -> None:
        self.estimator = estimator
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit the second classifier.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Features.
        y : array-like of shape (n,)
            Labels.

        Returns
        -------
        self : object
            Fitted scorer.

        Raises
        ------
        TypeError
            If the estimator has no ``predict_proba``.
        """
        with unchanged_on_failure(self):
            return self._fit(X, y)

    def _fit(self, X, y):
        features, y = check_table(self, as_view(X).features, y=label_column(y), dtype="numeric")
        label_codes(y, least=1)
        estimator = self._default() if self.estimator is None else clone(self.estimator)
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"estimator must have predict_proba; {type(estimator).__name__} has none. Wrap it in "
                "CalibratedClassifierCV."
            )
        self.estimator_ = estimator.fit(features, y)
        self.classes_, self._columns = np.unique(self.estimator_.classes_, return_index=True)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Score samples.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Features, with the predictions of the first classifier.

        Returns
        -------
        score : ndarray of shape (n,)
            Log-odds of the predicted class; larger is safer.
        """
        return self._judge(as_view(X))[0][:, 0]

    def columns(self, view: View) -> np.ndarray:
        """Log-odds of the predicted class, and its lead over the best other class in log-probability.

        Parameters
        ----------
        view : View
            Features and class outputs.

        Returns
        -------
        columns : ndarray of shape (n, 2)
            Larger is safer, compressed beyond the log-odds of one in a million; NaN where the second classifier has not
            seen the predicted class.
        """
        columns, codes = self._judge(view)
        columns[codes == len(self.classes_)] = np.nan
        return columns

    def _judge(self, view):
        check_is_fitted(self)
        features = check_table(self, view.features, reset=False, dtype="numeric")
        outputs = ClassOutputs(self.estimator_.predict_proba(features)[:, self._columns])
        codes = outputs.answer if view.answer is None else view.answer_among(self.classes_)
        # a last class stands for answers that the second classifier has not seen
        log_proba = np.column_stack([outputs.log_proba, np.full(len(codes), -np.inf)])
        own, others = split_at(np.maximum(log_proba, LOWEST), codes)
        lead = own - others.max(axis=1)
        return compressed(np.column_stack([own - log_total(others), lead]), _LIMIT), codes

    def _default(self):
        seed = check_seed(self.random_state).randint(2**31)
        return SmoothedTrees(200, random_state=seed)
