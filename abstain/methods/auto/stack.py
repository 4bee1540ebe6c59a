"""Stacking of cheap columns into one P(correct), which falls back to maximum probability where it gains nothing."""

import time
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.metrics import log_loss

from abstain.asking.ask import is_frozen
from abstain.folds import held_out
from abstain.heads.confidence import RecalibratedConfidence
from abstain.methods.auto.explanation import Explainer, MarginExplainer
from abstain.methods.auto.learners import default_learners
from abstain.methods.auto.sources import Clock, Source, default_sources
from abstain.metrics._compare import augrc_within, compare_augrc_within
from abstain.protocols import as_scorer, name_of
from abstain.solvers.logistic import fit_platt
from abstain.utils.borders import check_seed
from abstain.utils.progress import progress
from abstain.views import as_view

MIN_ERRORS = 20


class Candidate(NamedTuple):
    """What one candidate gained on held-out samples, ranked within their folds."""

    name: str
    augrc: float
    gain: float  # AUGRC of maximum probability less its own; positive is better
    error: float  # paired standard error of the gain
    seconds: float
    kept: bool

    @property
    def interval(self):
        """95 % interval of the gain."""
        return self.gain - 1.96 * self.error, self.gain + 1.96 * self.error

    def line(self, verdict):
        """Row of a report."""
        low, high = self.interval
        interval = f"[{low:+.5f}, {high:+.5f}]"
        return f"{self.name:<26}{self.augrc:>9.5f}{self.gain:>9.5f}{interval:>21}{self.seconds:>9.1f}{verdict:>9}"


class StackReport(NamedTuple):
    """What was tried, what each gained, and what was kept.

    A stack marked "log loss" ranks better than maximum probability, but its probabilities are worse.
    """

    n: int
    errors: int
    baseline: float  # AUGRC of maximum probability, within folds as that of the candidates
    sources: tuple  # (name, seconds, used)
    candidates: tuple
    stack: Candidate | None  # of those kept, with held-out weights
    chosen: str
    weights: dict  # of the log-odds of the kept candidates

    def __str__(self):
        lines = [
            f"{self.n} held-out samples, {self.errors} errors; AUGRC of maximum probability {self.baseline:.5f}",
            f"{'candidate':<26}{'AUGRC':>9}{'gain':>9}{'95 % interval':>21}{'seconds':>9}{'weight':>9}",
        ]
        for candidate in self.candidates:
            weight = f"{self.weights.get(candidate.name, 0.0):.2f}"
            lines.append(candidate.line(weight if candidate.kept else "dropped"))
        if self.stack is not None:
            certain = self.stack.gain > self.stack.error
            lines.append(self.stack.line("kept" if self.stack.kept else "log loss" if certain else "dropped"))
        for name, seconds, used in self.sources:
            lines.append(f"source: {name:<27}{'' if used else 'out of time':>30}{seconds:>9.1f}")
        return "\n".join([*lines, f"chosen: {self.chosen}"])


