"""Checks of what is said about classes."""

import numpy as np

from abstain.utils.validation import as_array, finite_array


def as_labels(labels, name):
    """Return labels, all different, as an array of one axis."""
    labels = list(labels)
    kinds = {type(label).__name__ for label in labels}
    array = np.asarray(labels) if len(kinds) == 1 or kinds <= {"int", "int64", "int32"} else np.array(labels, object)
    if array.ndim != 1 or array.size < 2:
        raise ValueError(f"{name} must be at least 2 labels; got shape {array.shape}.")
    if len(set(array.tolist())) < array.size:
        twice = sorted({label for label in array.tolist() if array.tolist().count(label) > 1}, key=str)
        raise ValueError(f"{name} must be different; {twice[:5]} come more than once.")
    return array


def square(matrix, name="matrix"):
    """Return a finite, non-negative square matrix."""
    values = finite_array(matrix, name)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or len(values) < 2:
        raise ValueError(f"{name} must have shape (n_classes, n_classes), at least 2; got {values.shape}.")
    if values.min() < 0:
        i, j = np.argwhere(values < 0)[0]
        raise ValueError(f"{name} must not be negative; got {values[i, j]:g} at [{i}, {j}]. Shift or rescale it.")
    return values


def check_symmetric(matrix, name="matrix"):
    """Return distances: symmetric, and zero on the diagonal."""
    values = square(matrix, name)
    off = np.abs(values - values.T)
    if off.max() > 1e-6 * max(values.max(), 1e-300):
        i, j = np.unravel_index(off.argmax(), off.shape)
        raise ValueError(
            f"{name} must be symmetric; [{i}, {j}] is {values[i, j]:g} and [{j}, {i}] is {values[j, i]:g}. Pass "
            "0.5 * (matrix + matrix.T); or costs that depend on the direction to CostSensitiveClassifier(cost=matrix)."
        )
    if np.diag(values).any():
        raise ValueError(f"{name} must be zero on the diagonal: a class is at no distance from itself.")
    if not values.any():
        raise ValueError(f"{name} is zero everywhere: no class could be told from another.")
    return 0.5 * (values + values.T)


def check_similarity(matrix, name="matrix"):
    """Return similarities, none of which is above that of the class itself."""
    values = square(matrix, name)
    own = np.diag(values)
    above = values > own[:, None] * (1 + 1e-9)
    if above.any() or not own.all():
        i = int(np.flatnonzero(above.any(axis=1) | (own <= 0))[0])
        raise ValueError(
            f"{name} must be largest on the diagonal, and positive there; row {i} has {own[i]:g} there, and "
            f"{values[i].max():g} at most. Are these distances? Then kind='distance'."
        )
    return values


def check_cost(cost, n_classes=None, name="cost"):
    """Return costs of answers: not negative, not all zero; they may depend on the direction."""
    values = square(as_array(cost, name), name)
    if n_classes is not None and len(values) != n_classes:
        raise ValueError(
            f"{name} must have a row and a column for each of {n_classes} classes, {name}[truth, answer], in the order "
            f"of sorted labels; got shape {values.shape}."
        )
    if not values.any():
        raise ValueError(f"{name} is zero everywhere: all answers would be as good.")
    return values
