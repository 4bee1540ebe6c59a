"""Reaching a selective classifier through pipelines and searches, which hide all methods but their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from abstain.policies.base import Policy
from abstain.selective.evidence import Evidence
from abstain.selective.explanation import Explanation
from abstain.utils.unwrap import unwrap


def evaluate(model: Any, X: Any) -> Evidence:
    """Answer, class probabilities and score of every sample, through pipelines and searches.

    Parameters
    ----------
    model : estimator
        A fitted selective classifier, or a fitted Pipeline or search around one.
    X : array-like of shape (n_samples, n_features)
        Data, as ``model`` takes them.

    Returns
    -------
    evidence : Evidence
        Its ``answer`` holds indices into ``classes_`` of the model.

    Raises
    ------
    TypeError
        If there is no selective classifier inside.

    Examples
    --------
    >>> import abstain
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> abstain.evaluate(abstain.SelectiveClassifier().fit(X, y), X).proba.shape
    (150, 3)
    """
    classifier, X = unwrap(model, X)
    return classifier.evaluate(X)


def decide(model: Any, X: Any, groups: ArrayLike | None = None) -> np.ndarray:
    """Predict or abstain, through pipelines and searches, which hide ``decide``.

    Parameters
    ----------
    model : estimator
        A fitted selective classifier, or a fitted Pipeline or search around one.
    X : array-like of shape (n_samples, n_features)
        Data, as ``model`` takes them.
    groups : array-like of shape (n_samples,), default=None
        Groups, for a policy with a threshold for each.

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
    return classifier.decide(X, groups)


def explain(model: Any, X: Any, groups: ArrayLike | None = None) -> list[Explanation]:
    """Say why each prediction is given or held back, through pipelines and searches, which hide ``explain``.

    Parameters
    ----------
    model : estimator
        A fitted selective classifier, or a fitted Pipeline or search around one.
    X : array-like of shape (n_samples, n_features)
        Data, as ``model`` takes them.
    groups : array-like of shape (n_samples,), default=None
        Groups, for a policy with a threshold for each.

    Returns
    -------
    explanations : list of Explanation
        One a sample; print them.

    Raises
    ------
    TypeError
        If there is no selective classifier inside.

    Examples
    --------
    >>> import abstain
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = abstain.SelectiveClassifier(random_state=0).fit(X, y)
    >>> print(abstain.explain(model, X[[77]])[0].reasons)
    ('a close call with 1',)
    """
    classifier, X = unwrap(model, X)
    return classifier.explain(X, groups)


def fit_policy(
    model: Any, X: Any, y: ArrayLike, policy: Policy | None = None, *, groups: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> Policy:  # fmt: skip
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
    clusters : array-like of shape (n_samples,), default=None
        What is exchangeable, if not rows: the film of a frame, the patient of a record.

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
    return classifier.fit_policy(X, y, policy, groups=groups, clusters=clusters).policy_
