"""What the presets of trust have in common: a head on features, or one whose backbone learns with it."""

from typing import Any

import numpy as np

from abstain.heads.confidence import RecalibratedConfidence
from abstain.heads.faded import FadedHead
from abstain.heads.trust_head import TrustHead
from abstain.heads.tuned_head import TunedTrustHead
from abstain.outputs import log_odds_of
from abstain.protocols import score_of
from abstain.selective.guard import SHARES, HeldOut, checks
from abstain.selective.stress import BaseUnderStress
from abstain.utils.validation import check_choice
from abstain.views import View

_ENOUGH = 100  # held-out errors by which a head can be judged; with fewer it counts by no more than their share


class BaseTrust(BaseUnderStress):
    """Base of the presets, which name a loss: ``_make_scorer`` returns ``self._head(loss, ...)``.

    With a guard, a head that loses to maximum probability on held-out samples in one of the checks counts in part only,
    or is replaced by it; and so does one that few errors speak for, since checks pass by chance with few.
    """

    hidden: Any = ()
    recalibrator: Any = None
    guard: Any = "augrc"

    def _head(self, loss, **options):
        shared = {
            "head_inputs": self.head_inputs, "recalibrator": self.recalibrator, "training": self.training,
            "random_state": self.random_state,
        }  # fmt: skip
        if not self.fit_backbone:
            return TrustHead(loss, hidden=self.hidden, n_jobs=self.n_jobs, **shared, **options)
        if len(self.hidden):
            raise ValueError(f"hidden must be () with fit_backbone: the network is deep already; got {self.hidden!r}.")
        return TunedTrustHead(loss, self.backbone, checkpoint=self.checkpoint, **shared, **options)

    def _check_parts(self):
        super()._check_parts()
        check_choice(self.guard, "guard", ("augrc", None))
        if self.fit_backbone and self.estimator is None:
            raise ValueError(
                "fit_backbone needs estimator=, the classifier to be trusted, which takes the images: for example "
                "FrozenEstimator(make_pipeline(backbone, backbone.linear_head()))."
            )

    def _sees(self):
        return "images" if self.fit_backbone else super()._sees()

    def _under_stress(self, X):
        return None if self.guard is None or self.fit_backbone else super()._under_stress(X)

    def _fit(self, X, y, codes, **params):
        self.guard_: tuple = ()
        return super()._fit(X, y, codes, **params)

    def _kept(self, scorer, score, view, outcome, folds):
        if self.guard is None or isinstance(scorer, RecalibratedConfidence):
            return scorer, score
        known = np.flatnonzero(~np.isnan(score))
        most = max(np.count_nonzero(~outcome.correct[known]) / _ENOUGH, SHARES[-1])
        for share in [share for share in SHARES if share <= most] if isinstance(view, View) else [1.0]:
            kept, held = scorer, score
            if share < 1:
                kept, held = FadedHead(scorer, share), score.copy()
                kept.fit_scores(score[known], outcome.outputs[known], outcome.correct[known])
                held[known] = kept.mixed(score[known], outcome.outputs[known])
            self.guard_ = self._tried(kept, held, view, outcome, folds, known)
            if all(check.passed for check in self.guard_):
                return kept, held
        fallback = RecalibratedConfidence()
        return fallback, fallback.fit_held_out(outcome.outputs, outcome.correct, folds)

    def _tried(self, scorer, score, view, outcome, folds, known):
        """Comparisons with maximum probability on held-out samples, and under noise where the classifier was asked."""
        own = RecalibratedConfidence().fit(outcome.outputs, outcome.correct)

        def held(correct, score, outputs):
            return HeldOut(correct, log_odds_of(score), own.log_odds(outputs), folds.scored_by).among(known)

        stressed, moved, levels = getattr(view, "stressed", None), None, None
        if stressed is not None:
            other, levels = stressed.view, stressed.level[known]
            moved = held(other.answer == outcome.codes, score_of(scorer, other), other.outputs)
        clean = held(outcome.correct, score, outcome.outputs)
        calibrated = getattr(scorer, "calibrate", True)
        return tuple(checks(clean, outcome.codes[known], moved, levels, 0, calibrated=calibrated))
