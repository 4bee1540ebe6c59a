"""What compiled code reads without looking: indices in trees, vector machines and sparse matrices."""

from types import NoneType

import numpy as np
from scipy import sparse
from sklearn.svm._base import BaseSVC


def check_sound(estimator):
    """Refuse arrays that compiled code would follow out of bounds, or around for ever.

    Parameters
    ----------
    estimator : object
        Just read; everything that can be reached from it is looked at.

    Raises
    ------
    ValueError
        If an index points nowhere.
    """
    for part in reachable(estimator):
        if hasattr(part, "tree_") and hasattr(part, "n_features_in_"):
            _check_tree(part.tree_, part.n_features_in_)
        elif hasattr(part, "estimators_") and hasattr(part, "n_features_in_"):
            _check_ensemble(part)
        elif hasattr(part, "_predictors") and hasattr(part, "n_features_in_"):
            _check_boosting(part)
        elif isinstance(part, BaseSVC):
            _check_machine(part)
        elif sparse.issparse(part) and part.format in ("csr", "csc", "bsr"):
            part.check_format(full_check=True)


def reachable(root):
    """Yield every object that can be reached from one by attributes, items and entries, itself included."""
    seen, left = set(), [root]
    while left:
        part = left.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | bool | NoneType | type):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, dict):
            left.extend(part.values())
        elif isinstance(part, list | tuple | set | frozenset):
            left.extend(part)
        elif isinstance(part, np.ndarray):
            left.extend(part.ravel().tolist() if part.dtype == object else [])
        else:
            left.extend(getattr(part, "__dict__", {}).values())


def _check_tree(tree, n_features):
    inner = tree.children_left != -1
    sound = (
        tree.n_features == n_features
        and _within(tree.children_left, tree)
        and _within(tree.children_right, tree)
        and np.array_equal(inner, tree.children_right != -1)
        and ((tree.feature[inner] >= 0) & (tree.feature[inner] < n_features)).all()
    )
    if not sound:
        raise ValueError("a tree points to nodes or features that are not there")


def _within(children, tree):
    """Whether every child comes after its parent and is there, so that a walk ends."""
    inner = children != -1
    parents = np.arange(tree.node_count)
    return bool(((children[inner] > parents[inner]) & (children[inner] < tree.node_count)).all())


def _check_ensemble(forest):
    for member in np.ravel(np.asarray(forest.estimators_, dtype=object)):
        width = getattr(member, "n_features_in_", forest.n_features_in_)
        if hasattr(member, "tree_") and width != forest.n_features_in_ and not hasattr(forest, "estimators_features_"):
            raise ValueError("a tree and its forest differ in their features")


def _check_boosting(model):
    for predictor in (p for round_ in model._predictors for p in round_):
        nodes, n = predictor.nodes, len(predictor.nodes)
        inner = nodes[nodes["is_leaf"] == 0]
        where = np.flatnonzero(nodes["is_leaf"] == 0)
        children = np.stack([inner["left"].astype(np.int64), inner["right"].astype(np.int64)])
        bits = inner["bitset_idx"][inner["is_categorical"] == 1].astype(np.int64)
        width = model._bin_mapper.n_bins_non_missing_.size if hasattr(model, "_bin_mapper") else model.n_features_in_
        sound = (
            n > 0
            and ((children > where) & (children < n)).all()
            and ((inner["feature_idx"] >= 0) & (inner["feature_idx"] < width)).all()
            and (bits < min(len(predictor.binned_left_cat_bitsets), len(predictor.raw_left_cat_bitsets))).all()
        )
        if not sound:
            raise ValueError("a tree of a boosting machine points to nodes or features that are not there")


def _check_machine(machine):
    if not hasattr(machine, "support_vectors_"):
        return
    n, classes = machine.support_vectors_.shape[0], len(machine._n_support)
    sound = (
        len(machine.support_) == n
        and machine._dual_coef_.shape == (classes - 1, n)
        and int(np.sum(machine._n_support)) == n
        and (np.asarray(machine._n_support) >= 0).all()
        and (machine.support_vectors_.shape[1] == machine.n_features_in_ or machine.kernel == "precomputed")
        and len(machine._intercept_) == classes * (classes - 1) // 2
    )
    if not sound:
        raise ValueError("support vectors, their coefficients and counts do not fit together")
