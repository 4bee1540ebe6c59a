"""Second classifiers of other kinds than the first, as scorers of its predictions."""

import numpy as np
from sklearn.base import BaseEstimator

from abstain.classifiers.linear_probe import LinearProbe
from abstain.outputs import LOWEST, compressed, log_softmax, log_total, split_at
from abstain.solvers.forest import Forest
from abstain.utils.validation import row_blocks

_LANDMARKS = 500
_TREES = 50
_MOST_ROWS = 10_000  # that a tree grows on
_ELEMENTS = 1 << 22
# no second classifier is surer than one error in a million; beyond, there is order and little else
_LIMIT = np.log(1e6)


class Opinion(BaseEstimator):
    """Base of the second classifiers: log-odds of the predicted class, and its lead over the best other one.

    A subclass writes ``_fit(features, codes)`` and ``log_proba(features)``.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        All labels; one that `fit` has not seen is improbable.
    seed : int
        Seed.
    """

    target = "label"
    topics = ("opinion", "opinion")

    def __init__(self, classes, seed):
        self.classes = classes
        self.seed = seed

    def fit(self, view, y):
        """Learn the labels of the features of a view."""
        return self._fit(view.features, np.searchsorted(self.classes, y))

    def columns(self, view):
        """Log-odds of the predicted class, and its lead in log-probability, (n, 2); larger is safer."""
        return judged(self.log_proba(view.features), view.answer)


def judged(log_proba, answer):
    """Log-odds of an answer and its lead over the best other one, (n, 2), by the probabilities of a second opinion."""
    own, others = split_at(np.maximum(log_proba, LOWEST), answer)
    lead = own - others.max(axis=1)
    return compressed(np.column_stack([own - log_total(others), lead]), _LIMIT)


class ForestOpinion(Opinion):
    """The opinion of randomised trees, whose leaves are never surer than their samples can bear.

    Parameters
    ----------
    classes, seed : object
        As for `Opinion`.
    n_trees : int, default=50
        Number of trees.
    n_jobs : int, default=None
        Trees grown at once.
    """

    def __init__(self, classes, seed, n_trees=_TREES, n_jobs=None):
        super().__init__(classes, seed)
        self.n_trees = n_trees
        self.n_jobs = n_jobs

    def _fit(self, features, codes):
        if len(codes) > _MOST_ROWS:
            rows = np.random.RandomState(self.seed).choice(len(codes), _MOST_ROWS, replace=False)
            features, codes = features[rows], codes[rows]
        self.forest_ = Forest.grow(features, codes, len(self.classes), self.n_trees, n_jobs=self.n_jobs, seed=self.seed)
        return self

    def log_proba(self, features):
        """Log-probabilities of all classes, (n, K)."""
        return np.log(self.forest_.proba(features))

    def joined(self, parts):
        """Return the opinion of all the trees of several parts."""
        whole = ForestOpinion(self.classes, self.seed, self.n_trees, self.n_jobs)
        whole.forest_ = Forest.joined([part.forest_ for part in parts])
        return whole


class KernelOpinion(Opinion):
    """The opinion of a logistic regression on nearness to some of the samples, its landmarks.

    Parameters
    ----------
    classes, seed : object
        As for `Opinion`.
    l2 : float, default=5e-3
        Penalty on the weights; a stronger one bears more wrong labels.
    """

    def __init__(self, classes, seed, l2=5e-3):
        super().__init__(classes, seed)
        self.l2 = l2

    def _fit(self, features, codes):
        self.landmarks_ = Landmarks(features, self.seed)
        whitening = self.landmarks_.whitening()
        blocks = row_blocks(len(features), max(features.shape[1], len(whitening)), _ELEMENTS)
        near = np.concatenate([self.landmarks_.nearness(features[rows]) @ whitening for rows in blocks])
        # the first steps tell the classes apart; the others take longer, and rank no better
        probe = LinearProbe(l2=self.l2, tol=1e-2, standardise=False).fit(near, codes)
        weights, intercept = probe.coef_.T, probe.intercept_
        self.weights_ = np.zeros((len(weights), len(self.classes)), dtype=np.float32)
        self.intercept_ = np.full(len(self.classes), intercept.min() - _LIMIT)
        self.weights_[:, probe.classes_] = whitening @ weights
        self.intercept_[probe.classes_] = intercept
        return self

    def log_proba(self, features):
        """Log-probabilities of all classes, (n, K)."""
        blocks = row_blocks(len(features), max(features.shape[1], len(self.weights_)), _ELEMENTS)
        logits = [self.landmarks_.nearness(features[rows]) @ self.weights_ for rows in blocks]
        return log_softmax(np.concatenate(logits).astype(np.float64) + self.intercept_)


class Landmarks:
    """Some of the samples, and how near others are to them: exp(-squared distance / the typical one).

    Parameters
    ----------
    features : ndarray of shape (n, d)
        Samples; at most 500 of them are landmarks.
    seed : int
        Seed of the draw.
    """

    def __init__(self, features, seed):
        rng, n = np.random.RandomState(seed), len(features)
        chosen = np.sort(rng.choice(n, min(_LANDMARKS, n), replace=False))
        some = np.asarray(features[np.sort(rng.choice(n, min(n, 5000), replace=False))], dtype=np.float64)
        self.mean, spread = some.mean(axis=0), some.std(axis=0)
        self.scale = np.where(spread > 1e-7 * np.abs(self.mean), spread, 1.0)
        self.rows = self._standardised(features[chosen])
        typical = np.median(squared_distances(self._standardised(some[:2000]), self.rows))
        self.width = float(typical) if typical > 0 else 1.0

    def nearness(self, features):
        """Nearness of samples to every landmark, float32 of shape (n, m), in (0, 1]."""
        squared = squared_distances(self._standardised(features), self.rows)
        return np.exp(np.divide(squared, -self.width, out=squared), out=squared)

    def whitening(self):
        """What turns nearness into coordinates in which that of the landmarks among each other is the identity."""
        value, vectors = np.linalg.eigh(np.exp(-squared_distances(self.rows, self.rows) / self.width, dtype=np.float64))
        return (vectors / np.sqrt(np.maximum(value, 0) + 1e-3)).astype(np.float32)

    def _standardised(self, features):
        return ((features - self.mean) / self.scale).astype(np.float32)


def squared_distances(left, right):
    """Squared distances of rows, (n, m), not below 0."""
    squared = np.einsum("ij,ij->i", left, left)[:, None] - 2 * (left @ right.T)
    squared += np.einsum("ij,ij->i", right, right)
    return np.maximum(squared, 0, out=squared)
