"""Checks of arrays that carry scores, verdicts and probabilities: what was expected, what came, what to do."""

import math
from collections.abc import Iterator
from numbers import Real

import numpy as np

# A row of probabilities may miss one by what its own dtype rounds away.
_SUM_TOLERANCE = {2: 2e-2, 4: 1e-3, 8: 1e-5}


def row_blocks(n: int, width: int, elements: int = 1 << 18) -> Iterator[slice]:
    """Yield slices that cover ``n`` rows, each of about ``elements`` numbers, so that work stays in cache."""
    step = max(1, elements // max(width, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def _check_shape(array, name, n):
    if array.ndim != 1:
        hint = f" Pass {name}.ravel()." if array.ndim == 2 and 1 in array.shape else ""
        raise ValueError(f"{name} must be one-dimensional, one number a sample; got shape {array.shape}.{hint}")
    if array.size == 0:
        raise ValueError(f"{name} is empty: at least one sample is needed (Found array with 0 sample(s)).")
    if n is not None and array.size != n:
        raise ValueError(f"{name} has {array.size} entries where {n} are expected: one a sample.")


def check_vector(values, name: str, *, n: int | None = None) -> np.ndarray:
    """Return a finite one-dimensional float64 array, or say what is wrong with ``name``."""
    array = np.asarray(values)
    _check_shape(array, name, n)
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array))
        raise ValueError(
            f"{name} has NaN or infinite entries ({bad.size}, first at index {bad[0]}); drop or repair them."
        )
    return array


def check_correct(correct, *, n: int | None = None) -> np.ndarray:
    """Return correctness as booleans; 1 or True means that prediction equals label."""
    array = np.asarray(correct)
    if array.dtype == bool:
        _check_shape(array, "correct", n)
        return array
    array = check_vector(array, "correct", n=n)
    if not np.isin(array, (0.0, 1.0)).all():
        raise ValueError(
            "correct must hold booleans, or 0 for wrong and 1 for right; got other values. "
            "Pass y_pred == y_true, or use loss= for graded losses."
        )
    return array.astype(bool)


def check_score_correct(score, correct) -> tuple[np.ndarray, np.ndarray]:
    """Check a pair of held-out arrays: the score of each sample and whether its prediction was right."""
    score = check_vector(score, "score")
    return score, check_correct(correct, n=score.size)


def check_unit(value, name: str, *, low: float = 0.0, high: float = 1.0, closed: bool = False) -> float:
    """Return a number inside (low, high), or inside [low, high] when ``closed``."""
    number = isinstance(value, Real) and not isinstance(value, bool)
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


def check_choice(value, name: str, choices) -> str:
    """Return ``value`` if it is one of ``choices``, or name them all."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {sorted(choices, key=str)}; got {value!r}.")
    return value


def check_hidden(hidden) -> tuple[int, ...]:
    """Return the widths of hidden layers, positive whole numbers, as a tuple."""
    widths = np.atleast_1d(hidden).tolist()
    if not all(isinstance(width, int) and not isinstance(width, bool) and width > 0 for width in widths):
        raise ValueError(f"hidden must be a tuple of positive widths; got {hidden!r}.")
    return tuple(widths)


def _matrix(values, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] < 2:
        raise ValueError(
            f"{name} must have shape (n_samples, n_classes) with at least 2 classes; got {array.shape}. "
            "For a binary problem pass both columns: np.column_stack([1 - p, p])."
        )
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be numeric; got dtype {array.dtype}.")
    return array


def check_proba(proba, name: str = "proba") -> np.ndarray:
    """Check rows of class probabilities, in the dtype they came in: non-negative, summing to one."""
    array = _matrix(proba, name)
    tolerance = _SUM_TOLERANCE.get(array.dtype.itemsize if array.dtype.kind == "f" else 8, 1e-5)
    for rows in row_blocks(*array.shape):
        block = array[rows].astype(np.float64)
        if not np.isfinite(block).all():
            raise ValueError(f"{name} has NaN or infinite entries; drop or repair those rows.")
        if (block < 0).any():
            raise ValueError(f'{name} has negative entries. Are these logits? Then pass input="logits".')
        worst = np.abs(block.sum(axis=1) - 1.0).max()
        if worst > tolerance:
            raise ValueError(
                f"{name} has rows that do not sum to one (off by up to {worst:.3g}; {tolerance:g} is allowed for "
                f'{array.dtype}). Normalise them, or pass input="logits" if they are logits.'
            )
    return array


def check_logits(logits, name: str = "logits") -> np.ndarray:
    """Check logits, or log-probabilities: ``-inf`` is allowed for a class that cannot be, NaN and ``+inf`` are not."""
    array = _matrix(logits, name)
    for rows in row_blocks(*array.shape):
        block = array[rows]
        if np.isnan(block).any() or np.isposinf(block).any():
            raise ValueError(f"{name} has NaN or +inf entries; drop or repair those rows.")
        if not np.isfinite(block).any(axis=1).all():
            raise ValueError(f"{name} has rows with no finite entry; every sample needs one possible class.")
    return array
