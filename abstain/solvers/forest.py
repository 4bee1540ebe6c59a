"""Randomised trees in flat arrays: small to store, and never surer than their leaves can bear."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.tree import ExtraTreeClassifier
from sklearn.utils.validation import check_is_fitted

from abstain.utils.borders import check_seed, check_table, label_column
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.labels import label_codes
from abstain.utils.validation import row_blocks

_ELEMENTS = 1 << 15  # places in trees that are followed at once: they stay in the cache
_LOOKS = 2000  # at classes, for one split
_STEPS = 4  # between two looks at which of them are at a leaf


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees that vote for the class of a leaf, as far as the number of samples there allows.

    A leaf of m samples of one class gives it the share m / (m + 1), and the rest to all classes as they are on the
    whole; so a copy of a training sample does not come out certain. The two children of a node are neighbours.
    """

    feature: np.ndarray  # (nodes,) which feature a node asks for
    threshold: np.ndarray  # (nodes,) float32; beyond it, right. Of a leaf: share of its class
    child: np.ndarray  # (nodes,) int32, the left child. Of a leaf: -1 less its class
    roots: np.ndarray  # (trees,)
    prior: np.ndarray  # (K,)

    def __getstate__(self):  # without what follows from the rest
        return {name: getattr(self, name) for name in ("feature", "threshold", "child", "roots", "prior")}

    @classmethod
    def grow(cls, X, codes, n_classes, n_trees, *, n_jobs=None, seed=0):
        """Grow trees on features, (n, d), and class indices, (n,)."""
        # to weigh a split takes a look at every class, so that where there are many, fewer are weighed
        tried = max(1, min(int(np.sqrt(X.shape[1])), _LOOKS // n_classes))
        prior = (np.bincount(codes, minlength=n_classes) + 0.5) / (len(codes) + 0.5 * n_classes)
        X = np.ascontiguousarray(X, dtype=np.float32)

        def grown(seed):  # and made small at once: as it grew, it has a number for every node and class
            tree = ExtraTreeClassifier(max_features=tried, random_state=seed).fit(X, codes)
            return _flat(tree.tree_, tree.classes_, prior)

        seeds = np.random.RandomState(seed).randint(2**31 - 1, size=n_trees)
        return cls.joined(Parallel(n_jobs=n_jobs, require="sharedmem")(map(delayed(grown), seeds.tolist())))

    @classmethod
    def joined(cls, forests):
        """Return the trees of several forests of the same classes as one."""
        starts = np.cumsum([0, *(len(forest.child) for forest in forests[:-1])]).astype(np.int32)
        child = [
            np.where(forest.child < 0, forest.child, forest.child + start)
            for forest, start in zip(forests, starts, strict=True)
        ]
        roots = [forest.roots + start for forest, start in zip(forests, starts, strict=True)]
        feature, threshold = (
            np.concatenate([getattr(forest, name) for forest in forests]) for name in ("feature", "threshold")
        )
        trees = np.array([len(forest.roots) for forest in forests])
        prior = trees @ np.array([forest.prior for forest in forests]) / trees.sum()
        return cls(feature, threshold, np.concatenate(child), np.concatenate(roots), prior)

    def proba(self, X):
        """Probabilities of the classes, (n, K); every one is positive."""
        X = np.ascontiguousarray(X, dtype=np.float32)
        trees, n_classes = len(self.roots), len(self.prior)
        out = np.empty((len(X), n_classes))
        for rows in row_blocks(len(X), trees, _ELEMENTS):
            leaf = self._leaves(X[rows])
            n = len(leaf) // trees
            share = self.threshold[leaf].astype(np.float64)
            place = np.repeat(np.arange(n) * n_classes - 1, trees) - self.child[leaf]
            votes = np.bincount(place, share, n * n_classes).reshape(n, n_classes)
            rest = trees - share.reshape(n, trees).sum(axis=1, keepdims=True)
            out[rows] = (votes + rest * self.prior) / trees
        return out

    @cached_property
    def _steps(self):
        """Feature, threshold and next node of every node; a leaf leads to itself."""
        leaf = self.child < 0
        following = np.where(leaf, np.arange(len(leaf)), self.child)
        return np.where(leaf, 0, self.feature), np.where(leaf, np.float32(np.inf), self.threshold), following

    def _leaves(self, X):
        """Leaf of every row in every tree, row by row."""
        feature, threshold, following = self._steps
        values, active = X.ravel(), np.arange(len(X) * len(self.roots))
        found = node = np.tile(self.roots, len(X)).astype(np.intp)
        start = active // len(self.roots) * X.shape[1]
        while active.size:
            for _ in range(_STEPS):
                place = start + feature.take(node)
                node = following.take(node) + (values.take(place) > threshold.take(node))
            found[active] = node
            inner = np.flatnonzero(following.take(node) != node)
            active, node, start = active.take(inner), node.take(inner), start.take(inner)
        return found


class SmoothedTrees(ClassifierMixin, BaseEstimator):
    """Extremely randomised trees as a classifier; see `Forest`.

    Parameters
    ----------
    n_estimators : int, default=100
        Number of trees.
    n_jobs : int, default=None
        Trees grown at once.
    random_state : int, RandomState or None, default=None
        Seed.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    forest_ : Forest
        The trees.
    n_features_in_ : int
        Number of features.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from abstain.solvers.forest import SmoothedTrees
    >>> X, y = load_iris(return_X_y=True)
    >>> float(SmoothedTrees(random_state=0).fit(X, y).predict_proba(X).max()) < 1
    True
    """

    def __init__(self, n_estimators=100, *, n_jobs=None, random_state=None):
        self.n_estimators = n_estimators
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X, y):
        """Grow the trees on X, (n, d), and labels y, (n,)."""
        X, y = check_table(self, X, y=label_column(y), dtype="numeric")
        with unchanged_on_failure(self):
            self.classes_, codes = label_codes(y, least=1)
            seed = check_seed(self.random_state).randint(2**31)
            self.forest_ = Forest.grow(X, codes, len(self.classes_), self.n_estimators, n_jobs=self.n_jobs, seed=seed)
        return self

    def predict_proba(self, X):
        """Probabilities of the classes, (n, K), none of them 0 or 1."""
        check_is_fitted(self)
        return self.forest_.proba(check_table(self, X, reset=False, dtype="numeric"))

    def predict(self, X):
        """The likeliest class of every sample, (n,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _flat(tree, classes, prior):
    left, right, inner = tree.children_left, tree.children_right, np.flatnonzero(tree.children_left >= 0)
    place = np.zeros(tree.node_count, dtype=np.int32)
    place[left[inner]] = 1 + 2 * np.arange(inner.size)
    place[right[inner]] = 2 + 2 * np.arange(inner.size)
    value, size = tree.value[:, 0, :], tree.n_node_samples
    best = value.argmax(axis=1)
    share = np.take_along_axis(value, best[:, None], axis=1)[:, 0] / value.sum(axis=1)
    borne = share * size / (size + 1.0)
    threshold, child = borne.astype(np.float32), -1 - classes[best].astype(np.int32)
    threshold[inner], child[inner] = tree.threshold[inner], place[left[inner]]
    feature = np.maximum(tree.feature, 0).astype(np.int16 if tree.n_features < 2**15 else np.int32)
    order = np.argsort(place)
    return Forest(feature[order], threshold[order], child[order], np.zeros(1, dtype=np.int32), prior)
