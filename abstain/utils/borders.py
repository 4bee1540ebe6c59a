"""What crosses into the library beside scikit-learn's own checks, which take masks, dates and texts for numbers."""

from numbers import Complex, Real

import numpy as np
from sklearn.utils import check_random_state, indexable
from sklearn.utils.validation import column_or_1d, validate_data

from abstain.utils.validation import refuse_masked, refuse_missing

_SILENT = {"m": "durations", "M": "dates", "S": "bytes", "U": "texts", "V": "records"}
_LARGEST = int(np.finfo(np.float64).max)


def check_table(estimator, X, **options):
    """Return what `validate_data` does, after refusing what it would take silently."""
    return validate_data(estimator, refuse_unreal(X), **options)


def check_data(estimator, X, *, reset):
    """Return data that only another estimator will look into: a table, texts, paths, whatever has rows."""
    refuse_masked(X, "X")
    (X,) = indexable(X)
    if isinstance(X, list | tuple) and not X:
        raise ValueError("X holds no samples; pass at least one.")
    if getattr(X, "ndim", 2) < 2 and np.asarray(X[:1]).dtype.kind in "biufc":  # texts may come in a vector
        raise ValueError(f"X must be two-dimensional; got shape {X.shape}. Reshape your data: X.reshape(1, -1).")
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    return X


def refuse_unreal(X, name: str = "X"):
    """Return ``X`` as it came, unless its entries are masked, or no real numbers: NumPy would drop and convert them."""
    refuse_masked(X, name)
    if hasattr(X, "detach"):
        X = X.detach().cpu()
        X = X.float() if str(X.dtype) in ("torch.bfloat16", "torch.float16") else X
        return X.numpy()
    if hasattr(X, "nnz") or not (hasattr(X, "__len__") or hasattr(X, "shape")):
        return X
    is_frame = hasattr(X, "iloc") and hasattr(X, "columns")
    if is_frame and all(getattr(kind, "kind", "O") not in "OMm" for kind in X.dtypes):
        return X  # numbers alone, which need no copy to be looked at
    array = X if isinstance(X, np.ndarray) else _array(X, name)
    if array.dtype.kind in _SILENT:
        raise ValueError(
            f"{name} must hold real numbers (dtype numeric); got {_SILENT[array.dtype.kind]}, dtype {array.dtype}: "
            "convert them first."
        )
    if array.dtype.kind == "O":
        _refuse_objects(array, name)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8 and array.size:
        with np.errstate(over="ignore"):
            lost = np.isinf(array.astype(np.float64)) & ~np.isinf(array)
        if lost.any():
            raise ValueError(f"{name} has entries that are infinite in float64; rescale it.")
    return X


def label_column(y, name: str = "y") -> np.ndarray:
    """Return labels as an array of one axis, refusing masks, and what no label is."""
    if y is None:  # in the words of scikit-learn's checks
        raise ValueError(f"{name}: Expected array-like (array or non-string sequence), got None. Pass labels.")
    refuse_masked(y, name)
    labels = y.detach().cpu().numpy() if hasattr(y, "detach") else _array(y, name)
    if labels.ndim != 1 and (labels.ndim != 2 or labels.shape[1] != 1):
        raise ValueError(f"{name} should be a 1d array, one label a sample; got an array of shape {labels.shape}.")
    if labels.dtype.kind in "cmMV":
        no = "Complex data not supported: " if labels.dtype.kind == "c" else ""
        raise ValueError(f"{no}{name} must hold labels: integers, texts, floats or booleans; got {labels.dtype}.")
    labels = column_or_1d(labels, warn=True)
    refuse_missing(labels, name)
    return labels


def _array(values, name):
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array; its rows differ in length ({error}).") from error


def _refuse_objects(array, name):
    for value in array.ravel().tolist():
        imaginary = isinstance(value, Complex) and not isinstance(value, Real)
        if isinstance(value, str | bytes | np.datetime64 | np.timedelta64) or hasattr(value, "isoformat") or imaginary:
            # the first words are what scikit-learn's checks look for
            raise ValueError(f"could not convert string to float: {name} must hold real numbers; got {value!r}.")
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise ValueError(f"{name} holds {str(value)[:20]}..., which is infinite in float64.")


def check_seed(random_state) -> np.random.RandomState:
    """Return a generator, or say what a seed is."""
    try:
        return check_random_state(random_state)
    except ValueError as error:
        raise ValueError(
            f"random_state must be None, a seed from 0 to 2**32 - 1 or a RandomState; got {random_state!r}."
        ) from error
