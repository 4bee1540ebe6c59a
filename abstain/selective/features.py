"""The features that a score sees: what the last step of a classifier is given, as dense columns without gaps."""

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.utils import _safe_indexing, check_array, get_tags

from abstain.asking.ask import inmost, is_frozen, is_wrapper
from abstain.asking.cross_fit import is_fitted
from abstain.folds import held_out
from abstain.utils.process_wide import silence
from abstain.utils.unwrap import steps_of, through

_WIDTH = 100  # columns that sparse ones are reduced to
_MANY = 1 << 22  # numbers beyond which medians are taken of some rows
_FEW = 200  # rows on which a transformer is tried with two sets of labels


class FeatureTable(BaseEstimator):
    """Dense columns: missing values filled and flagged, wide sparse ones reduced by truncated SVD.

    Parameters
    ----------
    gaps : bool, default=False
        Whether missing values are filled. Where they are not, rows with any cannot be scored.

    Attributes
    ----------
    imputer_ : SimpleImputer or None
        Medians, and a column for each that had gaps.
    reducer_ : TruncatedSVD or None
        Latent semantic analysis, where there were more than 100 sparse columns.
    typical_ : ndarray of shape (d,)
        Medians of what comes out; of large data, of every so many rows.
    """

    def __init__(self, gaps=False):
        self.gaps = gaps

    def fit(self, X):
        """Learn medians and directions."""
        X = numbers(X)
        self.imputer_ = self.reducer_ = None
        if hasattr(X, "nnz") and X.shape[1] > _WIDTH:
            self.reducer_ = TruncatedSVD(min(_WIDTH, max(X.shape[0] - 1, 1)), random_state=0).fit(_filled(X))
        elif self.gaps:
            filling = SimpleImputer(strategy="median", keep_empty_features=True, add_indicator=True)
            self.imputer_ = filling.fit(_dense(X))
        some = self.transform(X[:: max(X.shape[0] * X.shape[1] // _MANY, 1)])
        self.typical_ = np.nan_to_num(np.nanmedian(np.where(np.isnan(some).all(axis=0), 0.0, some), axis=0))
        return self

    def transform(self, X):
        """Return features, ndarray of shape (n, d)."""
        X = numbers(X)
        if self.reducer_ is not None:
            return self.reducer_.transform(_filled(X))
        return _dense(X) if self.imputer_ is None else self.imputer_.transform(_dense(X))


def numbers(X):
    """Features as a matrix, dense or sparse, of numbers that may be missing."""
    if isinstance(X, np.ndarray) and X.dtype.kind in "fiub":
        return X
    # frames may hold columns of several kinds
    return check_array(X, accept_sparse="csr", dtype="numeric", ensure_all_finite="allow-nan")


def _dense(X):
    return X.toarray() if hasattr(X, "nnz") else X


def _filled(X):
    """A sparse matrix whose missing values count as nothing."""
    if np.isnan(X.data).any():
        X = X.copy()
        X.data = np.nan_to_num(X.data)
    return X


def has_transformers(estimator):
    """Whether a classifier, fitted or not, is a pipeline with steps before its last, or is wrapped around one."""
    steps = steps_of(inmost(estimator)) or []
    return len(steps) > 1 or (len(steps) == 1 and has_transformers(steps[0][1]))


def split(estimator):
    """Take a fitted pipeline apart: the steps before its last in order, and the last; any other is its own last.

    Steps of a frozen pipeline are frozen.
    """
    if is_frozen(estimator):
        steps, last = split(estimator.estimator)
        return [step if is_frozen(step) else FrozenEstimator(step) for step in steps], last
    if hasattr(estimator, "best_estimator_"):
        return split(estimator.best_estimator_)
    if is_wrapper(estimator) or not has_transformers(estimator):
        return [], estimator
    steps, last = split(estimator.steps[-1][1])
    return [*(step for _, step in estimator.steps[:-1] if hasattr(step, "transform")), *steps], last


def split_inside(estimator):
    """Take the pipeline apart that a fitted classifier is or is wrapped around; of several, the first."""
    steps, last = split(estimator)
    if steps or not is_wrapper(last):
        return steps, last
    fitted = [found.estimator for found in getattr(last, "calibrated_classifiers_", ())]
    # one with a fixed threshold need not be fitted if what it is around is
    return split_inside(fitted[0] if fitted else getattr(last, "estimator_", last.estimator))


def transformed_held_out(steps, tables, y, folds):
    """What transformers make of rows, where each row is transformed by copies that have not seen its label.

    Transformers that make the same of any labels are asked as they are. Others are fitted on every split.

    Parameters
    ----------
    steps : list of transformers
        Fitted, on all rows.
    tables : list
        Data, and the same otherwise measured.
    y : ndarray of shape (n,)
        Labels.
    folds : Folds
        Splits of the rows.

    Returns
    -------
    tables : list
        What comes out, for all rows of the data.

    Raises
    ------
    ValueError
        If transformers that learn from labels give other columns on other splits.
    """
    if not learns_from_labels(steps, tables[0], y):
        return [through(steps, table) for table in tables]
    chain, width = make_pipeline(*map(clone, steps)), through(steps, _safe_indexing(tables[0], [0])).shape[1]
    names = _columns_of(steps)

    def transform(fitted, test):
        found = tuple(_dense(numbers(through(_fitted_steps(fitted), _safe_indexing(table, test)))) for table in tables)
        if found[0].shape[1] != width or _columns_of(_fitted_steps(fitted)) != names:
            raise ValueError(
                f"{_names(steps)} learn from labels, and give other columns where one fold is left out than on all "
                "rows: the score cannot look at both. Fit them before, in a pipeline around this classifier, or pass "
                'head_inputs="confidence" where it is a parameter.'
            )
        return found

    return list(
        held_out(
            folds, lambda train: clone(chain).fit(_safe_indexing(tables[0], train), _safe_indexing(y, train)), transform
        )
    )


def _fitted_steps(chain):
    """Steps of a fitted pipeline, which itself asks of the last for a sign of being fitted, that not all give."""
    return [step for _, step in chain.steps]


def learns_from_labels(steps, X, y):
    """Whether transformers make something else of the same rows when labels are exchanged; tried on few rows."""
    if not any(get_tags(step).requires_fit and not is_frozen(step) for step in steps):
        return False
    rng = np.random.RandomState(0)
    rows = rng.permutation(len(y))[:_FEW]
    few, labels = _safe_indexing(X, rows), _safe_indexing(y, rows)
    chain = make_pipeline(*map(clone, steps))
    chain.set_params(**{name: 0 for name in chain.get_params() if name.endswith("random_state")})
    try:
        with silence():
            one, other = (
                _dense(numbers(through(_fitted_steps(clone(chain).fit(few, given)), few)))
                for given in (labels, _safe_indexing(labels, rng.permutation(len(rows))))
            )
    except Exception:  # too few rows for some transformer: nothing is known of it
        return True
    return one.shape != other.shape or not np.allclose(one, other, rtol=1e-7, atol=0, equal_nan=True)


def through_backbone(backbone, X):
    """What a fitted backbone makes of data."""
    try:
        return backbone.transform(X)
    except NotFittedError as error:
        error.add_note(
            "Fit the backbone first, and pass FrozenEstimator(backbone), whose clones, as in searches, stay fitted."
        )
        raise


def is_numeric(X):
    """Whether data are a matrix or a frame of real numbers, which may be missing."""
    if getattr(X, "ndim", 0) != 2 or not (hasattr(X, "dtype") or hasattr(X, "dtypes")):
        return False
    kinds = X.dtypes if hasattr(X, "iloc") else [X.dtype]
    return all(getattr(kind, "kind", "O") in "iuf" for kind in kinds)


def needs_fit(transformer):
    """Whether a transformer has to be fitted, and is not."""
    if is_frozen(transformer) or not hasattr(transformer, "__sklearn_tags__") or not hasattr(transformer, "fit"):
        return False
    return get_tags(transformer).requires_fit and not is_fitted(transformer)


def _columns_of(steps):
    """Names of the columns that fitted transformers give, as far as they tell."""
    names = None
    for step in steps:
        try:
            names = step.get_feature_names_out(names)
        except (AttributeError, TypeError, ValueError):
            names = None
    return None if names is None else list(names)


def _names(steps):
    return ", ".join(type(step).__name__ for step in steps)
