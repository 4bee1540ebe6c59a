"""Checks of arrays that carry scores, verdicts and probabilities: what was expected, what came, what to do."""

import math
from collections.abc import Iterator
from numbers import Integral, Real

import numpy as np

from abstain.utils.rows import row_sums

# relative rounding error of dtypes, and by how much a row of probabilities in them may miss one
_ROUNDING = {
    "float8_e5m2": 2.0**-2, "float8_e4m3fn": 2.0**-3, "bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23,
}  # fmt: skip
_DTYPES = {rounding: name for name, rounding in _ROUNDING.items()}
_SUM_TOLERANCE = {2.0**-7: 4e-2, 2.0**-10: 2e-2, 2.0**-23: 1e-3}


def row_blocks(n: int, width: int, elements: int = 1 << 18) -> Iterator[slice]:
    """Yield slices that cover ``n`` rows, each of about ``elements`` numbers, so that work stays in cache."""
    step = max(1, elements // max(width, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def as_array(values, name: str) -> np.ndarray:
    """Return plain numbers as an array, or say what is wrong with them.

    What NumPy would turn into numbers silently is refused: masked entries, imaginary parts, texts and dates. Tensors
    are copied to the processor; bfloat16, which NumPy lacks, becomes float32.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if str(values.dtype).startswith(("torch.bfloat16", "torch.float8")) else values
    elif isinstance(values, list | tuple) and values and hasattr(values[0], "detach"):
        values = [as_array(row, name) for row in values]
    refuse_masked(values, name)
    if isinstance(values, np.ma.MaskedArray):
        values = values.data
    if hasattr(values, "toarray") and hasattr(values, "nnz"):
        raise TypeError(f"{name} is a sparse matrix, where an array is expected: pass {name}.toarray().")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of numbers; its rows differ in length ({error}).") from error
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind == "O":
        array = _numbers(array, name)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} must be numeric and real; got dtype {array.dtype}.")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be numeric and real; got dtype {array.dtype}. Convert it first.")
    return array


def finite_array(values, name: str) -> np.ndarray:
    """Return numbers as float64, all of them finite."""
    with np.errstate(over="ignore"):
        array = as_array(values, name).astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has NaN or infinite entries.")
    return array


def _numbers(array, name):
    kinds = {type(value).__name__ for value in array.ravel() if not isinstance(value, Real)}
    if kinds - {"Decimal", "NoneType", "NAType"}:
        raise ValueError(
            f"{name} must be numeric and real; got objects, {sorted(kinds)[:3]} among them. Convert it first."
        )
    try:
        return array.astype(np.float64)
    except OverflowError as error:
        raise ValueError(f"{name} holds whole numbers that are infinite in float64; rescale it.") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numeric and real; got objects that are none ({error}).") from error


def refuse_masked(values, name: str):
    """Refuse masked entries, whose mask NumPy would drop."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(
            f"{name} has {np.ma.count_masked(values)} masked entries; drop those samples, or fill the gaps: "
            f"{name}.filled(...)."
        )


def rounding_of(values) -> float:
    """Relative rounding error of the dtype in which numbers come, the largest of a frame or list."""
    kinds = getattr(values, "dtypes", ())
    if isinstance(values, list | tuple):
        kinds = {getattr(row, "dtype", "float64") for row in values}
    elif np.ndim(kinds) != 1 or not len(kinds):
        kinds = [getattr(values, "dtype", "float64")]
    names = (str(kind).lower().removeprefix("torch.").lstrip("<>=") for kind in kinds)
    return max((_ROUNDING.get({"f2": "float16", "f4": "float32"}.get(n, n), 2.0**-52) for n in names), default=2.0**-52)


def sum_tolerance(rounding: float) -> float:
    """By how much the sum of a row of probabilities may miss one, for their relative rounding error."""
    return _SUM_TOLERANCE.get(rounding, 1e-5)


def working_dtype(array):
    """float64 for what has as many digits, in whatever order of bytes; float32 for all shorter floats."""
    return np.float64 if array.dtype.kind != "f" or array.dtype.itemsize >= 8 else np.float32


def _check_shape(array, name, n):
    if array.ndim != 1:
        hint = f" Pass {name}.ravel()." if array.ndim == 2 and 1 in array.shape else ""
        raise ValueError(f"{name} must be one-dimensional, one number a sample; got shape {array.shape}.{hint}")
    if array.size == 0:
        raise ValueError(f"{name} is empty: at least one sample is needed (Found array with 0 sample(s)).")
    if n is not None and array.size != n:
        raise ValueError(f"{name} has {array.size} entries where {n} are expected: one a sample.")


