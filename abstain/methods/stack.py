"""Stacking of cheap evidence into one P(correct), which falls back to maximum probability where it gains nothing."""

import time
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.metrics import log_loss
from sklearn.utils import check_random_state

from abstain.losses import CrossEntropyLoss
from abstain.methods.evidence import Clock, Source, default_sources
from abstain.methods.explanation import Explainer, MarginExplainer
from abstain.methods.learners import default_learners
from abstain.metrics._compare import augrc_within, compare_augrc_within
from abstain.scores.inputs import as_inputs
from abstain.scores.probability import max_probability
from abstain.selective.outcomes import is_frozen
from abstain.utils.progress import progress

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
            lines.append(f"evidence: {name:<25}{'' if used else 'out of time':>30}{seconds:>9.1f}")
        return "\n".join([*lines, f"chosen: {self.chosen}"])


class TrustStack(BaseEstimator):
    """Scorer behind `AutoTrust`: evidence, learners of correctness on it, and a guarded stack of their log-odds.

    Parameters
    ----------
    scorers : list
        More scorers, each a column of evidence.
    head_inputs : {"both", "confidence"}
        Whether features may be used besides the probabilities.
    budget : "full", "fast" or float
        What to try, or seconds.
    n_jobs : int or None
        Workers of the trees.
    random_state : int, RandomState or None
        Seed.
    """

    target = "label"

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

    def fit_held_out(self, inputs, labels, folds):
        """Try everything on held-out evidence; keep what gains more than its standard error within folds.

        Parameters
        ----------
        inputs : HeadInputs
            Features and held-out log-probabilities.
        labels : ndarray of shape (n,)
            True labels.
        folds : list of (train, test)
            Folds for whatever learns.

        Returns
        -------
        score : ndarray of shape (n,)
            Held-out P(correct).
        """
        targets = _targets(inputs, labels)
        correct = targets["correct"]
        clock = Clock(float("inf") if isinstance(self.budget, str) else self.budget)
        self._seed = check_random_state(self.random_state).randint(2**31)
        self.sources_: list = []
        self.learners_: list = []
        sources: list = []
        found: list = []
        baseline = max_probability(inputs.log_proba, input="logits")
        fewer = int(min(correct.sum(), (~correct).sum()))
        if fewer >= MIN_ERRORS:
            inputs = self._gather(inputs, targets, folds, clock, sources)
            found = self._learn(inputs, targets, folds, fewer, baseline, clock)
        kept = [(learner, odds) for learner, odds, candidate in found if candidate.kept]
        score, stack = self._combine(kept, baseline, correct, folds)
        names = [learner.name for learner in self.learners_]
        self.report_ = StackReport(
            len(correct), int((~correct).sum()), augrc_within(correct, baseline, folds), tuple(sources),
            tuple(candidate for *_, candidate in found), stack, "stack" if names else "maximum probability",
            dict(zip(names, self.weights_.tolist(), strict=False)),
        )  # fmt: skip
        inputs = inputs if self.learners_ else inputs.replace(extra=None)
        topics = [topic for source in self.sources_ for topic in source.topics]
        explainer = Explainer if self.learners_ else MarginExplainer
        self.explainer_ = explainer(topics, inputs, self._odds(inputs), correct)
        return score

    def score_samples(self, X):
        """Calibrated P(correct).

        Parameters
        ----------
        X : HeadInputs
            Features and log-probabilities.

        Returns
        -------
        score : ndarray of shape (n,)
            In [0, 1].
        """
        inputs = as_inputs(X)
        return expit(self._odds(self._enriched(inputs)))

    def explain(self, inputs):
        """Explain scores; see `Explainer`."""
        inputs = self._enriched(inputs)
        return self.explainer_.explain(inputs, self._odds(inputs))

    def _enriched(self, inputs):
        columns = [source.columns(inputs) for source in self.sources_]
        return inputs.replace(extra=np.column_stack(columns)) if columns else inputs

    def _odds(self, inputs):
        """Log-odds of the score, from the inputs with the columns of the sources."""
        if not self.learners_:
            odds = max_probability(inputs.log_proba, input="logits")
            return self.weights_[0] * _bounded(odds, self.limit_) + self.intercept_
        odds = np.column_stack([learner.log_odds(inputs) for learner in self.learners_])
        return odds @ self.weights_ + self.intercept_

    def _gather(self, inputs, targets, folds, clock, log):
        """Add held-out columns of every source that there is time for."""
        rng, sources = check_random_state(self._seed), _named(self.scorers)
        if inputs.logits is not None:
            sources.append(Source("logit norm", logit_norm))
        if inputs.features is not None:
            sources += default_sources(len(inputs), thorough=self.budget != "fast", n_jobs=self.n_jobs, seed=self._seed)
        columns = []
        with progress(len(sources), "gathering evidence") as advance:
            for source in sources:
                started, found = time.monotonic(), None
                if clock.allows(0):
                    found, fitted = source.held_out(inputs, targets, folds, rng, clock)
                log.append((source.name, time.monotonic() - started, found is not None))
                if found is not None:
                    columns.append(found)
                    self.sources_.append(fitted)
                advance(1)
        return inputs.replace(extra=np.column_stack(columns)) if columns else inputs

    def _learn(self, inputs, targets, folds, errors, baseline, clock):
        """(learner, held-out log-odds, candidate) of every learner that there is time and are errors for."""
        n_features = 0 if inputs.features is None else inputs.features.shape[1]
        learners = default_learners(errors, n_features, thorough=self.budget != "fast", seed=self._seed)
        correct, out = targets["correct"], []
        with progress(len(learners), "learning from errors") as advance:
            for learner in learners:
                if not clock.allows(0):
                    break
                started = time.monotonic()
                odds = learner.fit_held_out(inputs, targets, folds)
                out.append((learner, odds, _measured(learner.name, correct, odds, baseline, folds, started)))
                advance(1)
        return out

    def _combine(self, kept, baseline, correct, folds):
        """Weigh the log-odds of what was kept, or else maximum probability; return held-out P(correct), stack."""
        started, stack = time.monotonic(), None
        self.limit_ = float(np.log(len(correct) + 1))
        fallback = _bounded(baseline, self.limit_)[:, None]
        if kept:
            odds = np.column_stack([odds for _, odds in kept])
            score = _stacked(odds, correct, folds)
            stack = _measured("stack", correct, score, baseline, folds, started)
            truer = log_loss(correct, score) < log_loss(correct, _stacked(fallback, correct, folds))
            stack = stack._replace(kept=stack.kept and truer)
            if stack.kept:
                self.learners_ = [learner for learner, _ in kept]
                self.weights_, self.intercept_ = fit_stack(odds, correct)
                return score, stack
        self.sources_ = []
        self.weights_, self.intercept_ = fit_stack(fallback, correct)
        return _stacked(fallback, correct, []), stack


