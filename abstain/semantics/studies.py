"""Similarities and distances of classes from data: what people said, and where features lie."""

import numpy as np

from abstain.semantics.checks import as_labels
from abstain.utils.borders import label_column
from abstain.utils.labels import label_codes
from abstain.utils.validation import as_array, finite_array


def shares_of_counts(counts, y, classes=None):
    """Mean share of each label among the samples of each class, (n_classes, n_classes), and the labels."""
    counts = finite_array(counts, "counts")
    if counts.ndim != 2 or counts.shape[1] < 2:
        raise ValueError(f"counts must have shape (n, n_classes), a column for each class; got {counts.shape}.")
    if counts.min(initial=0) < 0:
        raise ValueError("counts must not be negative.")
    total = counts.sum(axis=1)
    if not total.all():
        raise ValueError(f"counts: nobody labelled {int((total == 0).sum())} samples; drop those rows.")
    labels = as_labels(range(counts.shape[1]) if classes is None else classes, "classes")
    if len(labels) != counts.shape[1]:
        raise ValueError(f"classes must name the {counts.shape[1]} columns of counts; got {len(labels)}.")
    y = label_column(y)
    if len(y) != len(counts):
        raise ValueError(f"y must have a label for each of the {len(counts)} rows of counts; got {len(y)}.")
    strange = sorted(set(y.tolist()) - set(labels.tolist()), key=str)
    if strange:
        raise ValueError(f"y holds {strange[:5]}, which are not among the classes, {labels[:5].tolist()}.")
    found = np.empty((len(labels),) * 2)
    for row, label in zip(found, labels.tolist(), strict=True):
        own = y == label
        if not own.any():
            raise ValueError(f"y holds no sample of the class {label!r}: each class needs one.")
        row[:] = (counts[own] / total[own, None]).mean(axis=0)
    if (np.diag(found) <= 0).any():
        lost = labels[np.diag(found) <= 0].tolist()
        raise ValueError(f"counts: nobody recognised the classes {lost[:5]}. Are the columns in the order of classes?")
    return found, labels


def means_of_ratings(ratings, own=None):
    """Mean rating of each pair of classes, (n_classes, n_classes)."""
    values = as_array(ratings, "ratings").astype(np.float64)
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[1] != values.shape[2] or values.shape[1] < 2 or not len(values):
        raise ValueError(f"ratings must have shape (n_raters, n_classes, n_classes); got {np.shape(ratings)}.")
    if np.isinf(values).any() or np.nanmin(values, initial=0.0) < 0:
        raise ValueError("ratings must be finite and not negative, larger for classes that are more alike.")
    known = ~np.isnan(values)
    unrated = ~known.any(axis=0) & ~np.eye(values.shape[1], dtype=bool)
    if unrated.any():
        i, j = np.argwhere(unrated)[0]
        raise ValueError(f"ratings: nobody rated the pair [{i}, {j}], and {int(unrated.sum())} such pairs in all.")
    found = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    largest = float(np.nanmax(values))
    np.fill_diagonal(found, largest if own is None else own)
    if largest <= 0 or (own is not None and not own >= found.max()):
        raise ValueError(f"own must be at least the largest mean rating, which must be positive; got {own!r}.")
    return found


def distances_of_means(X, y):
    """Distances of class means where features are as spread within classes in every direction, and the labels."""
    X, y = finite_array(X, "X"), label_column(y)
    if X.ndim != 2 or len(X) != len(y):
        raise ValueError(f"X must have shape (n, d), a row for each of {len(y)} labels; got {X.shape}.")
    classes, codes = label_codes(y)
    means = np.stack([X[codes == code].mean(axis=0) for code in range(len(classes))])
    within = X - means[codes]
    scatter = within.T @ within / len(X)
    # a tenth of the mean variance keeps directions that hardly vary from deciding everything
    scatter += (0.1 * np.trace(scatter) / len(scatter) + 1e-12) * np.eye(len(scatter))
    half = np.linalg.cholesky(np.linalg.inv(scatter))
    moved = means @ half
    squared = (moved**2).sum(axis=1)
    distance = np.sqrt(np.maximum(squared[:, None] + squared - 2 * moved @ moved.T, 0.0))
    np.fill_diagonal(distance, 0.0)
    return 0.5 * (distance + distance.T), classes