class TrustStack(BaseEstimator):
    """Scorer behind `AutoTrust`: sources, learners of correctness on their columns, and a guarded stack of them.

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

    target = "outcome"

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

    def fit_held_out(self, view, outcome, folds):
        """Try everything on held-out columns; keep what gains more than its standard error within folds.

        Parameters
        ----------
        view : View
            Features and held-out class outputs.
        outcome : Outcome
            What held-out labels say of them.
        folds : Folds
            Folds for whatever learns.

        Returns
        -------
        score : ndarray of shape (n,)
            Held-out P(correct).
        """
        correct = outcome.correct
        clock = Clock(float("inf") if isinstance(self.budget, str) else self.budget)
        self._seed = check_seed(self.random_state).randint(2**31)
        self.sources_: list = []
        self.learners_: list = []
        self.confidence_ = RecalibratedConfidence().fit(view.outputs, correct)
        sources: list = []
        found: list = []
        baseline, parts = view.outputs.log_odds, folds.scored_by
        fewer = int(min(correct.sum(), (~correct).sum()))
        if fewer >= MIN_ERRORS:
            view = self._gather(view, outcome, folds, clock, sources)
            found = self._learn(view, outcome, folds, fewer, clock)
        kept = [(learner, odds) for learner, odds, candidate in found if candidate.kept]
        score, stack = self._combine(kept, view.outputs, correct, folds)
        names = [learner.name for learner in self.learners_]
        self.report_ = StackReport(
            len(correct), int((~correct).sum()), augrc_within(correct, baseline, parts), tuple(sources),
            tuple(candidate for *_, candidate in found), stack, "stack" if names else "maximum probability",
            dict(zip(names, self.weights_.tolist(), strict=True)),
        )  # fmt: skip
        view = view if self.learners_ else view.with_extra(None)
        topics = [topic for source in self.sources_ for topic in source.topics]
        explainer = Explainer if self.learners_ else MarginExplainer
        self.explainer_ = explainer(topics, view, self._odds(view), correct)
        return score

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
        return expit(self._odds(self._enriched(as_view(X))))

    def explain(self, view):
        """Explain scores; see `Explainer`."""
        view = self._enriched(view)
        return self.explainer_.explain(view, self._odds(view))

    def _enriched(self, view):
        columns = [source.columns(view) for source in self.sources_]
        return view.with_extra(np.column_stack(columns)) if columns else view

    def _odds(self, view):
        """Log-odds of the score, from the view with the columns of the sources."""
        if not self.learners_:
            return self.confidence_.log_odds(view.outputs)
        odds = np.column_stack([learner.log_odds(view) for learner in self.learners_])
        return odds @ self.weights_ + self.intercept_

    def _gather(self, view, outcome, folds, clock, log):
        """Add held-out columns of every source that there is time for."""
        rng, sources = check_seed(self._seed), _named(self.scorers)
        if view.outputs.kind == "logits":
            sources.append(Source("logit norm", as_scorer(logit_norm)))
        if view.features is not None:
            sources += default_sources(
                len(view), len(np.unique(outcome.codes)), thorough=self.budget != "fast", n_jobs=self.n_jobs,
                seed=self._seed,
            )  # fmt: skip
        columns = []
        with progress(len(sources), "asking sources") as advance:
            for source in sources:
                started, found = time.monotonic(), None
                if clock.allows(0):
                    found, fitted = source.held_out(view, outcome, folds, rng, clock)
                log.append((source.name, time.monotonic() - started, found is not None))
                if found is not None:
                    columns.append(found)
                    self.sources_.append(fitted)
                advance(1)
        return view.with_extra(np.column_stack(columns)) if columns else view

    def _learn(self, view, outcome, folds, errors, clock):
        """(learner, held-out log-odds, candidate) of every learner that there is time and are errors for."""
        n_features = 0 if view.features is None else view.features.shape[1]
        learners = default_learners(errors, n_features, thorough=self.budget != "fast", seed=self._seed)
        out = []
        with progress(len(learners), "learning from errors") as advance:
            for learner in learners:
                if not clock.allows(0):
                    break
                started = time.monotonic()
                odds = learner.fit_held_out(view, outcome, folds)
                measured = _measured(learner.name, outcome.correct, odds, view.outputs.log_odds, folds, started)
                out.append((learner, odds, measured))
                advance(1)
        return out

    def _combine(self, kept, outputs, correct, folds):
        """Weigh the log-odds of what was kept, or else take maximum probability; return held-out P(correct), stack."""
        started, stack = time.monotonic(), None
        self.weights_, self.intercept_ = np.empty(0), 0.0
        if kept:
            odds = np.column_stack([odds for _, odds in kept])
            score = _stacked(odds, correct, folds)
            stack = _measured("stack", correct, score, outputs.log_odds, folds, started)
            plain, known = _stacked(self.confidence_.bounded(outputs)[:, None], correct, folds), ~np.isnan(score)
            truer = log_loss(correct[known], score[known]) < log_loss(correct[known], plain[known])
            stack = stack._replace(kept=stack.kept and truer)
            if stack.kept:
                self.learners_ = [learner for learner, _ in kept]
                self.weights_, self.intercept_ = fit_platt(odds[known], correct[known])
                return score, stack
        self.sources_ = []
        return self.confidence_.score_samples(outputs), stack


def _measured(name, correct, score, baseline, folds, started):
    known = ~np.isnan(score)
    correct, score, baseline, parts = correct[known], score[known], baseline[known], folds.scored_by[known]
    difference, error = compare_augrc_within(correct, score, baseline, parts)
    area, seconds = augrc_within(correct, score, parts), time.monotonic() - started
    return Candidate(name, area, -difference, error, seconds, -difference > error)


def _stacked(odds, correct, folds):
    """Held-out P(correct), by weights that have not seen the sample."""

    def fit(train):
        known = train[~np.isnan(odds[train]).any(axis=1)]
        return fit_platt(odds[known], correct[known])

    return expit(held_out(folds, fit, lambda model, test: odds[test] @ model[0] + model[1]))


def logit_norm(logits):
    """Logarithm of the spread of the logits, which probabilities have lost."""
    possible = np.isfinite(logits)  # a class that cannot be has none
    finite = np.where(possible, logits, 0.0)
    mean = finite.sum(axis=1, keepdims=True) / possible.sum(axis=1, keepdims=True)
    return np.log(np.linalg.norm(np.where(possible, finite - mean, 0.0), axis=1) + 1e-12)


logit_norm.sees = "logits"  # type: ignore[attr-defined]


def _named(scorers):
    """Sources with names of their own."""
    sources: list[Source] = []
    for scorer in scorers:
        scorer = as_scorer(scorer)
        inner = scorer.estimator if is_frozen(scorer) else scorer
        name = name_of(inner)
        same = sum(source.name.split(" (")[0] == name for source in sources)
        sources.append(Source(f"{name} ({same + 1})" if same else name, scorer))
    return sources