def _measured(name, correct, score, baseline, folds, started):
    difference, error = compare_augrc_within(correct, score, baseline, folds)
    area, seconds = augrc_within(correct, score, folds), time.monotonic() - started
    return Candidate(name, area, -difference, error, seconds, -difference > error)


def _targets(inputs, labels):
    codes = np.searchsorted(inputs.classes, labels)
    tcp = np.exp(inputs.log_proba[np.arange(len(codes)), codes])
    ratio = tcp / np.exp(inputs.log_proba.max(axis=1))
    return {"label": labels, "correct": inputs.predicted == codes, "tcp": tcp, "tcp_ratio": ratio}


def _bounded(odds, limit):
    """Log-odds that n samples can speak of: beyond one in n they keep their order and little else."""
    excess = np.maximum(np.abs(odds) - limit, 0)
    return np.clip(odds, -limit, limit) + 0.01 * np.sign(odds) * np.log1p(excess)


def fit_stack(odds, correct):
    """Non-negative weights and an intercept of log-odds, by logistic loss with Platt's smoothed targets.

    Parameters
    ----------
    odds : ndarray of shape (n, m)
        Held-out log-odds.
    correct : ndarray of shape (n,) of bool
        Correctness.

    Returns
    -------
    weights : ndarray of shape (m,)
        Non-negative; their sum is positive.
    intercept : float
        Intercept.
    """
    right, wrong = correct.sum(), (~correct).sum()
    target = np.where(correct, (right + 1) / (right + 2), 1 / (wrong + 2))
    loss, m = CrossEntropyLoss(), odds.shape[1]
    scale = odds.std() if odds.std() > 1e-9 else 1.0

    def objective(parameters):
        z = odds @ parameters[:m] / scale + parameters[m]
        slope = loss.derivative(z, target)
        return loss.value(z, target).mean(), np.append(slope @ odds / scale, slope.sum()) / len(z)

    start = np.append(np.full(m, scale / m), 0.0)
    bounds = [(1e-6 * scale, None)] * m + [(None, None)]
    fit = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return fit.x[:m] / scale, float(fit.x[m])


def _stacked(odds, correct, folds):
    """Held-out P(correct): weights that have not seen the sample, where there are folds."""
    if not folds:
        weights, intercept = fit_stack(odds, correct)
        return expit(odds @ weights + intercept)
    score = np.zeros(len(odds))
    for train, test in folds:
        weights, intercept = fit_stack(odds[train], correct[train])
        score[test] = expit(odds[test] @ weights + intercept)
    return score


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
        inner = getattr(scorer, "estimator", None) if is_frozen(scorer) else scorer
        name = getattr(inner, "__name__", None) or type(inner).__name__
        same = sum(source.name.split(" (")[0] == name for source in sources)
        sources.append(Source(f"{name} ({same + 1})" if same else name, scorer))
    return sources
