"""A linear classifier that is held back on difficult samples while it learns."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils.validation import check_array

from abstain.asking.ask import ask
from abstain.classifiers.linear_probe import LinearProbe
from abstain.folds import held_out, make_folds, warn_missing_classes
from abstain.losses import DifficultyEntropyLoss
from abstain.outputs import ClassOutputs
from abstain.policies.base import Policy
from abstain.scores.gaussian.relative_mahalanobis import RelativeMahalanobis
from abstain.scores.weights import difficulty_weights, effective_size
from abstain.selective.base import BaseSelectiveClassifier, Evidence, HeldOut
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed, refuse_unreal
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import check_l2, rounding_of


class DifficultyAwareClassifier(BaseSelectiveClassifier):
    r"""Linear probe trained with the difficulty-weighted entropy regulariser.

    Parameters
    ----------
    alpha : float, default=0.3
        Strength of the entropy bonus; it must fall as the number of classes grows, see `DifficultyEntropyLoss`.
    scale : {"robust_z", "rank", "raw"}, default="robust_z"
        How difficulty becomes a weight; see `difficulty_weights`. "raw" is the paper's.
    temperature : float, default=None
        Temperature of the weights; None is that of the scale.
    difficulty : scorer, default=None
        What measures the difficulty of training samples: an object with ``fit(X, y)`` and
        ``training_difficulty(X, y)``. None is `RelativeMahalanobis`.
    l2 : float, default=1.0
        Penalty of the probe, as in `LinearProbe`; a number.
    policy : Policy, default=None
        None is ``TargetCoverage(0.9)``.
    cv : int, splitter or iterable, default=5
        Folds of the held-out scores.
    abstain_label : object, default=None
        What `decide` returns for an abstention. None chooses by the kind of the labels: -1 for integers (one below the
        smallest where -1 is a class), "abstain" for strings, NaN for floats.
    random_state : int, RandomState or None, default=None
        Seed of the folds.

    Attributes
    ----------
    estimator_ : LinearProbe
        The classifier.
    coef_ : ndarray of shape (n_classes, n_features)
        Weights.
    intercept_ : ndarray of shape (n_classes,)
        Intercepts.
    difficulty_ : ndarray of shape (n_samples,)
        Difficulty of the training samples at their labels, each left out of the model that measures it where that
        matters; the highest are suspects of a wrong label.
    weights_ : ndarray of shape (n_samples,)
        Their weights.
    effective_size_ : float
        Number of samples that the weights count for.
    policy_, classes_, abstain_label_, n_features_in_ : object
        As in `SelectiveClassifier`.

    Notes
    -----
    .. math:: \sum_i -\log p_{y_i} - \alpha\, s_i\, H(p_i) + \tfrac{\lambda}{2} \lVert W \rVert^2

    with s the difficulty weights. Scores are maximum probabilities of the probe, as log-odds.

    References
    ----------
    P. Cui et al., "Learning Sample Difficulty from Pre-trained Models for Reliable Prediction", NeurIPS 2023. There
    the weights train another network than the one that measures; of the constants none is verified.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from abstain import DifficultyAwareClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = DifficultyAwareClassifier(cv=2, random_state=0).fit(X[::2], y[::2])
    >>> bool(clf.score(X[1::2], y[1::2]) > 0.9)
    True
    """

    def __init__(
        self, alpha: float = 0.3, *, scale: str = "robust_z", temperature: float | None = None, difficulty: Any = None,
        l2: float = 1.0, policy: Policy | None = None, cv: Any = 5, abstain_label: Any = None,
        random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.alpha = alpha
        self.scale = scale
        self.temperature = temperature
        self.difficulty = difficulty
        self.l2 = l2
        self.policy = policy
        self.cv = cv
        self.abstain_label = abstain_label
        self.random_state = random_state

    def fit(
        self, X: Any, y: ArrayLike, *, difficulty_features: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Self:
        """Fit the probe and a first threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels.
        difficulty_features : array-like of shape (n_samples, d), default=None
            Features of the same samples by another network, in which difficulty is measured; needed in `fit` alone.
            None is ``X``. In the paper they come from a large pre-trained model.
        groups : array-like of shape (n_samples,), default=None
            Groups that no fold may divide.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        ValueError
            If the data are malformed, or hold one class only.
        """
        with unchanged_on_failure(self):
            return self._fit_steps(X, y, {"difficulty_features": difficulty_features, "groups": groups})

    def _fit(self, X, y, codes, difficulty_features, groups):
        check_l2(self.l2)
        measured = X if difficulty_features is None else _second_features(difficulty_features)
        if len(measured) != len(codes):
            raise ValueError(f"difficulty_features has {len(measured)} rows for {len(codes)} samples.")
        seed = check_seed(self.random_state).randint(2**31)
        labels = self.classes_[codes]
        folds = make_folds(self.cv, X, codes, groups=groups, seed=seed)
        warn_missing_classes(folds, codes, self.classes_)

        def fit(train):
            return self._probe(X[train], labels[train], self._weights(self._difficulty(measured[train], labels[train])))

        values = held_out(
            folds, fit, lambda probe, test: ask(probe, X[test], "decision_function", self.classes_, True).values
        )
        self.difficulty_ = self._difficulty(measured, labels)
        self.weights_ = self._weights(self.difficulty_)
        self.effective_size_ = effective_size(self.weights_)
        self.estimator_ = self._probe(X, labels, self.weights_)
        self.coef_, self.intercept_ = self.estimator_.coef_, self.estimator_.intercept_
        tested = folds.tested
        outputs = ClassOutputs(values[tested], "logits", self.classes_)
        answer = self.decision_rule.answer(outputs)
        return HeldOut(outputs.log_odds, self.decision_rule.loss(answer, codes[tested]), rounding_of(X))

    def _evaluate(self, X):
        heard = ask(self.estimator_, X, "decision_function", self.classes_, True)
        outputs = ClassOutputs(heard.values, "logits", self.classes_, heard.answer)
        return Evidence(self.decision_rule.answer(outputs), outputs.proba, outputs.log_odds)

    def _probe(self, X, labels, strength):
        return LinearProbe(self.l2, loss=DifficultyEntropyLoss(alpha=self.alpha)).fit(X, labels, strength=strength)

    def _difficulty(self, features, labels):
        scorer = RelativeMahalanobis() if self.difficulty is None else self.difficulty
        if isinstance(scorer, type) or not hasattr(scorer, "training_difficulty"):
            raise TypeError(
                f"difficulty must have fit and training_difficulty, as RelativeMahalanobis; got {scorer!r}."
            )
        return clone(scorer).fit(features, labels).training_difficulty(features, labels)

    def _weights(self, difficulty):
        return difficulty_weights(difficulty, scale=self.scale, temperature=self.temperature)


def _second_features(features):
    features = refuse_unreal(features, "difficulty_features")
    if np.ndim(features) != 2:
        raise ValueError(f"difficulty_features must have shape (n_samples, d); got shape {np.shape(features)}.")
    return check_array(features, dtype="numeric", input_name="difficulty_features")
