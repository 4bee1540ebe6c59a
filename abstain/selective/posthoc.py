"""Post-hoc selective classification: estimator + scorer + policy."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.utils import _safe_indexing

from abstain.asking.ask import RESPONSES, ask, data_blocks, input_tags, is_frozen, known_classes, said, takes_nan
from abstain.asking.cross_fit import Question, cross_fit, is_fitted
from abstain.asking.routing import routed, router
from abstain.backbones.images import Images
from abstain.backbones.trainable import check_trainable
from abstain.classifiers.linear_probe import LinearProbe
from abstain.folds import held_out
from abstain.heads.confidence import RecalibratedConfidence
from abstain.metrics._compare import compare_aurc
from abstain.protocols import as_scorer, declared, learns, name_of, score_of
from abstain.selective.base import BaseSelectiveClassifier
from abstain.selective.evidence import Evidence, Told, spread
from abstain.selective.explanation import Grounds, by_features, close_calls
from abstain.selective.features import (
    FeatureTable,
    has_transformers,
    is_numeric,
    needs_fit,
    split,
    split_inside,
    through_backbone,
    transformed_held_out,
)  # fmt: skip
from abstain.selective.outcomes import Outcome
from abstain.utils.borders import check_data, check_seed, check_table
from abstain.utils.rows import rows_with_nan
from abstain.utils.unwrap import through
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
            raise ValueError(
                f"X is one text or path, {str(X)!r}; pass a list of one, or the files of a folder: paths, labels = "
                "image_folder(X)."
            )
        if self.backbone is not None:
            if self.estimator is not None or self.fit_backbone:
                return X  # the classifier takes it as it is, and the head sees what the backbone makes of it
            if not (self._joins() if reset else has_transformers(getattr(self, "estimator_", None))):
                X = through_backbone(self.backbone, X)  # classifier and head share the features
        estimator = self._estimator()
        if has_transformers(estimator) and not is_numeric(X):
            return check_data(self, X, reset=reset)
        if self.estimator is None or self._sees() in FEATURES:
            gaps = has_transformers(estimator) or takes_nan(estimator)  # a pipeline knows by itself what it refuses
            finite = "allow-nan" if finite and gaps else finite
            sparse = self.estimator is not None and ("csr", "csc")  # not every classifier that takes them says so
            try:
                checked = check_table(
                    self, X, reset=reset, accept_sparse=sparse, dtype="numeric", ensure_all_finite=finite
                )
            except (TypeError, ValueError) as error:
                if self.estimator is not None:
                    error.add_note(self._remedy())
                raise
            return X if hasattr(X, "iloc") else checked  # the estimator may want column names
        return check_data(self, X, reset=reset)

    def _remedy(self):
        """What to do where the score finds no numbers to look at."""
        name = type(self).__name__
        confidence = ' With head_inputs="confidence" it would not.' if "head_inputs" in self.get_params() else ""
        return (
            "The score looks at features too. Put what makes numbers of them before, as in make_pipeline(transformers, "
            f"{name}(classifier)), or into the classifier, {name}(make_pipeline(transformers, classifier)); or pass it "
            f"as backbone=.{confidence}"
        )

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

    def _joins(self):
        """Whether a backbone that has to be fitted becomes the first step of the classifier."""
        return self.backbone is not None and not self.fit_backbone and needs_fit(self.backbone)

    def _answers(self, y):
        known = known_classes(self.estimator)
        return super()._answers(y) if known is None else known

    def _fit(self, X, y, codes, **params):
        fit, outcome, samples, stressed, seed = self._fit_estimator(X, y, codes, params)
        scorer = self._enough(as_scorer(self._make_scorer()), outcome)
        view, model = self._view(scorer, samples, outcome.outputs), fit.model
        if stressed is not None and hasattr(view, "stressed"):
            view.stressed = self._stressed_view(scorer, stressed, fit)
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
        """Fit the estimator on the data.

        Returns the fit, its held-out outcome, what scorers are shown of these samples and of the same under stress, and
        a seed for more folds.
        """
        check_choice(self.outcomes, "outcomes", ("held_out", "training"))
        check_choice(self.response_method, "response_method", tuple(RESPONSES))
        check_choice(self.head_inputs, "head_inputs", ("both", "features", "confidence"))
        check_jobs(self.n_jobs)
        seed = check_seed(self.random_state).randint(2**31)
        groups, fit_params = routed(self, params)
        estimator = self._estimator()
        frozen = is_frozen(estimator)
        asked, X, further = self._entered(estimator, X) if frozen else (estimator, X, None)
        asked = FrozenEstimator(asked) if frozen and not is_frozen(asked) else asked
        moved = self._under_stress(X)
        question = Question(
            self.response_method, self.classes_, self.cv, seed, self.n_jobs, groups, fit_params,
            self.outcomes == "training", moved,
        )  # fmt: skip
        fit = self._calibrated(cross_fit(asked, X, y, codes, question), codes, seed)
        self.estimator_, self.answers_by_argmax_ = estimator if frozen else fit.estimator, fit.by_argmax
        self.response_method_ = self.response_method
        codes = codes[fit.rows]
        answer = self.decision_rule.answer(fit.outputs)
        outcome = Outcome(fit.outputs, answer, codes, self.decision_rule.loss(answer, codes))
        tables = [X] if fit.stressed is None else [X, moved]
        samples, *stressed = self._held_out_samples(tables, y, fit, further)
        return fit, outcome, samples, (stressed or [None])[0], seed

    def _held_out_samples(self, tables, y, fit, fixed):
        """What scorers are shown of the rows that were held out, for every table; some steps may have been fixed."""
        if self._apart():
            if self._sees() in FEATURES:
                self.backbone_ = clone(self.backbone).fit(tables[0], y) if needs_fit(self.backbone) else self.backbone
                tables = (
                    [through_backbone(self.backbone_, table) for table in tables]
                    if self.backbone_ is self.backbone
                    else transformed_held_out([self.backbone_], tables, y, fit.folds)
                )
        elif fixed is not None:
            tables = [through(fixed, table) for table in tables]
        elif self._looks_inside(self.estimator_):
            tables = transformed_held_out(split_inside(self.estimator_)[0], tables, y, fit.folds)
        if fit.rows.size == fit.n:
            return tables
        return [_safe_indexing(table, fit.rows) for table in tables]

    def _apart(self):
        """Whether the scorer sees what a backbone makes of data that the classifier takes as they are."""
        return self.backbone is not None and self.estimator is not None

    def _looks_inside(self, estimator):
        """Whether the scorer sees what the transformers of a pipeline give to its last step."""
        return not self._apart() and self._sees() in FEATURES and has_transformers(estimator)

    def _entered(self, estimator, X):
        """The part of a fitted classifier that is asked, the data as that is given them, and transformers of those.

        A score sees what these make of the data; there are none where it sees what the part does.
        """
        if not self._looks_inside(estimator):
            return estimator, X, []
        steps, last = split(estimator)
        return (last, through(steps, X), []) if steps else (last, X, split_inside(last)[0])

    def _under_stress(self, X):
        """Return the same data otherwise measured, of which the classifier is asked, too; None for none."""

    def _stressed_view(self, scorer, samples, fit):
        """What a scorer asks to see, and how much noise it is under; of samples that `_under_stress` gave."""
        raise NotImplementedError

    def _calibrated(self, fit, codes, seed):
        """What was said of held-out samples, or what a subclass makes of that."""
        return fit

    def _estimator(self):
        if self.estimator is not None:
            return self.estimator
        return make_pipeline(self.backbone, LinearProbe()) if self._joins() else LinearProbe()

    def get_metadata_routing(self) -> Any:
        """Say which part is given which parameter of `fit`.

        Returns
        -------
        routing : MetadataRouter
            As scikit-learn's metadata routing asks for.
        """
        return router(self, self._estimator(), self.cv)

    def _evaluate(self, X):
        return self._in_blocks(X, self._judged, Evidence)

    def _evaluate_grounds(self, X):
        return self._in_blocks(X, self._judged_with_grounds, Told)

    def _in_blocks(self, X, judge, kind):
        pieces = [X] if self._apart() else data_blocks(X)  # images are read in blocks of the backbone's
        blocks = [self._block(piece, judge, kind) for piece in pieces]
        return blocks[0] if len(blocks) == 1 else kind(*map(np.concatenate, zip(*blocks, strict=True)))

    def _block(self, X, judge, kind):
        heard, features = self._heard(X)
        unheard = rows_with_nan(heard.values)
        bad = unheard.copy()
        if declared(self.scorer_, "sees") in FEATURES:
            bad |= np.isnan(features).any(axis=1)
        if not bad.any():
            return judge(heard, features)
        width = heard.values.shape[1]
        seen = None if features is None else _safe_indexing(features, np.flatnonzero(~bad))
        told = spread(None if bad.all() else judge(heard.of(~bad), seen), ~bad, width, kind)
        unscored = bad & ~unheard
        if unscored.any():  # the classifier answers what only the score cannot see
            outputs = self._said(heard.of(unscored))
            told.answer[unscored], told.proba[unscored] = self.decision_rule.answer(outputs), outputs.proba
        return told

    def _heard(self, X):
        """What the estimator says, and the features that the scorer sees."""
        asked, X, further = self._entered(self.estimator_, X)
        heard = ask(asked, X, self.response_method_, self.classes_, self.answers_by_argmax_)
        if declared(self.scorer_, "sees") in FEATURES:
            X = through_backbone(self.backbone_, X) if self._apart() else through(further, X)
        return heard, self._seen(self.scorer_, X)

    def _shown(self, heard, features):
        """Class outputs, and what the scorer is shown."""
        outputs = self._said(heard)
        return outputs, shown(View(features, outputs), declared(self.scorer_, "sees"))

    def _said(self, heard):
        return said(self.estimator_, heard, self.response_method_, self.classes_)

    def _judged(self, heard, features):
        outputs, view = self._shown(heard, features)
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
        if reset:
            gaps = not self._apart() and takes_nan(split_inside(self.estimator_)[1])
            try:
                self.features_ = FeatureTable(gaps).fit(X)
            except (TypeError, ValueError) as error:
                error.add_note(self._remedy())
                raise
        return self.features_.transform(X)

    def _judged_with_grounds(self, heard, features):
        evidence = self._judged(heard, features)
        return Told.of(evidence, self._grounds(heard, features, evidence))

    def _grounds(self, heard, features, evidence):
        """What the score of each sample rests on."""
        calls = close_calls(evidence, self.classes_)
        if features is None or declared(self.scorer_, "sees") not in FEATURES:
            return map(Grounds, calls)
        view = View(features, self._said(heard))
        names = self._feature_names(features.shape[1])
        found = by_features(self.scorer_, view, evidence.score, self.features_.typical_, names)
        return [Grounds((*call, *more)) for call, more in zip(calls, found, strict=True)]

    def _feature_names(self, width):
        """Names of the features that a score sees, as far as they are known."""
        if self._apart() or self.features_.imputer_ is not None or self.features_.reducer_ is not None:
            steps = None
        else:
            steps = split_inside(self.estimator_)[0] if self._looks_inside(self.estimator_) else []
        names = getattr(self, "feature_names_in_", None)
        for step in steps or []:
            try:
                names = step.get_feature_names_out(names)
            except (AttributeError, ValueError, TypeError):
                names = None
                break
        if steps is None or names is None or len(names) != width:
            return [f"feature {j}" for j in range(width)]
        return [str(name) for name in names]

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
            inner = input_tags(self.estimator)
            tags.input_tags.allow_nan, tags.input_tags.sparse = inner.allow_nan, inner.sparse
        return tags


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