def check_vector(values, name: str, *, n: int | None = None, allow_nan: bool = False) -> np.ndarray:
    """Return a finite one-dimensional float64 array, or say what is wrong with ``name``."""
    array = as_array(values, name)
    _check_shape(array, name, n)
    with np.errstate(over="ignore"):
        array = array.astype(np.float64, copy=False)
    bad = np.isinf(array) if allow_nan else ~np.isfinite(array)
    if bad.any():
        where = np.flatnonzero(bad)
        raise ValueError(
            f"{name} has {'infinite' if allow_nan else 'NaN or infinite'} entries ({where.size}, first at index "
            f"{where[0]}); drop or repair them."
        )
    return array


def check_rungs(score) -> np.ndarray:
    """Return scores as a table, a row for each sample, increasing along it: one, or one for each of several answers."""
    array = as_array(score, "score")
    if array.ndim != 2 or not array.size:
        return check_vector(score, "score", allow_nan=True)[:, None]
    array = check_vector(array.ravel(), "score", allow_nan=True).reshape(array.shape)
    if (np.diff(array, axis=1) < 0).any():
        raise ValueError(
            "score of several answers must not fall along a row: they go from the boldest to the most cautious answer, "
            "which is given up to the largest threshold."
        )
    return array


def object_array(items) -> np.ndarray:
    """Return an array of objects, one for each item, whatever they are."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def first_of_equals(rising) -> np.ndarray:
    """Return the first column of those that are equal, for each entry of rows that do not fall."""
    columns = np.arange(rising.shape[1])
    return np.maximum.accumulate(np.where(np.diff(rising, axis=1, prepend=-np.inf) > 0, columns, 0), axis=1)


def check_codes(codes, name: str, n: int, n_classes: int) -> np.ndarray:
    """Return indices of classes, one a sample, within the classes that there are."""
    array = as_array(codes, name)
    _check_shape(array, name, n)
    with np.errstate(invalid="ignore"):  # of NaN, which is none of them
        whole = array.astype(np.intp)
    if (whole != array).any() or whole.min() < 0 or whole.max() >= n_classes:
        raise ValueError(f"{name} must hold whole numbers from 0 to {n_classes - 1}, the columns; got other values.")
    return whole


def check_flags(flags, name: str, *, n: int | None = None) -> np.ndarray:
    """Return booleans, of which 0 and 1 are some."""
    array = as_array(flags, name)
    if array.dtype == bool:
        _check_shape(array, name, n)
        return array
    array = check_vector(array, name, n=n)
    if not np.isin(array, (0.0, 1.0)).all():
        raise ValueError(f"{name} must hold booleans, or 0 and 1; got other values.")
    return array.astype(bool)


def check_correct(correct, *, n: int | None = None) -> np.ndarray:
    """Return correctness as booleans; 1 or True means that prediction equals label."""
    array = as_array(correct, "correct")
    if array.dtype == bool:
        _check_shape(array, "correct", n)
        return array
    array = check_vector(array, "correct", n=n)
    if not np.isin(array, (0.0, 1.0)).all():
        raise ValueError(
            "correct must hold booleans, or 0 for wrong and 1 for right; got other values. "
            "Pass y_pred == y_true; or was it swapped with the score? Policies and monitors take (score, correct), "
            "metrics (correct, score)."
        )
    return array.astype(bool)


def check_losses(correct, loss, n: int) -> np.ndarray:
    """Return losses in [0, 1]: the graded ones given, or 1 where the prediction is wrong."""
    if loss is None:
        return 1.0 - check_correct(correct, n=n)
    loss = check_vector(loss, "loss", n=n)
    if loss.min() < 0 or loss.max() > 1:
        raise ValueError(f"loss must lie in [0, 1]; got values in [{loss.min():g}, {loss.max():g}]. Rescale it.")
    return loss


def check_weight(sample_weight, n):
    """Non-negative weights, scaled to a mean of one over those that are not zero: only their ratios matter."""
    if sample_weight is None:
        return np.ones(n)
    weight = check_vector(sample_weight, "sample_weight", n=n)
    if weight.min() < 0 or weight.max() <= 0:
        raise ValueError("sample_weight must be non-negative and not all zero.")
    weight = weight / weight.max()
    return weight * (np.count_nonzero(weight) / weight.sum())


def check_mask(mask, n: int, name: str) -> np.ndarray:
    """Return booleans, one a sample, of which some are true and some are not."""
    mask = as_array(mask, name)
    if mask.shape != (n,) or mask.dtype != bool or mask.all() or not mask.any():
        raise ValueError(f"{name} must be booleans, one for each of {n} samples, some of them true and some not.")
    return mask


def check_score_correct(score, correct) -> tuple[np.ndarray, np.ndarray]:
    """Check a pair of held-out arrays: the score of each sample and whether its prediction was right."""
    score = check_vector(score, "score")
    return score, check_correct(correct, n=score.size)


def check_groups(groups, n: int, name: str = "groups") -> np.ndarray:
    """Return labels of groups or clusters, one a sample, of one kind and without missing values."""
    refuse_masked(groups, name)
    try:
        groups = np.asarray(groups)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of labels; its rows differ in length ({error}).") from error
    if groups.shape != (n,):
        raise ValueError(f"{name} must have one entry a sample, shape ({n},); got shape {groups.shape}.")
    refuse_missing(groups, name)
    try:
        np.unique(groups)
    except TypeError as error:
        raise ValueError(f"{name} must be labels of one kind ({error}).") from error
    if groups.dtype.kind == "M":  # of which Python makes whole numbers
        return np.datetime_as_string(groups, unit="auto")
    return groups.astype(str) if groups.dtype.kind == "m" else groups


def refuse_missing(labels, name: str):
    """Refuse labels that are not there."""
    missing = _missing(labels)
    if missing.any():
        raise ValueError(
            f"{name} has {int(missing.sum())} missing entries (contains NaN, or None), the first at index "
            f"{np.flatnonzero(missing)[0]}: drop those samples, or give them a label of their own."
        )


def _missing(labels):
    if labels.dtype.kind in "fc":
        return np.isnan(labels)
    if labels.dtype.kind in "mM":
        return np.isnat(labels)
    if labels.dtype.kind != "O":
        return np.zeros(labels.shape, dtype=bool)
    names = ("NoneType", "NAType", "NaTType")
    return np.array([type(x).__name__ in names or (isinstance(x, Real) and math.isnan(x)) for x in labels])


def check_labels(y, classes, n: int, name: str = "y") -> np.ndarray:
    """Return labels, one a sample, of the kind that the classes are: texts are never equal to numbers."""
    refuse_masked(y, name)
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (n,):
        raise ValueError(f"{name} must hold one label a sample, shape ({n},); got shape {y.shape}.")
    refuse_missing(y, name)
    numbers, texts = "fiub", "US"
    mixed = any(y.dtype.kind in a and classes.dtype.kind in b for a, b in ((numbers, texts), (texts, numbers)))
    if mixed or not np.isin(y, classes, kind="sort").any():
        raise ValueError(
            f"{name} holds none of the classes {classes[:5].tolist()}: got {y[:3].tolist()} of dtype {y.dtype}. Pass "
            "labels of the kind that the classifier was fitted on."
        )
    return y


def check_unit(value, name: str, *, low: float = 0.0, high: float = 1.0, closed: bool = False) -> float:
    """Return a number inside (low, high), or inside [low, high] when ``closed``."""
    number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    if not number or not (low <= value <= high if closed else low < value < high):
        brackets = "[]" if closed else "()"
        raise ValueError(f"{name} must lie in {brackets[0]}{low:g}, {high:g}{brackets[1]}; got {value!r}.")
    return float(value)


def check_number(value, name: str, *, above=None, least=None, most=None):
    """Refuse what is no number, or not within the bounds that are given; ``above`` is a bound not to be touched."""
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    low = -math.inf if least is None else least
    if number and low <= value <= (math.inf if most is None else most) and (above is None or value > above):
        return
    bounds = {"above": above, "at least": least, "at most": most}
    wanted = " and ".join(f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None)
    raise ValueError(f"{name} must be a number {wanted}; got {value!r}.")


def check_threshold(value, name: str = "threshold") -> float:
    """Return a number, which may be infinite."""
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_) or math.isnan(value):
        raise ValueError(f"{name} must be a number; got {value!r}.")
    return float(value)


def check_metric(metric):
    """Refuse what is no metric of correctness and score."""
    if not callable(metric):
        raise TypeError(f"metric must be a function of correct and score, such as aurc; got {metric!r}.")


def check_choice(value, name: str, choices):
    """Return ``value`` if it is one of ``choices``, or name them all."""
    if not isinstance(value, str | bool | int | float | type(None)) or value not in choices:
        raise ValueError(f"{name} must be one of {sorted(choices, key=str)}; got {value!r}.")
    return value


def check_count(value, name: str, *, least: int = 1, most: int | None = None) -> int:
    """Return a whole number within bounds."""
    whole = isinstance(value, Integral) and not isinstance(value, bool | np.bool_)
    if not whole or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number {bounds}; got {value!r}.")
    return int(value)


def check_flag(value, name: str) -> bool:
    """Return True or False; what Python only takes for them is a slip."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False; got {value!r}.")
    return bool(value)


