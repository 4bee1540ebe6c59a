"""A second classifier's opinion of the first one's predictions."""

import numpy as np
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from abstain.scores.inputs import as_inputs
from abstain.scores.probability import log_probabilities

# no classifier is surer than one error in a million
_FLOOR = np.log(1e-6)


class SecondOpinion(BaseEstimator):
    """Log-odds that another classifier, trained on the same labels, gives the predicted class.

    Parameters
    ----------
    estimator : estimator, default=None
        A classifier with ``predict_proba``, best of another kind than the first. None is 200 extremely randomised
        trees.
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
    # what `evidence` measures, for an explanation
    evidence_topics = ("opinion", "opinion")

    def __init__(self, estimator=None, *, random_state=None):
        self.estimator = estimator
        self.random_state = random_state

    def fit(self, X, y):
        """Fit the second classifier.

        Parameters
        ----------
        X : array-like of shape (n, d), or head inputs
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
        features, y = validate_data(self, as_inputs(X).features, y, dtype="numeric")
        check_classification_targets(y)
        estimator = self._default() if self.estimator is None else clone(self.estimator)
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"estimator must have predict_proba; {type(estimator).__name__} has none. Wrap it in "
                "CalibratedClassifierCV."
            )
        self.estimator_ = estimator.fit(features, y)
        self.classes_, self._columns = np.unique(self.estimator_.classes_, return_index=True)
        return self

    def score_samples(self, X):
        """Score samples.

        Parameters
        ----------
        X : array-like of shape (n, d), or head inputs
            Features, with the predictions of the first classifier.

        Returns
        -------
        score : ndarray of shape (n,)
            Log-odds of the predicted class; larger is safer.
        """
        return self._judge(as_inputs(X))[0][:, 0]

    def evidence(self, inputs):
        """Log-odds of the predicted class, and its lead over the best other class in log-probability.

        Parameters
        ----------
        inputs : HeadInputs
            Features, with log-probabilities.

        Returns
        -------
        columns : ndarray of shape (n, 2)
            Larger is safer, within the log-odds of one in a million; NaN where the second classifier has not seen the
            predicted class.
        """
        columns, codes = self._judge(inputs)
        columns[codes == len(self.classes_)] = np.nan
        return columns

    def _judge(self, inputs):
        check_is_fitted(self)
        features = validate_data(self, inputs.features, reset=False, dtype="numeric")
        log_proba = log_probabilities(self.estimator_.predict_proba(features)[:, self._columns])
        log_proba = np.maximum(log_proba, _FLOOR)
        missing = np.full((len(log_proba), 1), _FLOOR)  # for a predicted class that the second one has not seen
        log_proba = np.append(log_proba, missing, axis=1)
        codes = log_proba.argmax(axis=1) if inputs.predicted is None else inputs.predicted_among(self.classes_)
        at = np.arange(len(log_proba)), codes
        own = log_proba[at]
        log_proba[at] = -np.inf
        lead = own - np.maximum(log_proba.max(axis=1), _FLOOR)
        odds = own - np.maximum(logsumexp(log_proba, axis=1), _FLOOR)
        return np.column_stack([odds, lead]), codes

    def _default(self):
        seed = check_random_state(self.random_state).randint(2**31)
        return ExtraTreesClassifier(200, random_state=seed)
