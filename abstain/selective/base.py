"""The contract that every selective classifier keeps: one private evaluation, all public methods on top of it."""

from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from abstain.selective.policies import TargetCoverage
from abstain.utils.fingerprints import fingerprints, repeats
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.labels import abstain_label, fill_abstentions
from abstain.warnings import OverlapWarning, warn


class Evidence(NamedTuple):
    """What a fitted model says of n samples, from one pass over them."""

    proba: np.ndarray  # (n, K), columns in the order of classes_
    score: np.ndarray  # (n,), larger is safer


class BaseSelectiveClassifier(ClassifierMixin, BaseEstimator):
    """Base of all selective classifiers.

    A subclass stores ``policy`` and ``abstain_label`` in its constructor and writes two methods.

    ``_fit(X, y, codes)`` learns, and returns held-out scores and correctness for the policy. A subclass whose ``fit``
    takes more hands it on through ``_fit_all``.
    ``_evaluate(X)`` returns the `Evidence` of data that are already checked.

    It may refine ``_check_data(X, reset)`` and ``_answers(y)``, the labels that are possible answers.
    """

    def fit(self, X, y):
        """Fit the classifier, its score and a first threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data. With a frozen estimator, data that it has not seen.
        y : array-like of shape (n_samples,)
            Labels: integers, strings, floats or booleans.

        Returns
        -------
        self : object
            Fitted estimator. Its threshold carries no guarantee; see `fit_policy`.

        Raises
        ------
        ValueError
            If the data are malformed, hold one class only, or a label is unknown to a frozen estimator.
        """
        return self._fit_all(X, y)

    def _fit_all(self, X, y, **options):
        with unchanged_on_failure(self):
            return self._fit_steps(X, y, **options)

    def _fit_steps(self, X, y, **options):
        policy = self._policy(self.policy)
        X = self._check_data(X, reset=True)
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        self.classes_ = self._answers(y)
        self.abstain_label_ = abstain_label(self.classes_, self.abstain_label)
        score, correct = self._fit(X, y, self._codes(y), **options)
        self.policy_ = policy.fit(score, correct, disjoint=False)
        self._fingerprints = fingerprints(X)
        return self

    def predict(self, X):
        """Predict a label for every sample, without abstaining.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            The class of largest probability.
        """
        return self._labels(self._look(X))

    def predict_proba(self, X):
        """Class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return self._look(X).proba

    def score_samples(self, X):
        """Confidence of the prediction of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        score : ndarray of shape (n_samples,)
            Larger is safer.
        """
        return self._look(X).score

    def accept(self, X):
        """Say which predictions may be acted on.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        accept : ndarray of shape (n_samples,) of bool
            True where the policy accepts the score.
        """
        score = self.score_samples(X)
        return self.policy_.accept(score)

    def decide(self, X):
        """Predict, or abstain.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            As `predict`, with ``abstain_label_`` where the policy does not accept.
        """
        evidence = self._look(X)
        return fill_abstentions(self._labels(evidence), self.policy_.accept(evidence.score), self.abstain_label_)

    def fit_policy(self, X, y, policy=None, *, groups=None):
        """Choose the threshold anew on a calibration set, leaving everything else as it is.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Calibration data: fresh, never used to fit or to choose anything.
        y : array-like of shape (n_samples,)
            Their labels; classes may be missing.
        policy : Policy, default=None
            For example ``TargetRisk(0.02)``. None is the policy of the constructor.
        groups : array-like of shape (n_samples,), default=None
            Groups in each of which a risk bound must hold.

        Returns
        -------
        self : object
            With a new ``policy_``, whose ``certificate_`` says what is guaranteed.

        Raises
        ------
        ValueError
            If the calibration set is empty or holds a label that is not in ``classes_``.
        """
        policy = self._policy(policy or self.policy)
        check_is_fitted(self)
        X = self._check_data(X, reset=False)
        codes = self._codes(column_or_1d(y, warn=True))
        check_consistent_length(X, codes)
        evidence = self._evaluate(X)
        correct = evidence.proba.argmax(axis=1) == codes
        disjoint = self._is_new(X)
        self.policy_ = policy.fit(evidence.score, correct, groups=groups, disjoint=disjoint)
        return self

    def _look(self, X) -> Evidence:
        check_is_fitted(self)
        return self._evaluate(self._check_data(X, reset=False))

    def _check_data(self, X, reset):
        return validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])

    def _labels(self, evidence):
        return self.classes_[evidence.proba.argmax(axis=1)]

    def _answers(self, y):
        check_classification_targets(y)
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(f"y holds 1 class, {classes.tolist()}; a classifier needs at least 2 classes.")
        return classes

    def _codes(self, y):
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise ValueError(
                f"y holds labels that are not among the classes of the classifier: {unknown[:5].tolist()}. "
                f"Known are {self.classes_[:5].tolist()}{' ...' if len(self.classes_) > 5 else ''}. Drop those "
                "samples, or refit with them."
            )
        return np.searchsorted(self.classes_, y)

    @staticmethod
    def _policy(policy):
        if policy is None:
            return TargetCoverage()
        if isinstance(policy, type) or not (hasattr(policy, "fit") and hasattr(policy, "accept")):
            raise TypeError(f"policy must be a policy such as TargetRisk(0.05); got {policy!r}.")
        return clone(policy)

    def _is_new(self, X):
        """Whether calibration rows are new; None where rows cannot be compared, or chance explains the repeats."""
        new = fingerprints(X)
        if self._fingerprints is None or new is None:
            return None
        found = [repeats(seen, rows) for seen, rows in zip(self._fingerprints, new, strict=True)]
        count = max(count for count, _ in found)
        if any(reused for _, reused in found):
            warn(
                f"{count} of the {new[0].size} calibration rows were also in fit: the certificate guarantees nothing. "
                "Hold a calibration set out before fitting.",
                OverlapWarning,
            )
            return False
        return None if found[0][0] else True


def unwrap(model, X):
    """Find the selective classifier inside pipelines and searches, and the data as it sees them.

    Parameters
    ----------
    model : estimator
        A fitted selective classifier, or a fitted Pipeline or search around one, nested as you like.
    X : array-like
        Data, as ``model`` takes them.

    Returns
    -------
    classifier : BaseSelectiveClassifier
        The classifier.
    X : array-like
        The data after the transformers.

    Raises
    ------
    TypeError
        If there is no selective classifier inside.
    """
    if hasattr(model, "decide"):
        return model, X
    if hasattr(model, "best_estimator_"):
        return unwrap(model.best_estimator_, X)
    if hasattr(model, "steps"):
        return unwrap(model[-1], model[:-1].transform(X) if len(model) > 1 else X)
    raise TypeError(
        f"{type(model).__name__} has no decide, and is no fitted Pipeline or search around a selective classifier. "
        "Wrap the classifier: SelectiveClassifier(estimator)."
    )


def decide(model, X):
    """Predict or abstain, through pipelines and searches, which hide ``decide``.

    Parameters
    ----------
    model : estimator
        A fitted selective classifier, or a fitted Pipeline or search around one.
    X : array-like of shape (n_samples, n_features)
        Data, as ``model`` takes them.

    Returns
    -------
    labels : ndarray of shape (n_samples,)
        Predictions, with the sentinel where the classifier abstains.

    Raises
    ------
    TypeError
        If there is no selective classifier inside.

    Examples
    --------
    >>> import abstain
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), abstain.SelectiveClassifier(policy=abstain.TargetCoverage(0.8)))
    >>> float((abstain.decide(model.fit(X, y), X) != -1).mean()) > 0.7
    True
    """
    classifier, X = unwrap(model, X)
    return classifier.decide(X)


def fit_policy(model, X, y, policy=None, *, groups=None):
    """Choose the threshold on a calibration set, through pipelines and searches.

    Parameters
    ----------
    model : estimator
        A fitted selective classifier, or a fitted Pipeline or search around one.
    X : array-like of shape (n_samples, n_features)
        Calibration data, as ``model`` takes them.
    y : array-like of shape (n_samples,)
        Their labels.
    policy : Policy, default=None
        None is the policy of the constructor.
    groups : array-like of shape (n_samples,), default=None
        Groups in each of which a risk bound must hold.

    Returns
    -------
    policy : Policy
        The fitted policy, now part of ``model``.

    Raises
    ------
    TypeError
        If there is no selective classifier inside.
    """
    classifier, X = unwrap(model, X)
    return classifier.fit_policy(X, y, policy, groups=groups).policy_
