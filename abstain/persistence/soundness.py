"""What compiled code reads without looking (indices in trees, machines, vocabularies), and what would open files."""

from functools import partial

import numpy as np
from scipy import sparse
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.svm._base import BaseSVC
from sklearn.tree import BaseDecisionTree
from sklearn.tree._tree import Tree
from sklearn.utils.validation import check_is_fitted

from abstain.backbones.timm import TimmBackbone

_LEAVES = str | bytes | int | float | bool | None | type


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
    AttributeError
        If something that is fitted lacks what a fit leaves.
    """
    for part in reachable(estimator):
        for kind, check in _CHECKS.items():
            if isinstance(part, kind):
                check(part)


def reachable(root):
    """Yield every object that can be reached from one by attributes, items and entries, itself included."""
    seen, left = set(), [root]
    while left:
        part = left.pop()
        if id(part) in seen or isinstance(part, _LEAVES):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, dict):
            left.extend(part.values())
            left.extend(key for key in part if not isinstance(key, _LEAVES))
        elif isinstance(part, list | tuple | set | frozenset):
            left.extend(part)
        elif isinstance(part, np.ndarray):
            if part.dtype.hasobject:
                left.extend(np.asarray(part).ravel().tolist())  # of a masked array, what the mask hides, too
        elif isinstance(part, partial):
            left.extend([part.func, part.args, part.keywords])
        left.extend(getattr(part, "__dict__", {}).values())


def _check_tree(tree):
    left, right = tree.children_left, tree.children_right
    inner = left != -1
    parents = np.arange(tree.node_count)
    sound = (
        tree.node_count > 0
        and np.array_equal(inner, right != -1)
        # children come after their parent and are there, so that a walk ends
        and all(((side > parents) & (side < tree.node_count))[inner].all() for side in (left, right))
        and ((tree.feature >= 0) & (tree.feature < tree.n_features))[inner].all()
    )
    _require(sound, "a tree points to nodes or features that are not there")


def _check_decision_tree(model):
    if _is_fitted(model):
        _require(isinstance(model.tree_, Tree), "a decision tree without nodes")
        _require(model.tree_.n_features == model.n_features_in_, "a tree and its model differ in their features")
        _require(model.tree_.n_outputs == model.n_outputs_, "a tree and its model differ in their outputs")


def _check_forest(model):
    if _is_fitted(model):
        _check_members(model, model.estimators_)
        _require(len(model.estimators_) > 0, "a forest without trees")


def _check_boosting(model):
    if _is_fitted(model):
        rounds = np.asarray(model.estimators_)
        _require(rounds.ndim == 2 and rounds.shape[1] == model.n_trees_per_iteration_, "rounds of another width")
        _require(rounds.shape[1] == (1 if model.n_classes_ == 2 else model.n_classes_), "rounds of another width")
        _check_members(model, rounds.ravel().tolist())


def _check_members(model, members):
    for member in members:
        _require(isinstance(member, BaseDecisionTree), "a member that is no tree")
        _require(isinstance(member.tree_, Tree), "a decision tree without nodes")
        _require(member.tree_.n_features == model.n_features_in_, "a tree and its model differ in their features")


def _check_histogram_boosting(model):
    if not _is_fitted(model):
        return
    binned = model._bin_mapper.n_bins_non_missing_.size
    _require(binned == len(model._bin_mapper.bin_thresholds_) == model.n_features_in_, "bins of other features")
    for predictors in model._predictors:
        _require(len(predictors) == model.n_trees_per_iteration_, "rounds of another width")
        for predictor in predictors:
            _check_predictor(predictor, binned)


def _check_predictor(predictor, width):
    nodes, bitsets = predictor.nodes, (predictor.binned_left_cat_bitsets, predictor.raw_left_cat_bitsets)
    where = np.flatnonzero(nodes["is_leaf"] == 0)
    inner = nodes[where]
    children = np.stack([inner["left"].astype(np.int64), inner["right"].astype(np.int64)])
    bits = inner["bitset_idx"][inner["is_categorical"] == 1].astype(np.int64)
    sound = (
        len(nodes) > 0
        and ((children > where) & (children < len(nodes))).all()
        and ((inner["feature_idx"] >= 0) & (inner["feature_idx"] < width)).all()
        and all(part.ndim == 2 and part.shape[1] == 8 and (bits < len(part)).all() for part in bitsets)
    )
    _require(sound, "a tree of a boosting machine points to nodes or features that are not there")


def _check_machine(model):
    if not _is_fitted(model):
        return
    vectors, weights = model.support_vectors_, model._dual_coef_
    n, classes = len(model.support_), len(model._n_support)
    pairs = classes * (classes - 1) // 2
    computed = model.kernel == "precomputed"
    sound = (
        (computed or vectors.shape == (n, model.n_features_in_))
        and (not n or (model.support_.min() >= 0 and model.support_.max() < model.shape_fit_[0]))
        and weights.shape == (classes - 1, n)
        and (not sparse.issparse(weights) or weights.data.size == (classes - 1) * n)
        and int(np.sum(model._n_support)) == n
        and (np.asarray(model._n_support) >= 0).all()
        and len(model._intercept_) == pairs
        and all(len(part) in (0, pairs) for part in (model._probA, model._probB))
    )
    _require(sound, "support vectors, their coefficients and counts do not fit together")


def _check_vocabulary(model):
    words = getattr(model, "vocabulary_", {})
    _require(sorted(words.values()) == list(range(len(words))), "a vocabulary with columns that are not there")


def _check_backbone(backbone):
    places = backbone.cache is None and not backbone.pretrained and backbone.weights in (None, "random", "kept")
    _require(places, "a backbone that would read or write files of its own choice")


def _check_sparse(matrix):
    _require(matrix.format in ("csr", "csc"), f"a sparse matrix of the format {matrix.format}")
    matrix.check_format(full_check=True)


def _is_fitted(model):
    """Whether a model has learnt anything; one that is half of it is none."""
    if not any(name.endswith("_") for name in vars(model)):
        return False
    check_is_fitted(model)
    return True


def _require(sound, reason):
    if not sound:
        raise ValueError(reason)


_CHECKS = {
    Tree: _check_tree,
    BaseDecisionTree: _check_decision_tree,
    BaseForest: _check_forest,
    GradientBoostingClassifier: _check_boosting,
    BaseHistGradientBoosting: _check_histogram_boosting,
    BaseSVC: _check_machine,
    DictVectorizer: _check_vocabulary,
    CountVectorizer: _check_vocabulary,
    TimmBackbone: _check_backbone,
    sparse.sparray | sparse.spmatrix: _check_sparse,
}
