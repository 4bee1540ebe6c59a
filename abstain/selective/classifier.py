"""Any classifier, any score, any policy: the composition itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from abstain.asking.ask import ask, is_frozen, known_classes
from abstain.policies.base import Policy
from abstain.protocols import as_scorer, learns
from abstain.scores.probability import max_probability
from abstain.selective.posthoc import BasePostHoc
from abstain.selective.rows import REFUSALS, row_masks
from abstain.utils.annotations import Seed
from abstain.utils.fingerprints import NoPrints


class SelectiveClassifier(BasePostHoc):
    """Any classifier, any confidence score, any policy.

    Parameters
    ----------
    estimator : estimator, default=None
        The classifier. None is logistic regression, a `LinearProbe`. A `FrozenEstimator` is used as it is, and
        the data of ``fit`` as data that it has not seen; anything else is cross-fitted and refitted.
    scorer : callable or scorer, default=None
        A function ``proba -> (n,)`` as in `abstain.scores`, or an object with ``fit(X, target)`` and
        ``score_samples(X)`` such as `TrustHead`. None is maximum probability.
    policy : Policy, default=None
        None is ``TargetCoverage(0.9)``.
    cv : int, splitter or iterable, default=5
        Folds of the held-out outcomes and scores; stratified and shuffled for an integer, and by groups where `fit`
        is given ``groups``.
    response_method : {"predict_proba", "decision_function"}, default="predict_proba"
        What to ask the classifier for. "decision_function" declares that it returns logits.
    backbone : transformer, default=None
        Turns ``X`` into the features that the scorer sees; the classifier sees ``X`` as given.
    n_jobs : int, default=None
        Folds fitted at once.
    abstain_label : object, default=None
        What `decide` returns for an abstention. None chooses by the kind of the labels: -1 for integers (one below the
        smallest where -1 is a class), "abstain" for strings, NaN for floats.
    random_state : int, RandomState or None, default=None
        Seed of the folds and of the scorer.

    Attributes
    ----------
    estimator_ : estimator
        The classifier, fitted on all data.
    scorer_ : scorer
        The score, fitted on all held-out outcomes; a function is wrapped.
    policy_ : Policy
        The policy, with ``threshold_`` and ``certificate_``.
    report_ : Comparison
        AURC of the score beside that of maximum probability on the same held-out samples.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    abstain_label_ : object
        The label of an abstention.
    n_features_in_ : int
        Number of features.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from abstain import SelectiveClassifier, TargetCoverage
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = SelectiveClassifier(policy=TargetCoverage(0.8), cv=2).fit(X[:900], y[:900])
    >>> answered = clf.accept(X[900:])
    >>> bool((clf.predict(X[900:]) == y[900:])[answered].mean() > clf.score(X[900:], y[900:]))
    True
    """

    def __init__(
        self, estimator: Any = None, scorer: Any = None, policy: Policy | None = None, cv: Any = 5, *,
        response_method: str = "predict_proba", backbone: Any = None, n_jobs: int | None = None,
        abstain_label: Any = None, random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.scorer = scorer
        self.policy = policy
        self.cv = cv
        self.response_method = response_method
        self.backbone = backbone
        self.n_jobs = n_jobs
        self.abstain_label = abstain_label
        self.random_state = random_state

    def _make_scorer(self):
        return max_probability if self.scorer is None else self.scorer

    def _begin(self, X, y):
        if not hasattr(self, "policy_") and is_frozen(self.estimator) and not learns(as_scorer(self._make_scorer())):
            try:
                self.fit(X, y)
            except REFUSALS:
                rows = np.flatnonzero(self._answered(X))
                if not 0 < rows.size < _num_samples(X):
                    raise
                self.fit(_safe_indexing(X, rows), _safe_indexing(y, rows))
            self.row_prints_ = NoPrints()

    def _answered(self, X):
        """Which rows a frozen classifier has something to say of, (n,) of bool."""
        known, n = known_classes(self.estimator), _num_samples(X)

        def heard(part):
            return ask(self.estimator, part, self.response_method, known, False).values

        for good in row_masks(X, heard):
            good = np.ones(n, dtype=bool) if good is None else good
            try:
                values = heard(_safe_indexing(X, np.flatnonzero(good)))
            except REFUSALS:
                continue
            good[good] = ~np.isnan(values).any(axis=1)
            return good
        return np.zeros(n, dtype=bool)

    def _sees(self):
        return getattr(self.scorer, "sees", "proba")
