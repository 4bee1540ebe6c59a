"""Where the columns on a prediction come from: scorers that are fitted on some samples and asked about others."""

import time

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abstain.classifiers.linear_probe import LinearProbe
from abstain.folds import held_out
from abstain.protocols import declared, learns, score_of
from abstain.scores.gaussian.relative_mahalanobis import RelativeMahalanobis
from abstain.scores.neighbours.nearest import NearestNeighbours
from abstain.scores.second_opinion import SecondOpinion
from abstain.views import shown
from abstain.warnings import muted


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
    limit : int, default=None
        Most samples that it is fitted on; a random part of more.
    wide : bool, default=False
        Whether to take its ``columns(view)``, which speak of its ``topics``, instead of its
        score.
    """

    def __init__(self, name, scorer, limit=None, *, wide=False):
        self.name, self.scorer, self.limit, self.wide = name, scorer, limit, wide
        # smallest, typical and largest value of each column among held-out samples
        self.range = -np.inf, 0.0, np.inf

    @property
    def topics(self):
        """What each column speaks of."""
        return self.scorer.topics if self.wide else (self.name,)

    def fitted(self, view, outcome, rows, rng):
        """Return the source, fitted on some rows.

        Parameters
        ----------
        view : View
            All samples.
        outcome : Outcome
            What a scorer may learn from.
        rows : ndarray of int
            The samples to fit on.
        rng : RandomState
            Draws a part of them, where they are too many.
        """
        if not learns(self.scorer):
            return Source(self.name, self.scorer, self.limit)
        if self.limit is not None and rows.size > self.limit:
            rows = np.sort(rng.choice(rows, self.limit, replace=False))
        scorer = clone(self.scorer)
        target = outcome.target(declared(scorer, "target"))
        with muted():  # whether it is of use is measured
            scorer.fit(shown(view[rows], declared(scorer, "sees")), target[rows])
        return Source(self.name, scorer, self.limit, wide=self.wide)

    def columns(self, view):
        """Columns of samples, (n, m), within what was seen held out; typical where the scorer knows nothing."""
        low, typical, high = self.range
        columns = self._raw(view)
        return np.clip(np.where(np.isnan(columns), typical, columns), low, high)

    def _raw(self, view):
        if self.wide:
            return self.scorer.columns(view)
        return score_of(self.scorer, shown(view, declared(self.scorer, "sees")))[:, None]

    def held_out(self, view, outcome, folds, rng, clock):
        """Columns of every sample by scorers that have not seen it, and the source fitted on all.

        Returns
        -------
        columns : ndarray of shape (n, m), or None
            None where the first fold shows that the others would not be done in time.
        source : Source
            Fitted on all samples.
        """
        started, seconds = time.monotonic(), []

        def predict(source, test):
            columns = source._raw(view[test])
            seconds.append(time.monotonic() - started)
            if not clock.allows(seconds[0] * (len(folds) - len(seconds) + 1)):
                raise TimeoutError
            return columns

        try:
            out = held_out(folds, lambda train: self.fitted(view, outcome, train, rng), predict)
        except TimeoutError:
            return None, self
        known = np.where(np.isnan(out).all(axis=0), 0.0, out)
        fitted = self.fitted(view, outcome, np.arange(len(view)), rng)
        fitted.range = np.nanmin(known, axis=0), np.nanmedian(known, axis=0), np.nanmax(known, axis=0)
        return np.where(np.isnan(out), fitted.range[1], out), fitted


def default_sources(n, n_classes, *, thorough, n_jobs, seed):
    """Sources of the features, in the order of their worth for their cost.

    Parameters
    ----------
    n, n_classes : int
        Number of samples, and of the classes among them.
    thorough : bool
        Whether to train second classifiers.
    n_jobs : int or None
        Workers of the trees.
    seed : int
        Seed.

    Returns
    -------
    sources : list of Source
        Not fitted.
    """
    sources = [
        Source("relative Mahalanobis", RelativeMahalanobis(at="predicted"), limit=100_000, wide=True),
        Source("nearest neighbours", NearestNeighbours(measure="ratio"), limit=50_000, wide=True),
    ]
    if thorough and 2 * n_classes <= n:  # a second classifier needs to see a class more than once
        trees = ExtraTreesClassifier(200, n_jobs=n_jobs, random_state=seed)
        kernel = make_pipeline(
            StandardScaler(),
            Nystroem(n_components=min(1000, max(n // 4, 1)), random_state=seed),
            LinearProbe(l2=0.1, standardise=False),
        )
        sources += [
            Source("second opinion, trees", SecondOpinion(trees), limit=20_000, wide=True),
            Source("second opinion, kernel", SecondOpinion(kernel), limit=50_000, wide=True),
        ]
    return sources
