"""Maps beside what is made of them, and reliability image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from abstain.dense.maps import Maps
from abstain.dense.report import binned_above, images_of
from abstain.utils.optional import import_extra
from abstain.utils.validation import check_count


class MapsDisplay:
    """Images in rows: what was seen, the map before, the map after, and where it is not to be trusted.

    Parameters
    ----------
    images : ndarray of shape (n, H, W, 3) or None
        Pictures.
    before, after : ndarray of shape (n, H, W) or (n, H, W, K)
        Probability of the second of two classes, or of each.
    masks : ndarray of shape (n, H, W) or None
        True classes.
    threshold : float
        Confidence below which a pixel is left open.

    Attributes
    ----------
    axes_, figure_ : matplotlib objects
        After `plot`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import numpy as np
    >>> from abstain.dense import MapsDisplay
    >>> proba = np.random.default_rng(0).random((2, 8, 8))
    >>> display = MapsDisplay.from_predictions(proba, proba**0.5, threshold=0.8)
    >>> display.axes_.shape
    (2, 3)
    """

    def __init__(
        self, images: np.ndarray | None, before: np.ndarray, after: np.ndarray, masks: np.ndarray | None,
        threshold: float,
    ) -> None:  # fmt: skip
        self.images = images
        self.before = before
        self.after = after
        self.masks = masks
        self.threshold = threshold

    def plot(self) -> MapsDisplay:
        """Draw; pixels that are left open are red.

        Returns
        -------
        display : MapsDisplay
            Itself.
        """
        pyplot = import_extra("matplotlib.pyplot", "plot")
        shown = {"image": self.images, "truth": self.masks, "before": self.before, "after": self.after}
        columns = [(name, values) for name, values in shown.items() if values is not None]
        n, m = len(self.before), len(columns) + 1
        highest = 1 if self.before.ndim == 3 else self.before.shape[3] - 1
        figure, axes = pyplot.subplots(n, m, figsize=(2 * m, 2 * n), squeeze=False, layout="constrained")
        for i in range(n):
            for ax, (name, values) in zip(axes[i], columns, strict=False):
                picture = values[i].argmax(axis=2) if name in ("before", "after") and values.ndim == 4 else values[i]
                if name == "truth":
                    picture = np.ma.masked_outside(picture, 0, highest)  # labels that are to be ignored stay blank
                # a class has one colour in all columns
                ax.imshow(picture, **({} if name == "image" else {"cmap": "viridis", "vmin": 0, "vmax": highest}))
            axes[i][-1].imshow(self._decided(self.after[i]))
            for ax in axes[i]:
                ax.set_axis_off()
        for ax, name in zip(axes[0], [*(name for name, _ in columns), "left open (red)"], strict=True):
            ax.set_title(name, fontsize="medium")
        self.axes_, self.figure_ = axes, figure
        return self

    def _decided(self, proba):
        """Grey where it is decided, red where it is not."""
        confidence = np.maximum(proba, 1 - proba) if proba.ndim == 2 else proba.max(axis=2)
        answer = (proba > 0.5).astype(float) if proba.ndim == 2 else proba.argmax(axis=2) / (proba.shape[2] - 1)
        picture = np.repeat(0.15 + 0.7 * answer[..., None], 3, axis=2)
        picture[confidence < self.threshold] = (0.8, 0.15, 0.15)
        return picture

    @classmethod
    def from_predictions(
        cls, before: ArrayLike, after: ArrayLike, *, images: ArrayLike | None = None, masks: ArrayLike | None = None,
        threshold: float = 0.9,
    ) -> MapsDisplay:  # fmt: skip
        """Draw maps before and after, and where confidence is too low.

        Parameters
        ----------
        before, after : array-like of shape (n, H, W) or (n, H, W, K)
            Probability of the second of two classes, or of each.
        images : array-like of shape (n, H, W, 3), default=None
            Pictures.
        masks : array-like of shape (n, H, W), default=None
            True classes.
        threshold : float, default=0.9
            Confidence below which a pixel is left open: of a policy, ``policy.threshold_``.

        Returns
        -------
        display : MapsDisplay
            Drawn.

        Raises
        ------
        ValueError
            If shapes differ.
        """
        first, second = (Maps(values, "proba") for values in (before, after))
        if first.values.shape != second.values.shape:
            raise ValueError(f"after must have the shape of before, {first.values.shape}; got {second.values.shape}.")
        parts = [None if part is None else np.asarray(part) for part in (images, masks)]
        for name, part in zip(("images", "masks"), parts, strict=True):
            if part is not None and part.shape[:3] != first.shape:
                raise ValueError(f"{name} must have the shape of the maps, {first.shape}; got {part.shape}.")
        return cls(parts[0], first.values, second.values, parts[1], threshold).plot()


class DenseReliabilityDisplay:
    """Frequency against confidence of each image, and of all pixels together.

    Parameters
    ----------
    curves : list of (ndarray, ndarray)
        Mean confidence and frequency in the bins of each image.
    pooled : tuple of ndarray
        The same of all pixels.

    Attributes
    ----------
    ax_, figure_ : matplotlib objects
        After `plot`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import numpy as np
    >>> from abstain.dense import DenseReliabilityDisplay
    >>> rng = np.random.default_rng(0)
    >>> proba = rng.random((3, 16, 16))
    >>> display = DenseReliabilityDisplay.from_predictions(proba, (rng.random(proba.shape) < proba).astype(int))
    >>> len(display.curves)
    3
    """

    def __init__(self, curves: list, pooled: tuple[np.ndarray, ...]) -> None:
        self.curves = curves
        self.pooled = pooled

    def plot(self, ax: Any = None, **kwargs: Any) -> DenseReliabilityDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot`` for the curve of all pixels.

        Returns
        -------
        display : DenseReliabilityDisplay
            Itself.
        """
        if ax is None:
            _, ax = import_extra("matplotlib.pyplot", "plot").subplots()
        for confidence, frequency in self.curves:
            ax.plot(confidence, frequency, color="C0", alpha=min(1.0, 8 / len(self.curves)), linewidth=0.8)
        ax.plot([], [], color="C0", linewidth=0.8, label="each image")
        ax.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
        ax.plot(*self.pooled, **({"color": "black", "linewidth": 2, "label": "all pixels"} | kwargs))
        least = min(curve[0].min() for curve in [*self.curves, self.pooled])
        ax.set(xlabel="Confidence", ylabel="Share of right pixels", xlim=(least, 1), ylim=(0, 1))
        ax.legend(loc="lower right", fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_predictions(
        cls, proba: ArrayLike, masks: ArrayLike, *, ignore_label: int | None = 255, n_bins: int = 10, ax: Any = None,
        **kwargs: Any,
    ) -> DenseReliabilityDisplay:  # fmt: skip
        """Draw the reliability of maps.

        Parameters
        ----------
        proba : array-like of shape (n, H, W) or (n, H, W, K)
            Probability of the second of two classes, or of each.
        masks : array-like of shape (n, H, W)
            True classes.
        ignore_label : int or None, default=255
            Label of pixels that do not count.
        n_bins : int, default=10
            Bins of equal width between 1 / K and 1.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot`` for the curve of all pixels.

        Returns
        -------
        display : DenseReliabilityDisplay
            Drawn.
        """
        check_count(n_bins, "n_bins")
        maps = Maps(proba, "proba")
        images = [image[:2] for image in images_of(maps, masks, ignore_label)]
        everything = tuple(np.concatenate(part) for part in zip(*images, strict=True))
        curves = [_curve(image, 1.0 / maps.n_classes, n_bins) for image in [*images, everything]]
        return cls(curves[:-1], curves[-1]).plot(ax, **kwargs)


def _curve(image, least, n_bins):
    confidence, correct = image
    bins = binned_above(correct, confidence, least, n_bins).filled
    return bins.confidence / bins.weight, bins.correct / bins.weight
