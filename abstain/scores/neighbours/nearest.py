"""Nearest training samples: how far they are, and whether they carry the predicted label."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from abstain.scores.neighbours.search import build_index
from abstain.utils.borders import check_table, label_column
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.labels import label_codes
from abstain.utils.validation import check_choice, check_count, check_flag, row_blocks
from abstain.views import View, as_view

_ELEMENTS = 1 << 22
_TINY = 1e-12
_FAR = 1e18  # length of a row beyond which float32 has no room for squared distances


class NearestNeighbours(BaseEstimator):
    r"""Distance to the nearest training samples, and what their labels say of a prediction.

    Parameters
    ----------
    n_neighbors : int, default=10
        How many; all of them where there are fewer samples.
    measure : {"distance", "ratio", "agreement"}, default="distance"
        "distance": the mean distance to the nearest samples, which tells novelty. "ratio": the distance to the
        nearest sample of another class over that to the nearest one of the predicted class (TrustScore), and
        "agreement": the share of the nearest samples that carry the predicted label; both need a classifier in front.
    scale : bool, default=True
        Whether to standardise the features first.
    normalize : bool, default=False
        Whether to divide every sample by its norm first; with ``scale=False`` the order is that of cosines.
    index : {"flat", "ivf", "hnsw", "auto"}, default="flat"
        "flat" is exact. "ivf" and "hnsw" are approximate and need faiss; "auto" is exact up to 200 000 samples.
    engine : {"auto", "faiss", "sklearn"}, default="auto"
        "auto" is scikit-learn in up to four columns, and faiss in more, where that is installed, on a GPU where there
        is one.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_neighbors_ : int
        Number of neighbours in force.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    Memory is a float32 copy of the training samples, and a second one for "ratio"; twice that with faiss, which keeps
    rows of its own. In "ratio", distances below the 5 % quantile of those between neighbours count as that, so that
    copies of training samples are not infinitely near.

    References
    ----------
    H. Jiang, B. Kim, M. Guan, M. Gupta, "To Trust Or Not To Trust A Classifier", NeurIPS 2018. Y. Sun et al.,
    "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain import NearestNeighbours
    >>> scorer = NearestNeighbours(2, scale=False).fit([[0.0], [1.0], [2.0]], [0, 0, 1])
    >>> scorer.score_samples(np.array([[0.0], [9.0]]))
    array([-0.5, -7.5])
    """

    target = "label"
    # what `columns` measure, for an explanation
    topics = ("distance", "neighbours", "neighbours", "neighbours")

    def __init__(
        self, n_neighbors: int = 10, *, measure: str = "distance", scale: bool = True, normalize: bool = False,
        index: str = "flat", engine: str = "auto",
    ) -> None:  # fmt: skip
        self.n_neighbors = n_neighbors
        self.measure = measure
        self.scale = scale
        self.normalize = normalize
        self.index = index
        self.engine = engine

    @property
    def sees(self) -> str:
        """What a selective classifier shows this scorer."""
        return "features" if self.measure == "distance" else "both"

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Index the training samples.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Features.
        y : array-like of shape (n,)
            Labels.

        Returns
        -------
        self : object
            Fitted scorer.

        Raises
        ------
        ImportError
            If faiss is asked for and absent; the message names the install command.
        """
        check_choice(self.measure, "measure", ("distance", "ratio", "agreement"))
        check_count(self.n_neighbors, "n_neighbors")
        for name in ("scale", "normalize"):
            check_flag(getattr(self, name), name)
        with unchanged_on_failure(self):
            return self._fit(X, y)

    def _fit(self, X, y):
        self.measure_, self.normalize_ = self.measure, self.normalize
        features = check_table(self, as_view(X).features, dtype="numeric")
        y = label_column(y)
        check_consistent_length(features, y)
        self.classes_, self._codes = label_codes(y, least=1)
        self.n_neighbors_ = min(int(self.n_neighbors), len(y))
        self._mean, self._scale = np.zeros(1), np.ones(1)
        # distances do not change with the mean, and float32 keeps its digits
        self._mean = self._average(features, lambda rows: rows)
        if self.scale:
            with np.errstate(over="ignore", invalid="ignore"):
                spread = np.sqrt(self._average(features, lambda rows: (rows - self._mean) ** 2))
            if not np.isfinite(spread).all():
                raise ValueError("X is too large for its squares to be summed up: scale it.")
            self._scale = np.where(spread > 1e-7 * np.abs(self._mean), spread, 1.0)
        rows = self._rows(features)
        if np.abs(rows).max() * np.sqrt(rows.shape[1]) > 0.5 * _FAR:
            raise ValueError("X is too large for its squared distances in float32: scale it.")
        self._index = build_index(rows, kind=self.index, engine=self.engine)
        self._by_class = []
        if self.measure == "ratio":
            members = (rows[self._codes == code] for code in range(len(self.classes_)))
            self._by_class = [build_index(part, kind=self.index, engine=self.engine) for part in members]
            # a copy of a training sample is as near as neighbours are, not infinitely near
            some = rows[:: max(len(rows) // 1000, 1)]
            nearest = self._index.search(some, 2)[0][:, -1]
            self._floor = max(float(np.quantile(nearest, 0.05)), 1e-3 * float(nearest.mean()), _TINY)
        return self

    def difficulty(self, X: Any) -> np.ndarray:
        """How hard each sample is: the negative score.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Features.

        Returns
        -------
        difficulty : ndarray of shape (n,)
            Higher is harder.
        """
        return -self.score_samples(X)

    def score_samples(self, X: Any) -> np.ndarray:
        """Score samples.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Features, with the predictions of a classifier unless ``measure="distance"``.

        Returns
        -------
        score : ndarray of shape (n,)
            Larger is safer: the negative mean distance, the logarithm of the ratio, or the share.

        Raises
        ------
        ValueError
            If there is no prediction to compare labels with.
        """
        check_is_fitted(self)
        view = as_view(X)
        if self.measure_ == "distance":
            return -self._nearest(view)[0].mean(axis=1)
        codes = self._predicted(view)
        if self.measure_ == "agreement":
            return (self._codes[self._nearest(view)[1]] == codes[:, None]).mean(axis=1)
        return self._log_ratio(view, codes)

    def columns(self, view: View) -> np.ndarray:
        """Nearness, share of neighbours with the predicted label, log ratio, and whether the nearest one agrees.

        Parameters
        ----------
        view : View
            Features and class outputs.

        Returns
        -------
        columns : ndarray of shape (n, 4)
            Larger is safer; NaN where the predicted class had no training samples. Needs ``measure="ratio"``.
        """
        codes = self._predicted(view)
        distance, position = self._nearest(view)
        labels = self._codes[position]
        share, ratio = (labels == codes[:, None]).mean(axis=1), self._log_ratio(view, codes)
        near = -np.log(np.maximum(distance.mean(axis=1), self._floor))
        columns = np.column_stack([near, share, ratio, labels[:, 0] == codes])
        columns[codes == len(self.classes_), 1:] = np.nan
        return columns

    def _average(self, features, of):
        """Mean over the rows of what is made of them, in float64, block by block."""
        total = np.zeros(features.shape[1])
        for rows in row_blocks(len(features), features.shape[1]):
            total += of(self._directions(features[rows]).astype(np.float64, copy=False)).sum(axis=0)
        return total / len(features)

    def _rows(self, features):
        """Rows as they are compared, float32."""
        found = np.empty(features.shape, dtype=np.float32)
        for rows in row_blocks(*features.shape):
            found[rows] = self._compared(features[rows])
        return found

    def _compared(self, features):
        with np.errstate(over="ignore"):
            rows = ((self._directions(features) - self._mean) / self._scale).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            assert_all_finite(rows, input_name="X in float32")
            far = np.flatnonzero(~(np.einsum("ij,ij->i", rows, rows) < _FAR**2))
        if far.size:  # squares of distances would overflow, after which searches find nothing
            length = np.linalg.norm(rows[far].astype(np.float64), axis=1, keepdims=True)
            rows[far] = _FAR * (rows[far] / length)
        return rows

    def _directions(self, features):
        if not self.normalize_:
            return features
        length = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
        return features / np.maximum(length, np.finfo(np.float32).tiny)

    def _blocks(self, view):
        features = check_table(self, view.features, reset=False, dtype="numeric")
        for rows in row_blocks(len(features), features.shape[1], _ELEMENTS):
            yield rows, self._rows(features[rows])

    def _nearest(self, view):
        found = [self._index.search(block, self.n_neighbors_) for _, block in self._blocks(view)]
        return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))

    def _log_ratio(self, view, codes):
        """Log of the distance to the nearest other class over that to the given one; 0 where there is no other."""
        out = np.zeros(len(codes))
        if len(self._by_class) < 2:
            return out
        for rows, block in self._blocks(view):
            nearest = np.column_stack(
                [index.search(block, 1)[0][:, 0] for index in self._by_class] + [np.inf + block[:, 0]]
            )
            at = np.arange(len(block)), codes[rows]
            own = nearest[at]
            nearest[at] = np.inf
            other = nearest.min(axis=1)
            own = np.where(np.isfinite(own), own, np.nanmax(np.where(np.isfinite(nearest), nearest, np.nan), axis=1))
            out[rows] = np.log(np.maximum(other, self._floor)) - np.log(np.maximum(own, self._floor))
        return out

    def _predicted(self, view):
        if view.answer is None:
            raise ValueError(
                f'measure="{self.measure_}" compares with the predictions of a classifier: use '
                'SelectiveClassifier(clf, scorer), or measure="distance".'
            )
        return view.answer_among(self.classes_)
