"""What the labels of similar samples say, where features are many and their direction tells what they mean."""

import numpy as np
from sklearn.base import BaseEstimator

from abstain.methods.auto.nearness import kept_by_class, leading
from abstain.methods.auto.opinions import judged
from abstain.utils.validation import row_blocks

_ELEMENTS = 1 << 20
_SHARPNESS = 8.0  # a sample that is as far as the nearest of another is counts exp(-8)


class Sphere:
    """Directions of features, and how far apart the samples lie in them: 1 - cosine.

    It is made before any fit on a part of the samples, so that all parts measure alike.

    Parameters
    ----------
    features : ndarray of shape (n, d)
        Samples; the 128 directions of largest second moment are kept of at most 5,000 of them.
    seed : int
        Seed of the draw.
    """

    def __init__(self, features, seed):
        rng, n = np.random.RandomState(seed), len(features)
        some = np.asarray(features[np.sort(rng.choice(n, min(n, 5000), replace=False))], dtype=np.float64)
        self.directions = leading(some / max(np.abs(some).max(), np.finfo(np.float64).tiny))
        points, asked = self.placed(some), rng.permutation(len(some))[:1000]
        apart = 1 - points[asked] @ points.T
        apart[np.arange(len(asked)), asked] = np.inf
        nearest, typical = apart.min(axis=1), float(np.median(apart))
        self.gap = max(float(np.median(nearest)), 0.01 * typical, 1e-9)
        self.floor = max(float(np.quantile(nearest, 0.05)), 1e-3 * float(nearest.mean()), 0.0)

    def placed(self, features):
        """Samples as rows of length 1 (0 where a sample is 0), float64 of shape (n, m)."""
        rows = features @ self.directions
        rows /= np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)  # squares stay finite
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(length > 0, length, 1.0)


class SimilarityVote(BaseEstimator):
    """Labels of at most 10,000 samples, each counted by how small its angle to the one in question is.

    A copy of a sample is as near as the nearest twentieth of samples are to each other, not infinitely near.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        All labels.
    seed : int
        Seed of the samples that are kept.
    sphere : Sphere
        Where samples lie.
    """

    target = "label"
    topics = ("neighbours", "neighbours")

    def __init__(self, classes, seed, sphere):
        self.classes = classes
        self.seed = seed
        self.sphere = sphere

    def fit(self, view, y):
        """Keep samples of every class."""
        rows, self.present_, self._starts = kept_by_class(np.searchsorted(self.classes, y), self.seed)
        blocks = row_blocks(len(rows), view.features.shape[1], _ELEMENTS)
        self.rows_ = np.concatenate([self.sphere.placed(view.features[rows[block]]) for block in blocks])
        return self

    def columns(self, view):
        """Log-odds of the predicted class among the votes, and its lead in log-probability, (n, 2); larger is safer."""
        votes = np.zeros((len(view), len(self.classes)))
        for rows in row_blocks(len(view), max(self.rows_.shape[0], view.features.shape[1]), _ELEMENTS):
            votes[rows, self.present_] = self._votes(view.features[rows])
        with np.errstate(divide="ignore"):
            return judged(np.log(votes / votes.sum(axis=1, keepdims=True)), view.answer)

    def _votes(self, features):
        """Votes for each class that is there, (n, present); the largest single one counts 1."""
        near = np.minimum(self.sphere.placed(features) @ self.rows_.T, 1 - self.sphere.floor)
        near -= near.max(axis=1, keepdims=True)
        votes = np.exp(np.multiply(near, _SHARPNESS / self.sphere.gap, out=near), out=near)
        return np.add.reduceat(votes, self._starts, axis=1)
