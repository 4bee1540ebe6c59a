"""Post-hoc selective classification: estimator + scorer + policy."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _safe_indexing, check_array, check_random_state, get_tags, indexable
from sklearn.utils.validation import validate_data

from abstain.metrics._compare import compare_aurc
from abstain.probes import LinearProbe
from abstain.scores.inputs import HeadInputs, shown
from abstain.scores.probability import max_probability
from abstain.selective import outcomes
from abstain.selective.base import BaseSelectiveClassifier, Evidence
from abstain.utils.validation import check_choice
from abstain.warnings import FewErrorsWarning, warn

_FEATURES = ("features", "both")
_LARGE = 5e8  # samples times features times classes


def top_probability(proba):
    """Maximum probability itself, in [0, 1]; what a trust head falls back to."""
    return proba.max(axis=1)


class BasePostHoc(MetaEstimatorMixin, BaseSelectiveClassifier):
    """Base of the classifiers that put a scorer and a policy behind an estimator.

    A subclass writes ``_make_scorer()``. What a scorer looks at, it says itself, by an attribute ``sees``:
    "proba" (the default), "log_proba", "logits", "features", "confidence" or "both". What it learns from, by
    ``target``: "correct" (the default), "tcp", "tcp_ratio" or "label". ``min_errors`` (default 0) is the number of
    held-out errors below which maximum probability takes its place. A scorer may cross-fit itself
    (``fit_held_out``) and turn held-out scores into probabilities (``recalibrate``).
    """

    outcomes = "held_out"
    response_method = "predict_proba"
    backbone: Any = None

    def _check_data(self, X, reset):
        if reset:
            self._check_parts()
        if isinstance(X, str | Path):
            raise ValueError(f"X is one path, {str(X)!r}; pass the files: paths, labels = image_folder(X).")
        if self.backbone is not None:
            if self.estimator is not None:
                return X  # the classifier takes it as it is, and the head sees what the backbone makes of it
            X = self._through_backbone(X)  # classifier and head share the features
        if self.estimator is None or self._sees() in _FEATURES:
            try:
                checked = validate_data(self, X, reset=reset, dtype="numeric")
            except (TypeError, ValueError) as error:
                if self.estimator is not None:
                    error.add_note('The score looks at features too; with head_inputs="confidence" it would not.')
                raise
            return X if hasattr(X, "iloc") else checked  # the estimator may want column names
        (X,) = indexable(X)
        if getattr(X, "ndim", 2) < 2 and np.asarray(X[:1]).dtype.kind in "biufc":  # texts may come in a vector
            raise ValueError(f"X must be two-dimensional; got shape {X.shape}. Reshape your data: X.reshape(1, -1).")
        validate_data(self, X, reset=reset, skip_check_array=True)
        return X

    def _check_parts(self):
        parts = ("estimator", "fit", "a classifier"), ("backbone", "transform", "a transformer such as TimmBackbone")
        for name, method, kind in parts:
            part = getattr(self, name)
            if part is not None and not hasattr(part, method):
                raise TypeError(f"{name} must be None or {kind}, with a method {method}; got {part!r}.")

    def _sees(self):
        return getattr(self._make_scorer(), "sees", "proba")

    def _answers(self, y):
        known = outcomes.known_classes(self.estimator)
        return super()._answers(y) if known is None else known

    def _fit(self, X, y, codes):
        outcome, held_out, folds = self._fit_estimator(X, y, codes)
        scorer = self._check_scorer(self._make_scorer(), outcome.correct)
        view = self._view(scorer, held_out, outcome.outputs)
        self.scorer_, score = _fit_scorer(scorer, view, self._target(scorer, outcome), outcome.correct, folds)
        self.report_ = compare_aurc(outcome.correct, score, max_probability(outcome.proba))
        return score, outcome.correct

    def _fit_estimator(self, X, y, codes):
        """Fit the estimator; return its held-out outcome, the samples of the outcome, and folds within them."""
        check_choice(self.outcomes, "outcomes", ("held_out", "training"))
        check_choice(self.response_method, "response_method", outcomes.RESPONSES)
        self.estimator_, outcome, rows, folds = outcomes.cross_fit(
            _default_estimator(X, self.classes_) if self.estimator is None else self.estimator,
            X, y, codes, self.classes_, self.cv,
            response=self.response_method, outcomes=self.outcomes, n_jobs=self.n_jobs,
            seed=check_random_state(self.random_state).randint(2**31),
        )  # fmt: skip
        return outcome, X if rows.size == len(codes) else _safe_indexing(X, rows), folds

    def _evaluate(self, X):
        images = self.backbone is not None and self.estimator is not None
        pieces = [X] if images else outcomes.data_blocks(X)
        blocks = [self._evaluate_block(piece) for piece in pieces]
        return Evidence(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))

    def _evaluate_block(self, X):
        outputs = outcomes.class_outputs(self.estimator_, X, self.response_method, self.classes_)
        score = _score(self.scorer_, self._view(self.scorer_, X, outputs))
        return Evidence(outcomes.to_proba(outputs, self.response_method), score)

    def _view(self, scorer, X, outputs):
        """What a scorer asks to see."""
        sees, response = getattr(scorer, "sees", "proba"), self.response_method
        if sees == "proba":
            return outcomes.to_proba(outputs, response)
        inputs = HeadInputs(
            self._features(X) if sees in _FEATURES else None,
            outcomes.to_log_proba(outputs, response),
            classes=self.classes_,
            logits=None if response == "predict_proba" else outputs,
        )
        return shown(inputs, sees)

    def _target(self, scorer, outcome):
        """What a scorer learns from; labels are those of the user."""
        target = getattr(scorer, "target", "correct")
        return self.classes_[outcome.codes] if target == "label" else getattr(outcome, target)

    def _features(self, X):
        if self.backbone is None or self.estimator is None:
            return X if isinstance(X, np.ndarray) else check_array(X, dtype="numeric")  # frames have mixed columns
        return check_array(self._through_backbone(X), dtype="numeric")

    def _through_backbone(self, X):
        try:
            return self.backbone.transform(X)
        except NotFittedError as error:
            error.add_note("Clones, as in searches, forget what a backbone learnt: pass FrozenEstimator(backbone).")
            raise

    def _check_scorer(self, scorer, correct):
        """Refuse a scorer that asks for logits where none are declared; replace one that has too little to learn."""
        if getattr(scorer, "sees", "proba") == "logits" and self.response_method == "predict_proba":
            raise ValueError(
                f"the scorer {getattr(scorer, '__name__', scorer)} needs logits, but the estimator is asked for "
                'probabilities. Declare its logits with response_method="decision_function".'
            )
        if not (callable(scorer) or hasattr(scorer, "score_samples")) or isinstance(scorer, type):
            raise TypeError(
                f"scorer must be a function of probabilities or have fit and score_samples; got {scorer!r}."
            )
        errors, needed = int((~correct).sum()), getattr(scorer, "min_errors", 0)
        if min(errors, correct.size - errors) >= needed:
            return scorer
        warn(
            f"{errors} errors among {correct.size} held-out predictions are not enough to learn from ({needed} errors "
            f"and {needed} right ones are needed): maximum probability is used instead. Give more data; and if there "
            "are no errors at all, were these the training samples of a frozen estimator?",
            FewErrorsWarning,
        )
        return top_probability

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if self.estimator is not None and self._sees() not in _FEATURES:
            inner = get_tags(self.estimator).input_tags
            tags.input_tags.allow_nan, tags.input_tags.sparse = inner.allow_nan, inner.sparse
        return tags


def _default_estimator(X, classes):
    """Logistic regression on standardised features; by the probe, whose optimum is the same, where that pays."""
    if float(np.prod(np.shape(X))) * len(classes) > _LARGE:
        return LinearProbe()
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def _score(scorer, view):
    score = scorer.score_samples(view) if hasattr(scorer, "score_samples") else scorer(view)
    return np.asarray(score, dtype=np.float64)


def _fit_scorer(scorer, view, target, correct, folds):
    """Fit a scorer on all held-out outcomes, and score each of them by a scorer that has not seen it."""
    if not (hasattr(scorer, "fit") or hasattr(scorer, "fit_held_out")):
        return scorer, _score(scorer, view)
    fitted = clone(scorer)
    if hasattr(fitted, "fit_held_out"):
        score = fitted.fit_held_out(view, target, folds)
    else:
        score = np.full(len(target), np.nan)
        for train, test in folds:
            score[test] = _score(clone(scorer).fit(view[train], target[train]), view[test])
        fitted.fit(view, target)
    if hasattr(fitted, "recalibrate"):
        score = fitted.recalibrate(score, correct)
    return fitted, score


class SelectiveClassifier(BasePostHoc):
    """Any classifier, any confidence score, any policy.

    Parameters
    ----------
    estimator : estimator, default=None
        The classifier. None is standardisation and logistic regression. A `FrozenEstimator` is used as it is, and
        the data of ``fit`` as data that it has not seen; anything else is cross-fitted and refitted.
    scorer : callable or scorer, default=None
        A function ``proba -> (n,)`` as in `abstain.scores`, or an object with ``fit(X, target)`` and
        ``score_samples(X)`` such as `TrustHead`. None is maximum probability.
    policy : Policy, default=None
        None is ``TargetCoverage(0.9)``.
    cv : int, splitter or iterable, default=5
        Folds of the held-out outcomes and scores; stratified and shuffled for an integer. For groups, pass the list
        of splits.
    response_method : {"predict_proba", "decision_function"}, default="predict_proba"
        What to ask the classifier for. "decision_function" declares that it returns logits.
    backbone : transformer, default=None
        Turns ``X`` into the features that the scorer sees; the classifier sees ``X`` as given.
    n_jobs : int, default=None
        Folds fitted at once.
    abstain_label : object, default=None
        What `decide` returns for an abstention; None chooses by the kind of the labels.
    random_state : int, RandomState or None, default=None
        Seed of the folds and of the scorer.

    Attributes
    ----------
    estimator_ : estimator
        The classifier, fitted on all data.
    scorer_ : callable or scorer
        The score, fitted on all held-out outcomes.
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
        self, estimator=None, scorer=None, policy=None, cv=5, *,
        response_method="predict_proba", backbone=None, n_jobs=None, abstain_label=None, random_state=None,
    ):  # fmt: skip
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
