"""Post-hoc selective classification: estimator + scorer + policy."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.utils import _safe_indexing, check_array, get_tags

from abstain.asking.ask import RESPONSES, ask, data_blocks, is_frozen, known_classes, said, takes_nan
from abstain.asking.cross_fit import Question, cross_fit, is_fitted
from abstain.asking.routing import routed, router
from abstain.backbones.images import Images
from abstain.backbones.trainable import check_trainable
from abstain.classifiers.linear_probe import LinearProbe
from abstain.folds import held_out
from abstain.heads.confidence import RecalibratedConfidence
from abstain.metrics._compare import compare_aurc
from abstain.protocols import as_scorer, declared, learns, name_of, score_of
from abstain.scores.probability import max_probability
from abstain.selective.base import BaseSelectiveClassifier, Evidence
from abstain.selective.outcomes import Outcome
from abstain.utils.borders import check_data, check_seed, check_table
from abstain.utils.fingerprints import NoPrints
from abstain.utils.validation import check_choice, check_flag, check_jobs, rounding_of
from abstain.views import FEATURES, View, shown
from abstain.warnings import FewErrorsWarning, warn


class BasePostHoc(MetaEstimatorMixin, BaseSelectiveClassifier):
    """Base of the classifiers that put a scorer and a policy behind an estimator.

    A subclass writes ``_make_scorer()``; what a scorer is, is in `abstain.protocols`. It says by ``_sees()`` what its
    scorer will look at, so that nothing is built to answer a question about data.
    """

    outcomes = "held_out"
    response_method = "predict_proba"
    head_inputs = "both"
    backbone: Any = None
    fit_backbone: Any = False
    checkpoint: Any = None
    training: Any = None

    def _sees(self):
        return self.head_inputs

    def _check_data(self, X, reset, finite):
        if reset:
            self._check_parts()
        if isinstance(X, str | Path):
            raise ValueError(f"X is one path, {str(X)!r}; pass the files: paths, labels = image_folder(X).")
        if self.backbone is not None:
            if self.estimator is not None or self.fit_backbone:
                return X  # the classifier takes it as it is, and the head sees what the backbone makes of it
            X = self._through_backbone(X)  # classifier and head share the features
        if self.estimator is None or self._sees() in FEATURES:
            finite = "allow-nan" if finite and self._takes_nan() else finite
            try:
                checked = check_table(self, X, reset=reset, dtype="numeric", ensure_all_finite=finite)
            except (TypeError, ValueError) as error:
                if self.estimator is not None:
                    error.add_note('The score looks at features too; with head_inputs="confidence" it would not.')
                raise
            return X if hasattr(X, "iloc") else checked  # the estimator may want column names
        return check_data(self, X, reset=reset)

    def _check_fitted(self):
        inner = self.estimator
        if not hasattr(self, "policy_") and inner is not None and not is_frozen(inner) and is_fitted(inner):
            raise NotFittedError(
                f"This {type(self).__name__} is not fitted, though its estimator is. Call fit on data that the "
                f"{type(inner).__name__} has not seen, with FrozenEstimator({type(inner).__name__}(...)) to keep it as "
                "it is."
            )
        super()._check_fitted()

    def _check_parts(self):
        parts = ("estimator", "fit", "a classifier"), ("backbone", "transform", "a transformer such as TimmBackbone")
        for name, method, kind in parts:
            part = getattr(self, name)
            if part is not None and (isinstance(part, type) or not hasattr(part, method)):
                raise TypeError(f"{name} must be None or {kind}, with a method {method}; got {part!r}.")
        if check_flag(self.fit_backbone, "fit_backbone"):
            check_trainable(self.backbone, self.training)
        elif self.checkpoint is not None:
            raise ValueError(f"checkpoint is for fit_backbone=True; got {self.checkpoint!r} without it.")

    def _takes_nan(self):
        return self.estimator is not None and takes_nan(self.estimator)

    def _answers(self, y):
        known = known_classes(self.estimator)
        return super()._answers(y) if known is None else known

    def _fit(self, X, y, codes, **params):
        fit, outcome, samples, seed = self._fit_estimator(X, y, codes, params)
        scorer = self._enough(as_scorer(self._make_scorer()), outcome)
        view, model = self._view(scorer, samples, outcome.outputs), fit.model
        if fit.stressed is not None and hasattr(view, "stressed"):
            view.stressed = self._stressed_view(scorer, X, fit)
        self.scorer_, score = scorer, None
        if learns(scorer):
            folds = fit.inner_folds(outcome.correct, seed)
            fitted, score = _fit_scorer(scorer, view, outcome, folds)
            self.scorer_, score = self._kept(fitted, score, view, outcome, folds)
            model = folds.scored_by
        raw = score_of(scorer, view) if score is None else score
        score = raw.astype(np.float64)
        known = ~np.isnan(score)
        if not known.any():
            raise ValueError(f"scorer {name_of(scorer)} gives no held-out sample a score: all are NaN or infinite.")
        outcome, score = outcome[known], score[known]
        self.report_ = self._report(outcome, score, model[known])
        own = getattr(self.scorer_, "rounding", 0.0)
        rounding = max(outcome.outputs.rounding, rounding_of(X), rounding_of(raw), own)
        evidence = Evidence(outcome.answer, outcome.outputs.proba, score)
        return self._labelled(evidence, outcome.codes)._replace(rounding=rounding)

    def _kept(self, scorer, score, view, outcome, folds):
        """Return a fitted scorer with its held-out scores, or what a subclass uses in its place."""
        return scorer, score

    def _report(self, outcome, score, model):
        """What held-out labels say of the score."""
        return compare_aurc(
            None, score, outcome.outputs.log_odds, loss=outcome.loss, model=model, name=name_of(self.scorer_),
            baseline_name="maximum probability",
        )  # fmt: skip

    def _fit_estimator(self, X, y, codes, params):
        """Fit the estimator; return the fit, its held-out outcome, the samples of that, and a seed for more folds."""
        check_choice(self.outcomes, "outcomes", ("held_out", "training"))
        check_choice(self.response_method, "response_method", tuple(RESPONSES))
        check_choice(self.head_inputs, "head_inputs", ("both", "features", "confidence"))
        check_jobs(self.n_jobs)
        seed = check_seed(self.random_state).randint(2**31)
        groups, fit_params = routed(self, params)
        question = Question(
            self.response_method, self.classes_, self.cv, seed, self.n_jobs, groups, fit_params,
            self.outcomes == "training", self._under_stress(X),
        )  # fmt: skip
        fit = self._calibrated(cross_fit(self._estimator(), X, y, codes, question), codes, seed)
        self.estimator_, self.answers_by_argmax_ = fit.estimator, fit.by_argmax
        self.response_method_ = self.response_method
        codes = codes[fit.rows]
        answer = self.decision_rule.answer(fit.outputs)
        outcome = Outcome(fit.outputs, answer, codes, self.decision_rule.loss(answer, codes))
        samples = X if fit.rows.size == fit.folds.n else _safe_indexing(X, fit.rows)
        return fit, outcome, samples, seed

    def _under_stress(self, X):
        """Return the same data otherwise measured, of which the classifier is asked, too; None for none."""

    def _stressed_view(self, scorer, X, fit):
        """What a scorer asks to see, and how much noise it is under; of data that `_under_stress` gave."""
        raise NotImplementedError

    def _calibrated(self, fit, codes, seed):
        """What was said of held-out samples, or what a subclass makes of that."""
        return fit

    def _estimator(self):
        return LinearProbe() if self.estimator is None else self.estimator

    def get_metadata_routing(self):
        """Say which part is given which parameter of `fit`.

        Returns
        -------
        routing : MetadataRouter
            As scikit-learn's metadata routing asks for.
        """
        return router(self, self._estimator(), self.cv)

    def _evaluate(self, X):
        images = self.backbone is not None and self.estimator is not None
        pieces = [X] if images else data_blocks(X)
        blocks = [self._evaluate_block(piece) for piece in pieces]
        return blocks[0] if len(blocks) == 1 else Evidence(*map(np.concatenate, zip(*blocks, strict=True)))

    def _evaluate_block(self, X):
        values, answer, features = self._heard(X)
        bad = np.isnan(values).any(axis=1)
        if declared(self.scorer_, "sees") in FEATURES:
            bad |= np.isnan(features).any(axis=1)
        if not bad.any():
            return self._judged(values, answer, features)
        n, k = values.shape
        evidence = Evidence(np.full(n, -1), np.full((n, k), np.nan), np.full(n, np.nan))
        if not bad.all():
            seen = None if features is None else _safe_indexing(features, np.flatnonzero(~bad))
            part = self._judged(values[~bad], answer[~bad], seen)
            for whole, some in zip(evidence, part, strict=True):
                whole[~bad] = some
        return evidence

    def _heard(self, X):
        """Values and answers of the estimator, and the features that the scorer sees."""
        values, answer = ask(self.estimator_, X, self.response_method_, self.classes_, self.answers_by_argmax_)
        return values, answer, self._seen(self.scorer_, X)

    def _shown(self, values, answer, features):
        """Class outputs, and what the scorer is shown."""
        outputs = self._said(values, answer)
        return outputs, shown(View(features, outputs), declared(self.scorer_, "sees"))

    def _said(self, values, answer):
        return said(self.estimator_, values, answer, self.response_method_, self.classes_)

    def _judged(self, values, answer, features):
        outputs, view = self._shown(values, answer, features)
        return Evidence(
            self.decision_rule.answer(outputs), outputs.proba, score_of(self.scorer_, view).astype(np.float64)
        )

    def _view(self, scorer, X, outputs):
        """What a scorer asks to see."""
        sees = declared(scorer, "sees")
        if sees == "logits" and outputs.kind != "logits":
            raise ValueError(
                f"the scorer {name_of(scorer)} needs logits, but the estimator is asked for "
                'probabilities. Declare its logits with response_method="decision_function".'
            )
        return shown(View(self._seen(scorer, X, reset=True), outputs), sees)

    def _seen(self, scorer, X, reset=False):
        """What a scorer sees beside what the classifier says: features, images, or nothing."""
        sees = declared(scorer, "sees")
        if sees == "images":
            return Images(X)
        return self._features(X, reset) if sees in FEATURES else None

    def _features(self, X, reset=False):
        """Features that a scorer sees; where the classifier takes missing values, filled and flagged."""
        if self.backbone is not None and self.estimator is not None:
            return check_array(self._through_backbone(X), dtype="numeric", ensure_all_finite="allow-nan")
        if not isinstance(X, np.ndarray):
            X = check_array(X, dtype="numeric", ensure_all_finite="allow-nan")  # frames have mixed columns
        if not self._takes_nan():
            return X
        if reset:
            self.imputer_ = SimpleImputer(strategy="median", keep_empty_features=True, add_indicator=True).fit(X)
        return self.imputer_.transform(X)

    def _through_backbone(self, X):
        try:
            return self.backbone.transform(X)
        except NotFittedError as error:
            error.add_note(
                "Fit the backbone first, and pass FrozenEstimator(backbone), whose clones, as in searches, stay fitted."
            )
            raise

    def _enough(self, scorer, outcome):
        """Return the scorer, or the confidence of the classifier where there is too little to learn from."""
        errors, n = int((~outcome.correct).sum()), len(outcome.correct)
        needed = declared(scorer, "min_errors")
        if min(errors, n - errors) >= needed:
            return scorer
        warn(
            f"{errors} errors among {n} held-out predictions are not enough to learn from ({needed} errors "
            f"and {needed} right ones are needed): maximum probability is used instead. Give more data; and if there "
            "are no errors at all, were these the training samples of a frozen estimator?",
            FewErrorsWarning,
        )
        return RecalibratedConfidence()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if self.estimator is not None and not isinstance(self.estimator, type):  # of a class, `fit` will tell
            inner = get_tags(self.estimator).input_tags
            tags.input_tags.allow_nan = inner.allow_nan
            tags.input_tags.sparse = inner.sparse and not self._sees_features()
        return tags

    def _sees_features(self):
        """Whether the scorer looks at features; of one with a wrong parameter, `fit` will tell."""
        try:
            return self._sees() in FEATURES
        except (TypeError, ValueError):
            return True


def _fit_scorer(scorer, view, outcome, folds):
    """Fit a scorer on all held-out outcomes, and score each of them by a scorer that has not seen it."""
    fitted, target = clone(scorer), outcome.target(declared(scorer, "target"))
    if hasattr(fitted, "fit_held_out"):
        score = fitted.fit_held_out(view, target, folds)
    else:
        score = held_out(
            folds,
            lambda train: clone(scorer).fit(view[train], target[train]),
            lambda model, test: score_of(model, view[test]),
        )
        fitted.fit(view, target)
    if hasattr(fitted, "recalibrate"):
        known = ~np.isnan(score)
        score[known] = fitted.recalibrate(score[known], outcome.correct[known])
    return fitted, score


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

    def _begin(self, X, y):
        if not hasattr(self, "policy_") and is_frozen(self.estimator) and not learns(as_scorer(self._make_scorer())):
            self.fit(X, y).row_prints_ = NoPrints()

    def _sees(self):
        return getattr(self.scorer, "sees", "proba")