def check_jobs(n_jobs):
    """Refuse a number of workers that joblib would refuse, or round."""
    whole = isinstance(n_jobs, Integral) and not isinstance(n_jobs, bool)
    if n_jobs is not None and (not whole or n_jobs == 0):
        raise ValueError(f"n_jobs must be None or a whole number other than 0; got {n_jobs!r}.")


def check_l2(l2, others: str = ""):
    """Refuse a penalty that is not a finite, non-negative number."""
    if isinstance(l2, bool) or not (isinstance(l2, Real) and 0 <= float(l2) < math.inf):
        raise ValueError(f"l2 must be {others}a non-negative number; got {l2!r}.")


def check_hidden(hidden) -> tuple[int, ...]:
    """Return the widths of hidden layers, positive whole numbers, as a tuple."""
    widths = np.atleast_1d(hidden).tolist()
    if not all(isinstance(width, int) and not isinstance(width, bool) and width > 0 for width in widths):
        raise ValueError(f"hidden must be a tuple of positive widths; got {hidden!r}.")
    return tuple(widths)


def _matrix(values, name: str) -> np.ndarray:
    array = as_array(values, name)
    if array.ndim != 2 or array.shape[1] < 2:
        raise ValueError(
            f"{name} must have shape (n_samples, n_classes) with at least 2 classes; got {array.shape}. "
            "For a binary problem pass both columns: np.column_stack([1 - p, p])."
        )
    if not len(array):
        raise ValueError(f"{name} is empty: at least one sample is needed (Found array with 0 sample(s)).")
    if array.dtype.kind == "b":
        raise ValueError(f"{name} must be numbers; got booleans.")
    return array


