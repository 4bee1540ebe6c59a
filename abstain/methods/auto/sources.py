"""Where the columns on a prediction come from: scorers that are fitted on some samples and asked about others."""

import time

import numpy as np
from sklearn.base import clone

from abstain.asking.ask import is_frozen
from abstain.folds import held_out
from abstain.methods.auto.nearness import GaussianFit, NearestOfClass
from abstain.methods.auto.opinions import ForestOpinion, KernelOpinion
from abstain.methods.auto.similarity import SimilarityVote, Sphere
from abstain.protocols import as_scorer, declared, learns, name_of, score_of
from abstain.views import View, shown
from abstain.warnings import muted

# samples of a class without which a source that knows classes is not the same in folds and afterwards
_ENOUGH = 8
_TREES = 50
_WIDE = 64  # columns beyond which features are those of a network, whose directions have a meaning


class Clock:
    """Time that is left of a budget in seconds.

    Parameters
    ----------
    seconds : float
        The budget; may be infinite.
    """

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def allows(self, seconds):
        """Whether work of so many seconds may start."""
        return time.monotonic() + seconds <= self.end


class Source:
    """A scorer as a source of columns for a stack.

    Parameters
    ----------
    name : str
        Name in reports.
    scorer : scorer
        See `abstain.protocols`.
    """

    def __init__(self, name, scorer):
        self.name, self.scorer = name, scorer

    # a larger score is safer
    rising = True

    @property
    def topics(self):
        """What each column speaks of."""
        return (self.name,)

    def fitted(self, view, outcome, rows):
        """Return the source, fitted on some rows.

        Parameters
        ----------
        view : View
            All samples.
        outcome : Outcome
            What a scorer may learn from.
        rows : ndarray of int or slice
            The samples to fit on.
        """
        if not learns(self.scorer):
            return self
        scorer, target = clone(self.scorer), outcome.target(declared(self.scorer, "target"))
        with muted():  # whether it is of use is measured
            scorer.fit(self._learnt_from(view, rows), target[rows])
        return type(self)(self.name, scorer)

    def columns(self, view):
        """Columns of samples, (n, m); NaN where the scorer knows nothing."""
        return score_of(self.scorer, self._shown(view))[:, None].astype(np.float64)

    def whole(self, view, outcome, parts):
        """Return the source for new samples, from all samples and from the sources of the folds."""
        return self.fitted(view, outcome, slice(None))

    def held_out(self, views, outcome, folds, clock):
        """Columns of every sample by scorers that have not seen it.

        Parameters
        ----------
        views : list of View
            The samples, and the same samples otherwise measured; the first is learnt from.
        outcome : Outcome
            What a scorer may learn from.
        folds : Folds
            Folds of the samples.
        clock : Clock
            Time that is left.

        Returns
        -------
        columns : list of ndarray of shape (n, m), or None
            For each view; None where the first fold shows that the others would not be done in time.
        parts : list of Source
            Those of the folds.
        """
        started, seconds, parts = time.monotonic(), [], []

        def fit(train):
            parts.append(self.fitted(views[0], outcome, train))
            return parts[-1]

        def predict(source, test):
            columns = tuple(source.columns(view[test]) for view in views)
            seconds.append(time.monotonic() - started)
            if not clock.allows(seconds[0] * (len(folds) - len(seconds) + 1)):
                raise TimeoutError
            return columns

        try:
            found = held_out(folds, fit, predict)
        except TimeoutError:
            return None, parts
        return list(found), parts

    def _learnt_from(self, view, rows):
        return self._shown(view[rows])

    def _shown(self, view):
        return shown(view, declared(self.scorer, "sees"))


class ClassSource(Source):
    """A source of several columns, which knows how the samples of each class lie."""

    @property
    def topics(self):
        """What each column speaks of."""
        return self.scorer.topics

    def columns(self, view):
        """Columns of samples, (n, m); NaN where the scorer knows nothing."""
        return self.scorer.columns(view)

    def _learnt_from(self, view, rows):
        return View(view.features[rows])  # what the classifier said is large, where there are many classes


class OpinionSource(ClassSource):
    """A second classifier."""

    def log_proba(self, view):
        """What it says itself, (n, K)."""
        return self.scorer.log_proba(view.features)


class JoinedSource(OpinionSource):
    """A second classifier that consists of many; those of the folds are asked together."""

    def whole(self, view, outcome, parts):
        """Return the opinion of all parts together."""
        return JoinedSource(self.name, self.scorer.joined([part.scorer for part in parts]))


def class_sources(view, outcome, folds, *, thorough, n_jobs, seed):
    """Sources that know how the samples of each class lie, in the order of their worth for their cost.

    Parameters
    ----------
    view : View
        Features and class outputs.
    outcome : Outcome
        What a scorer may learn from.
    folds : Folds
        Folds of the samples.
    thorough : bool
        Whether to train second classifiers.
    n_jobs : int or None
        Workers of the trees.
    seed : int
        Seed.

    Returns
    -------
    sources : list of Source
        Not fitted; none where classes are so small that folds know less of them than new samples will meet.
    """
    counts = np.bincount(outcome.codes)
    if view.features is None or np.mean(counts[outcome.codes] < _ENOUGH) > 0.05:
        return []
    classes = outcome.outputs.classes
    sources: list[Source] = [
        ClassSource("relative Mahalanobis", GaussianFit(classes)),
        ClassSource("nearest neighbours", NearestOfClass(classes, seed)),
    ]
    if view.features.shape[1] > _WIDE:
        vote = SimilarityVote(classes, seed, Sphere(view.features, seed))
        sources.append(ClassSource("similarity vote", vote))
    if thorough and np.count_nonzero(counts) > 1:
        trees = ForestOpinion(classes, seed, max(_TREES // len(folds), 1), n_jobs)
        sources.append(JoinedSource("second opinion, trees", trees))
        sources.append(OpinionSource("second opinion, kernel", KernelOpinion(classes, seed)))
    return sources


def given_sources(scorers, outputs):
    """Sources of the scorers that a user gave, with names of their own, and the norm of declared logits."""
    sources: list[Source] = []
    for scorer in map(as_scorer, scorers):
        name = name_of(scorer.estimator if is_frozen(scorer) else scorer)
        same = sum(source.name.split(" (")[0] == name for source in sources)
        sources.append(Source(f"{name} ({same + 1})" if same else name, scorer))
    if outputs.kind == "logits":
        sources.append(LogitNorm("logit norm", as_scorer(logit_norm)))
    return sources


class LogitNorm(Source):
    """The spread of the logits, of which no direction is the safe one."""

    rising = False


def logit_norm(logits):
    """Logarithm of the spread of the logits, which probabilities have lost."""
    possible = np.isfinite(logits)  # a class that cannot be has none
    finite = np.where(possible, logits, 0.0)
    mean = finite.sum(axis=1, keepdims=True) / possible.sum(axis=1, keepdims=True)
    return np.log(np.linalg.norm(np.where(possible, finite - mean, 0.0), axis=1) + 1e-12)


logit_norm.sees = "logits"  # type: ignore[attr-defined]
