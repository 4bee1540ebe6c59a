"""Evidence on a prediction in one P(correct), which falls back to maximum probability where it gains nothing."""

import pickle
import time

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator

from abstain.folds import held_out
from abstain.heads.confidence import RecalibratedConfidence, bounded
from abstain.methods.auto.evidence import Columns, Reach, of_confidence
from abstain.methods.auto.explanation import Explainer, OddsParts
from abstain.methods.auto.learner import MonotoneLogistic
from abstain.methods.auto.report import SecondOpinionReport, StackReport
from abstain.methods.auto.sources import ClassSource, Clock, class_sources, given_sources
from abstain.metrics._compare import compare_aurc
from abstain.outputs import ClassOutputs
from abstain.selective.guard import SHARES, HeldOut, checks
from abstain.solvers.logistic import fit_platt
from abstain.utils.borders import check_seed
from abstain.utils.progress import progress
from abstain.views import View, as_view

MIN_ERRORS = 20
_STRESS = 0.15  # weight of a sample with noise beside that of the same without


class TrustStack(BaseEstimator):
    """Scorer behind `AutoTrust`: sources of evidence, a monotone logistic regression on it, and a guard.

    Parameters
    ----------
    scorers : list
        More scorers, each a column.
    head_inputs : {"both", "confidence"}
        Whether features may be used besides the probabilities.
    budget : "full", "fast" or float
        What to try, or seconds.
    n_jobs : int or None
        Workers of the trees.
    random_state : int, RandomState or None
        Seed.
    """

    target, means = "outcome", "P(correct)"

    def __init__(self, scorers, head_inputs, budget, n_jobs, random_state):
        self.scorers = scorers
        self.head_inputs = head_inputs
        self.budget = budget
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def sees(self):
        """What a selective classifier shows this scorer."""
        return self.head_inputs

    @property
    def rounding(self):
        """Relative rounding error of scores: distances and kernels are computed in float32."""
        return float(np.finfo(np.float32).eps) if self.share_ else 0.0

    def fit_held_out(self, view, outcome, folds):
        """Learn from held-out evidence; keep what loses to maximum probability in none of the checks.

        Parameters
        ----------
        view : View
            Features and held-out class outputs, and the same under stress where that is known.
        outcome : Outcome
            What held-out labels say of them.
        folds : Folds
            Folds for whatever learns.

        Returns
        -------
        score : ndarray of shape (n,)
            Held-out P(correct).
        """
        started, seed = time.monotonic(), check_seed(self.random_state).randint(2**31)
        self.confidence_ = RecalibratedConfidence().fit(view.outputs, outcome.correct)
        self.sources_: list = []
        self.n_classes_ = len(view.outputs.classes)
        self.share_, self.limit_ = 0.0, float(np.log(len(view) + 1))
        tried: tuple = ()
        log: list = []
        opinions: tuple = ()
        self.reach_ = None if view.features is None else Reach(view.features)
        own = self.confidence_.log_odds(view.outputs)
        odds, raw = own, of_confidence(view)[0]
        if min(outcome.correct.sum(), (~outcome.correct).sum()) >= MIN_ERRORS:
            views = [view] if view.stressed is None else [view, view.stressed.view]
            evidence, parts = self._gather(views, outcome, folds, seed, log)
            learnt = self._learn(evidence, views, outcome, folds)
            self.seen_ = max(float(self.columns_.alarm(part[folds.tested]).max()) for part in evidence)
            tried = self._weigh(learnt, views, outcome, folds, seed)
            opinions = self._second_opinions(parts, view, outcome, folds)
            if self.share_:
                odds, raw = self._blended(learnt[0], own), evidence[0]
            else:
                self.sources_ = []
        seen = view if len(folds.tested) == len(view) else view[folds.tested]
        self.explainer_ = Explainer(self._parts(seen, raw[folds.tested]), seen, outcome.correct[folds.tested])
        self.report_ = self._told(odds, own, outcome, folds, tried, log, opinions, time.monotonic() - started)
        return expit(odds)

    def score_samples(self, X):
        """Calibrated P(correct).

        Parameters
        ----------
        X : View
            Features and class outputs.

        Returns
        -------
        score : ndarray of shape (n,)
            In [0, 1].
        """
        view = as_view(X)
        own = self.confidence_.log_odds(view.outputs)
        if not self.share_:
            return expit(own)
        raw = self._columns(view)
        return expit(self._far(self._blended(self._stacked(raw, view.answer), own), raw))

    def explain(self, view):
        """Explain scores; see `Explainer`."""
        return self.explainer_.explain(self._parts(view, self._columns(view)), view)

    def _columns(self, view):
        """Evidence on samples, (n, m), before any limit."""
        if self.reach_ is not None:
            view = view.with_features(self.reach_.within(view.features))
        return np.column_stack([*(source.columns(view) for source in self.sources_), of_confidence(view)[0]])

    def _stacked(self, raw, answer):
        """Log-odds of being right by the evidence, (n,)."""
        return self.learner_.log_odds(self.columns_.limited(raw), answer) - self.columns_.alarm(raw)

    def _blended(self, stacked, own):
        """Calibrated log-odds, in part those of the stack and in part those of maximum probability."""
        return bounded(self.slope_ * (self.share_ * stacked + (1 - self.share_) * own) + self.intercept_, self.limit_)

    def _far(self, odds, raw):
        """Log-odds that fall where a sample is farther than any seen, with noise or without.

        In them is a part of maximum probability, which may be sure of anything far away.
        """
        beyond = np.maximum(self.columns_.alarm(raw) - self.seen_, 0)
        return np.minimum(odds, odds / (1 + beyond)) - beyond

    def _gather(self, views, outcome, folds, seed, log):
        """Held-out evidence for every view, and the sources of the folds by name."""
        sources = given_sources(self.scorers, views[0].outputs)
        sources += class_sources(
            views[0], outcome, folds, thorough=self.budget != "fast", n_jobs=self.n_jobs, seed=seed
        )
        clock = Clock(float("inf") if isinstance(self.budget, str) else self.budget)
        columns: list[list] = [[] for _ in views]
        used: dict = {}
        with progress(len(sources), "asking sources") as advance:
            for source in sources:
                started, found = time.monotonic(), None
                if clock.allows(0):
                    found, parts = source.held_out(views, outcome, folds, clock)
                if found is not None:
                    used[source.name] = source, parts
                    self.sources_.append(source.whole(views[0], outcome, parts))
                    for mine, more in zip(columns, found, strict=True):
                        mine.append(more)
                log.append((source.name, time.monotonic() - started, found is not None))
                advance(1)
        own, rising = zip(*map(of_confidence, views), strict=True)
        raw = [np.column_stack([*mine, last]) for mine, last in zip(columns, own, strict=True)]
        topics = [topic for source in self.sources_ for topic in source.topics]
        safe = [source.rising for source in self.sources_ for _ in source.topics]
        self.columns_ = Columns([*topics, *["margin"] * len(rising[0])], [*safe, *rising[0]], raw[0][folds.tested])
        return raw, used

    def _learn(self, raw, views, outcome, folds):
        """Fit the regression on the evidence of all views; return held-out log-odds for each."""
        answers = [view.answer for view in views]
        correct = [outcome.correct, *(view.answer == outcome.codes for view in views[1:])]
        odds, self.learner_ = self._regressed(raw, answers, correct, folds)
        return odds

    def _regressed(self, raw, answers, correct, folds):
        """Held-out log-odds for every table of evidence, and the regression on all of it."""
        columns, k = [self.columns_.limited(part) for part in raw], self.n_classes_

        def fit(rows):
            if not rows.size:
                raise ValueError(
                    "cv leaves a split whose training rows were never held out, as TimeSeriesSplit does with the "
                    "first: there is no evidence to learn from. Pass folds that hold every row out, or "
                    "FrozenEstimator of a classifier that was fitted on earlier data."
                )
            weight = np.repeat([1.0, _STRESS][: len(raw)], len(rows))
            evidence, given, right = (
                np.concatenate([part[rows] for part in parts]) for parts in (columns, answers, correct)
            )
            return MonotoneLogistic(self.columns_.rising, k).fit(evidence, given, right, weight)

        tested = folds.scored_by >= 0
        odds = held_out(
            folds,
            lambda train: fit(train[tested[train]]),
            lambda model, test: np.column_stack(
                [model.log_odds(c[test], a[test]) for c, a in zip(columns, answers, strict=True)]
            ),
        )
        alarms = (self.columns_.alarm(part) for part in raw)
        return [odds[:, i] - alarm for i, alarm in enumerate(alarms)], fit(np.flatnonzero(tested))

    def _weigh(self, learnt, views, outcome, folds, seed):
        """Take the largest share of the stack that passes all checks; return the checks."""
        tested, model = folds.tested, folds.scored_by
        own = [self.confidence_.log_odds(view.outputs) for view in views]
        correct = [outcome.correct, *(view.answer == outcome.codes for view in views[1:])]
        for share in SHARES:
            self.share_ = share
            mixed = share * learnt[0][tested] + (1 - share) * own[0][tested]
            slopes, self.intercept_ = fit_platt(mixed[:, None], outcome.correct[tested])
            self.slope_ = float(slopes[0])
            held = [
                HeldOut(right, self._blended(odds, base), base, model).among(tested)
                for right, odds, base in zip(correct, learnt, own, strict=True)
            ]
            levels = views[0].stressed.level[tested] if len(views) > 1 else None
            tried = checks(held[0], outcome.codes[tested], held[1] if len(held) > 1 else None, levels, seed)
            if all(check.passed for check in tried):
                return tuple(tried)
        self.share_ = 0.0
        return tuple(tried)

    def _second_opinions(self, parts, view, outcome, folds):
        """Second classifiers that are right more often than the first, by more than a standard error."""
        found, tested, model = [], folds.tested, folds.scored_by[folds.tested]
        for name, (source, of_folds) in parts.items():
            if not hasattr(source, "log_proba"):
                continue
            said = _over(folds, of_folds, lambda part, rows: part.log_proba(view[rows]))
            other = View(view.features, ClassOutputs(np.nan_to_num(said, copy=False), "logits", view.outputs.classes))
            right = other.answer == outcome.codes
            gain = right[tested].astype(np.float64) - outcome.correct[tested]
            if min(right.sum(), (~right).sum()) < MIN_ERRORS or gain.mean() <= gain.std() / np.sqrt(gain.size):
                continue
            odds = self._around(other, right, parts, folds)
            areas = compare_aurc(right[tested], odds[tested], other.outputs.log_odds[tested], model=model)
            found.append(SecondOpinionReport(name, float(right[tested].mean()), areas.baseline, areas.score))
        return tuple(found)

    def _around(self, view, right, parts, folds):
        """Held-out log-odds of being right by the same evidence on the answers of another classifier."""
        asked = [_over(folds, theirs, lambda part, rows: part.columns(view[rows])) for _, theirs in parts.values()]
        raw = np.column_stack([*asked, of_confidence(view)[0]])
        return self._regressed([raw], [view.answer], [right], folds)[0][0]

    def _parts(self, view, raw):
        """Log-odds of the score, taken apart."""
        own = self.confidence_.log_odds(view.outputs)
        if not self.share_:
            return OddsParts(own, {"margin": own}, {})
        factor, limited = self.slope_ * self.share_, self.columns_.limited(raw)
        moved = factor * limited * self.learner_.weights_
        topics = self.columns_.topics
        parts = {topic: moved[:, topics == topic].sum(axis=1) for topic in dict.fromkeys(topics.tolist())}
        parts["margin"] = parts["margin"] + self.slope_ * (1 - self.share_) * own
        parts["class"] = factor * self.learner_.offsets_[view.answer]
        near = self._blended(self._stacked(raw, view.answer), own)
        odds = self._far(near, raw)
        parts["novelty"] = odds - near - factor * self.columns_.alarm(raw)
        constant = factor * self.learner_.intercept_ + self.intercept_
        parts["limit"] = odds - constant - sum(parts.values())
        return OddsParts(odds, parts, self.columns_.beyond(raw))

    def _told(self, odds, own, outcome, folds, tried, log, opinions, seconds):
        tested = folds.tested
        held = HeldOut(outcome.correct, odds, own, folds.scored_by).among(tested)
        score, baseline = held.areas()
        return StackReport(
            len(odds), int((~outcome.correct).sum()), float(outcome.correct.mean()), baseline, score, tuple(log), tried,
            self.share_, self.explainer_.spread, opinions, "stack" if self.share_ else "maximum probability", seconds,
            self._size(),
        )  # fmt: skip

    def _size(self):
        """Bytes of what was learnt, without the scorers of the user, who may have given some that cannot be stored."""
        mine = [source for source in self.sources_ if isinstance(source, ClassSource)]
        return len(pickle.dumps({**vars(self), "scorers": (), "sources_": mine}))


def _over(folds, parts, ask):
    """What the sources of the folds say of the rows that each has not seen."""
    waiting = iter(parts)
    return held_out(folds, lambda train: next(waiting), ask)
