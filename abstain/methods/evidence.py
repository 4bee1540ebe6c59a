"""Where the evidence on a prediction comes from: scorers that are fitted on some samples and asked about others."""

import time
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abstain.probes import LinearProbe
from abstain.scores.inputs import shown
from abstain.scores.neighbours import NearestNeighbours
from abstain.scores.opinion import SecondOpinion
from abstain.scores.relative_mahalanobis import RelativeMahalanobis
from abstain.utils.validation import check_vector
from abstain.warnings import AbstainWarning


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
    scorer : callable or scorer
        As in `SelectiveClassifier`.
    limit : int, default=None
        Most samples that it is fitted on; a random part of more.
    wide : bool, default=False
        Whether to take the columns of its ``evidence(inputs)``, which speak of its ``evidence_topics``, instead of its
        score.
    """

    def __init__(self, name, scorer, limit=None, *, wide=False):
        self.name, self.scorer, self.limit, self.wide = name, scorer, limit, wide
        # smallest, typical and largest value of each column among held-out samples
        self.range = -np.inf, 0.0, np.inf

    @property
    def topics(self):
        """What each column speaks of."""
        return self.scorer.evidence_topics if self.wide else (self.name,)

    def fitted(self, inputs, targets, rows, rng):
        """Return the source, fitted on some rows.

        Parameters
        ----------
        inputs : HeadInputs
            All samples.
        targets : dict of str to ndarray
            What a scorer may learn from.
        rows : ndarray of int
            The samples to fit on.
        rng : RandomState
            Draws a part of them, where they are too many.
        """
        if not hasattr(self.scorer, "fit"):
            return Source(self.name, self.scorer, self.limit)
        if self.limit is not None and rows.size > self.limit:
            rows = np.sort(rng.choice(rows, self.limit, replace=False))
        scorer = clone(self.scorer)
        target = targets[getattr(scorer, "target", "correct")]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AbstainWarning)  # whether it is of use is measured
            scorer.fit(shown(inputs[rows], getattr(scorer, "sees", "proba")), target[rows])
        return Source(self.name, scorer, self.limit, wide=self.wide)

    def columns(self, inputs):
        """Evidence on samples, (n, m), within what was seen held out; typical where the scorer knows nothing."""
        low, typical, high = self.range
        columns = self._raw(inputs)
        return np.clip(np.where(np.isnan(columns), typical, columns), low, high)

    def _raw(self, inputs):
        if self.wide:
            return self.scorer.evidence(inputs)
        view = shown(inputs, getattr(self.scorer, "sees", "proba"))
        score = self.scorer.score_samples(view) if hasattr(self.scorer, "score_samples") else self.scorer(view)
        return check_vector(score, f"the score of scorer {self.name!r}", n=len(inputs))[:, None]

    def held_out(self, inputs, targets, folds, rng, clock):
        """Evidence on every sample by scorers that have not seen it, and the source fitted on all.

        Returns
        -------
        columns : ndarray of shape (n, m), or None
            None where the first fold shows that the others would not be done in time.
        source : Source
            Fitted on all samples.
        """
        out = np.zeros((len(inputs), len(self.topics)))
        started = time.monotonic()
        for i, (train, test) in enumerate(folds):
            out[test] = self.fitted(inputs, targets, train, rng)._raw(inputs[test])
            if i == 0 and not clock.allows((time.monotonic() - started) * len(folds)):
                return None, self
        known = np.where(np.isnan(out).all(axis=0), 0.0, out)
        fitted = self.fitted(inputs, targets, np.arange(len(inputs)), rng)
        fitted.range = np.nanmin(known, axis=0), np.nanmedian(known, axis=0), np.nanmax(known, axis=0)
        return np.where(np.isnan(out), fitted.range[1], out), fitted


def default_sources(n, *, thorough, n_jobs, seed):
    """Sources of the features, in the order of their worth for their cost.

    Parameters
    ----------
    n : int
        Number of samples.
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
    if thorough:
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