def check_proba(proba, name: str = "proba", remedy: str = 'pass input="logits"') -> np.ndarray:
    """Check rows of class probabilities, in the dtype they came in: non-negative, summing to one."""
    return summed_proba(proba, name, remedy, rounding_of(proba))[0]


def summed_proba(proba, name: str, remedy: str, rounding: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Probabilities as `check_proba` returns them, the sums of their rows, (n,), and the smallest of them, or 0."""
    array, tolerance = _matrix(proba, name), sum_tolerance(rounding)
    total, lowest = np.empty(len(array)), 0.0
    for rows in row_blocks(*array.shape):
        with np.errstate(over="ignore"):
            block = array[rows].astype(np.float64, copy=False)
        total[rows] = row_sums(block)
        lowest = min(lowest, block.min())
    worst = np.abs(total - 1.0).max()
    if not np.isfinite(worst):
        raise ValueError(f"{name} has NaN or infinite entries; drop or repair those rows.")
    if lowest < -rounding:
        raise ValueError(f"{name} has negative entries. Are these logits? Then {remedy}.")
    if worst > tolerance:
        raise ValueError(
            f"{name} has rows that do not sum to one (off by up to {worst:.3g}; {tolerance:g} is allowed for "
            f"{_DTYPES.get(rounding, 'float64')}). Normalise them; or, if they are logits, {remedy}."
        )
    return array, total, lowest


def check_logits(logits, name: str = "logits") -> np.ndarray:
    """Check logits, or log-probabilities: ``-inf`` is allowed for a class that cannot be, NaN and ``+inf`` are not."""
    array = _matrix(logits, name)
    for rows in row_blocks(*array.shape):
        with np.errstate(over="ignore"):
            block = array[rows].astype(working_dtype(array), copy=False)
        largest = block.max(axis=1)
        if np.isnan(largest).any() or np.isposinf(largest).any():
            raise ValueError(f"{name} has NaN or +inf entries; drop or repair those rows.")
        if not np.isfinite(largest).all():
            raise ValueError(f"{name} has rows with no finite entry; every sample needs one possible class.")
    return array
