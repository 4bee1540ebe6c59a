"""Where a sample lies among those of known class: nearest ones, and Gaussians."""

import numpy as np
from sklearn.base import BaseEstimator

from abstain.methods.auto.opinions import squared_distances
from abstain.scores.gaussian.relative_mahalanobis import RelativeMahalanobis
from abstain.utils.validation import row_blocks

_ELEMENTS = 1 << 19
_MOST_COLUMNS = 128  # in which distances are measured
_MOST_ROWS = 10_000


class NearestOfClass(BaseEstimator):
    """Distances to the nearest sample of the predicted class, of any other, and of all.

    They are measured in standardised features, or in the 128 directions of largest variance where there are more, and
    to at most 10,000 samples. Distances below the 5 % quantile of those between samples count as that, so that copies
    of samples are not infinitely near.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        All labels.
    seed : int
        Seed of the samples that are kept.
    """

    target = "label"
    topics = ("distance", "neighbours", "neighbours", "neighbours")

    def __init__(self, classes, seed):
        self.classes = classes
        self.seed = seed

    def fit(self, view, y):
        """Keep samples of every class."""
        features = view.features
        rows, self.present_, self._starts = kept_by_class(np.searchsorted(self.classes, y), self.seed)
        kept = np.asarray(features[rows], dtype=np.float64)
        self.mean_ = kept.mean(axis=0)
        kept -= self.mean_
        spread = np.sqrt(np.einsum("ij,ij->j", kept, kept) / len(kept))
        scale = np.where(spread > 1e-7 * np.abs(self.mean_), spread, 1.0)
        self.directions_ = leading(np.divide(kept, scale, out=kept)) / scale[:, None]
        blocks = row_blocks(len(rows), features.shape[1], _ELEMENTS)
        self.rows_ = np.concatenate([self._placed(features[rows[block]]) for block in blocks])
        some = slice(None, None, max(len(rows) // 1000, 1))
        between = squared_distances(self.rows_[some], self.rows_)
        between[np.arange(len(between)), np.arange(len(rows))[some]] = np.inf
        nearest = np.sqrt(between.min(axis=1)) if len(rows) > 1 else np.ones(1)
        # a row times these, with a 1 behind it, is its squared distance to each, short of its own squared length
        self._against = np.vstack([-2 * self.rows_.T, np.einsum("ij,ij->i", self.rows_, self.rows_)])
        self.floor_ = max(float(np.quantile(nearest, 0.05)), 1e-3 * float(nearest.mean()), 1e-12)
        return self

    def columns(self, view):
        """Nearness, log ratio of the distances, share of the predicted class in nearness, and whether it is nearest.

        Parameters
        ----------
        view : View
            Features and class outputs.

        Returns
        -------
        columns : ndarray of shape (n, 4)
            Larger is safer; NaN where the predicted class, or any other, has no samples.
        """
        near = np.full((len(view), len(self.classes)), -np.inf, dtype=np.float32)
        near[:, self.present_] = self._nearness(view.features)
        at = np.arange(len(near)), view.answer
        own, share = near[at].copy(), np.exp(4 * (near - near.max(axis=1, keepdims=True)))
        share = share[at] / share.sum(axis=1)
        near[at] = -np.inf
        other = near.max(axis=1)
        columns = np.column_stack([np.maximum(own, other), own - other, share, own > other]).astype(np.float64)
        columns[~np.isfinite(columns[:, 1])] = np.nan
        return columns

    def _nearness(self, features):
        """Negative log distance to the nearest sample of each class that is there, (n, present)."""
        n, width = self._against.shape
        found, apart = np.empty((len(features), len(self._starts)), dtype=np.float32), None
        for rows in row_blocks(len(features), width, _ELEMENTS):
            placed = np.ones((rows.stop - rows.start, n), dtype=np.float32)
            placed[:, :-1] = self._placed(features[rows])
            # one array for all blocks: to ask for a new one takes longer than to fill it
            apart = np.empty((len(placed), width), dtype=np.float32) if apart is None else apart[: len(placed)]
            np.minimum.reduceat(np.matmul(placed, self._against, out=apart), self._starts, axis=1, out=found[rows])
            found[rows] += np.einsum("ij,ij->i", placed[:, :-1], placed[:, :-1])[:, None]
        return -0.5 * np.log(np.maximum(found, self.floor_**2))

    def _placed(self, features):
        return ((features - self.mean_) @ self.directions_).astype(np.float32)


def kept_by_class(codes, seed):
    """Positions of at most 10,000 samples, sorted by class; the classes that are there, and where each begins."""
    rows = np.arange(len(codes))
    if rows.size > _MOST_ROWS:
        rows = np.random.RandomState(seed).choice(rows, _MOST_ROWS, replace=False)
    rows = rows[np.argsort(codes[rows], kind="stable")]
    return rows, *np.unique(codes[rows], return_index=True)


def leading(rows):
    """Directions of largest second moment, (d, at most 128); all of them where they are few."""
    n, d = rows.shape
    if d <= _MOST_COLUMNS:
        return np.eye(d)
    _, vectors = np.linalg.eigh(rows.T @ rows / n)
    return vectors[:, -_MOST_COLUMNS:]


class GaussianFit(BaseEstimator):
    """Relative Mahalanobis distance to the predicted class, to the nearest one, and the lead over the others.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        All labels.
    """

    target = "label"
    topics = ("fit", "distance", "fit")

    def __init__(self, classes):
        self.classes = classes

    def fit(self, view, y):
        """Fit the Gaussians."""
        self.scorer_ = RelativeMahalanobis(at="predicted", precision="float32").fit(view, y)
        return self

    def columns(self, view):
        """Easiness at the predicted and at the nearest class, and the lead, compressed, (n, 3); larger is safer."""
        columns = self.scorer_.columns(view)
        return np.sign(columns) * np.log1p(np.abs(columns))
