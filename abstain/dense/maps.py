"""Maps of logits and masks of labels, checked once and looked at image by image."""

import numpy as np
from scipy.special import expit

from abstain.utils.validation import as_array, check_choice, check_count, rounding_of, sum_tolerance

KINDS = ("logits", "proba")
_MOST_PIXELS = 500_000


class Maps:
    """Logits or probabilities of every pixel, never copied as a whole.

    Parameters
    ----------
    values : array-like of shape (n, H, W) or (n, H, W, K)
        Of the second of two classes, or of each class. May be memory-mapped.
    kind : {"logits", "proba"}, default="logits"
        What they are.

    Raises
    ------
    ValueError
        If the shape is none of both, or probabilities leave [0, 1].
    """

    def __init__(self, values, kind="logits"):
        check_choice(kind, "kind", KINDS)
        self._tolerance = max(sum_tolerance(rounding_of(values)), 1e-3)
        values = values if isinstance(values, np.memmap) else as_array(values, "maps")
        if values.ndim not in (3, 4) or (values.ndim == 4 and values.shape[3] < 2):
            raise ValueError(f"maps must have shape (n, H, W), or (n, H, W, K) of K classes; got {values.shape}.")
        if not values.size:
            raise ValueError(f"maps are empty: got shape {values.shape}.")
        self.values, self.kind = values, kind
        self.binary = values.ndim == 3
        self.n_classes = 2 if self.binary else values.shape[3]

    def __len__(self):
        return len(self.values)

    @property
    def shape(self):
        """Images, rows and columns."""
        return self.values.shape[:3]

    def image(self, i):
        """Logits of one image, float64 of shape (K, H, W), centred over classes."""
        with np.errstate(divide="ignore", over="ignore"):
            values = self.values[i].astype(np.float64)
            if self.kind == "proba":
                if values.min() < -1e-6 or values.max() > 1 + 1e-6:
                    raise ValueError("maps of kind proba must lie in [0, 1]; got others. Are they logits?")
                if not self.binary and np.abs(values.sum(axis=2) - 1.0).max() > self._tolerance:
                    raise ValueError(f"maps of kind proba must sum to one over classes; image {i} does not.")
                values = np.log(values) - np.log1p(-np.minimum(values, 1.0)) if self.binary else np.log(values)
        if np.isnan(values).any() or (not self.binary and np.isposinf(values).any()):
            raise ValueError(
                f"maps has NaN or infinite values in image {i}: mask those pixels, and put a number there."
            )
        if self.binary:
            values = np.clip(values, -700.0, 700.0)
            return np.stack([-values / 2, values / 2])
        values = np.maximum(values - values.max(axis=2, keepdims=True), -700.0)
        return np.moveaxis(values - values.mean(axis=2, keepdims=True), 2, 0)

    def packed(self, logits):
        """Logits (K, H, W) of one image in the layout of the maps: log-odds of the second class, or logits."""
        return logits[1] - logits[0] if self.binary else np.moveaxis(logits, 0, 2)

    def packed_proba(self, logits):
        """The same as probabilities."""
        if self.binary:
            return expit(logits[1] - logits[0])
        return np.moveaxis(softmax(logits), 0, 2)


def softmax(logits):
    """Probabilities of logits (K, ...), over the first axis."""
    e = np.exp(logits - logits.max(axis=0))
    return e / e.sum(axis=0)


def check_masks(masks, maps, ignore_label):
    """Return labels of pixels, and which of them count.

    Parameters
    ----------
    masks : array-like of shape (n, H, W)
        Class indices.
    maps : Maps
        Of the same pixels.
    ignore_label : int or None
        Label of pixels that do not count.

    Returns
    -------
    masks, valid : ndarray of shape (n, H, W)
        Class indices, and booleans.

    Raises
    ------
    ValueError
        If shapes differ, labels are none of the classes, or an image has no pixel that counts.
    """
    masks = as_array(masks, "masks")
    if masks.shape != maps.shape:
        raise ValueError(f"masks must have the shape of the maps, {maps.shape}; got {masks.shape}.")
    if masks.dtype.kind not in "iub":
        raise ValueError(f"masks must hold whole numbers, the indices of the classes; got dtype {masks.dtype}.")
    if ignore_label is not None:
        check_count(ignore_label, "ignore_label", least=-1)
    valid = np.ones(masks.shape, dtype=bool) if ignore_label is None else masks != ignore_label
    empty = np.flatnonzero(~valid.any(axis=(1, 2)))
    if empty.size:
        raise ValueError(f"masks has images without a pixel that counts, {empty[:5].tolist()} among them: drop them.")
    for mask, there in zip(masks, valid, strict=True):
        low, high = mask[there].min(), mask[there].max()
        if low < 0 or high >= maps.n_classes:
            raise ValueError(
                f"masks hold labels from {low} to {high}, but there are {maps.n_classes} classes, numbered from 0. Set "
                "ignore_label= to the label of pixels that do not count."
            )
    return masks, valid


def drawn_pixels(valid, per_image, rng):
    """Positions of pixels that count, at most ``per_image`` of each image: a list of (m,) of flat indices.

    Of very many images there are fewer of each, so that memory does not grow with them.
    """
    drawn, per_image = [], min(per_image, max(1, _MOST_PIXELS // len(valid)))
    for image in valid:
        there = np.flatnonzero(image)
        drawn.append(there if there.size <= per_image else np.sort(rng.choice(there, per_image, replace=False)))
    return drawn
