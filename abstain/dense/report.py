"""How true and how useful maps are: over all pixels, and image by image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from abstain.dense.maps import Maps, check_masks, softmax
from abstain.metrics._calibration import binned
from abstain.metrics._risk_coverage import aurc
from abstain.utils.html import html_text

_N_BINS = 10


class ImageOutcomes(NamedTuple):
    """One entry an image: what an image-level policy is fitted on."""

    confidence: np.ndarray  # (n,), mean largest probability
    loss: np.ndarray  # (n,), share of wrong pixels


class PixelOutcomes(NamedTuple):
    """One entry a pixel that counts; ``image`` is what is exchangeable, the ``clusters`` of a policy."""

    confidence: np.ndarray
    correct: np.ndarray
    image: np.ndarray


class DenseReport(NamedTuple):
    """What `dense_report` found; printed as a line for the pixels and one for the images."""

    n_images: int
    n_pixels: int
    log_loss: float
    brier: float  # of the answer and its opposite: squared error of the confidence
    accuracy: float
    ece: float  # over all pixels together
    overconfidence: float
    image_ece: float  # mean over images of the error within each
    image_gap: float  # mean over images of the gap of mean confidence and accuracy
    pixel_aurc: float
    image_aurc: float

    def __str__(self):
        return "\n".join(
            [
                f"{self.n_pixels} pixels: log-loss {self.log_loss:.4f}, Brier {self.brier:.4f}, accuracy "
                f"{self.accuracy:.4f}, ECE {self.ece:.4f}, over-confidence {self.overconfidence:.4f}, AURC "
                f"{self.pixel_aurc:.4f}",
                f"{self.n_images} images: ECE within {self.image_ece:.4f}, gap of confidence and accuracy "
                f"{self.image_gap:.4f}, AURC {self.image_aurc:.4f}",
            ]
        )

    def _repr_html_(self):
        return html_text(self)


def dense_report(
    proba: ArrayLike, masks: ArrayLike, *, kind: str = "proba", ignore_label: int | None = 255, n_bins: int = _N_BINS
) -> DenseReport:
    """Calibration and risk of maps, over all pixels and image by image.

    Parameters
    ----------
    proba : array-like of shape (n, H, W) or (n, H, W, K)
        Probability of the second of two classes, or of each; logits where ``kind`` says so.
    masks : array-like of shape (n, H, W)
        Indices of the true classes.
    kind : {"proba", "logits"}, default="proba"
        What the maps hold.
    ignore_label : int or None, default=255
        Label of pixels that do not count.
    n_bins : int, default=10
        Bins of equal width between 1 / K, below which no largest probability can be, and 1.

    Returns
    -------
    report : DenseReport
        Print it.

    Notes
    -----
    The error over all pixels is small wherever errors of images cancel: nearly any map of one number reaches that. The
    error within images says whether one image can be trusted.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.dense import dense_report
    >>> proba = np.full((2, 4, 4), 0.75)
    >>> masks = np.stack([np.ones((4, 4), dtype=int), np.arange(16).reshape(4, 4) % 2])
    >>> report = dense_report(proba, masks)
    >>> report.ece, report.image_ece
    (0.0, 0.25)
    """
    maps = Maps(proba, kind)
    images = list(images_of(maps, masks, ignore_label))
    confidence, correct, own = (np.concatenate(part) for part in zip(*images, strict=True))
    least = 1.0 / maps.n_classes
    bins = binned_above(correct, confidence, least, n_bins)
    filled = bins.filled
    outcomes = _outcomes(images)
    within = [np.abs(binned_above(right, sure, least, n_bins).gap).sum() for sure, right, _ in images]
    sure = filled.confidence / filled.weight
    gap = outcomes.confidence - 1.0 + outcomes.loss
    return DenseReport(
        len(maps), len(correct), float(-np.log(np.maximum(own, 2.0**-52)).mean()),
        float(np.mean((confidence - correct) ** 2)), float(correct.mean()), float(np.abs(bins.gap).sum()),
        float(np.sum(sure * np.maximum(filled.confidence - filled.correct, 0.0)) / len(correct)),
        float(np.mean(within)), float(np.abs(gap).mean()), float(aurc(correct, confidence)),
        float(aurc(None, outcomes.confidence, loss=outcomes.loss)),
    )  # fmt: skip


def image_outcomes(
    proba: ArrayLike, masks: ArrayLike, *, kind: str = "proba", ignore_label: int | None = 255
) -> ImageOutcomes:
    """Confidence and loss of whole images.

    Parameters
    ----------
    proba : array-like of shape (n, H, W) or (n, H, W, K)
        Probability of the second of two classes, or of each; logits where ``kind`` says so.
    masks : array-like of shape (n, H, W)
        Indices of the true classes.
    kind : {"proba", "logits"}, default="proba"
        What the maps hold.
    ignore_label : int or None, default=255
        Label of pixels that do not count.

    Returns
    -------
    outcomes : ImageOutcomes
        ``confidence`` (n,), mean largest probability, which is the expected share of right pixels where maps are
        calibrated; and ``loss`` (n,), the share of wrong ones. For ``policy.fit(confidence, loss=loss)``.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.dense import image_outcomes
    >>> image_outcomes(np.full((1, 2, 2), 0.9), np.array([[[1, 1], [1, 0]]])).loss
    array([0.25])
    """
    return _outcomes(images_of(Maps(proba, kind), masks, ignore_label))


def _outcomes(images):
    both = np.array([(confidence.mean(), 1.0 - correct.mean()) for confidence, correct, _ in images])
    return ImageOutcomes(both[:, 0], both[:, 1])


def pixel_outcomes(
    proba: ArrayLike, masks: ArrayLike, *, kind: str = "proba", ignore_label: int | None = 255
) -> PixelOutcomes:
    """Confidence and correctness of the pixels that count, and the image of each.

    Parameters
    ----------
    proba : array-like of shape (n, H, W) or (n, H, W, K)
        Probability of the second of two classes, or of each; logits where ``kind`` says so.
    masks : array-like of shape (n, H, W)
        Indices of the true classes.
    kind : {"proba", "logits"}, default="proba"
        What the maps hold.
    ignore_label : int or None, default=255
        Label of pixels that do not count.

    Returns
    -------
    outcomes : PixelOutcomes
        For ``policy.fit(confidence, correct, clusters=image)``: a bound that takes pixels for independent draws is
        broken far more often than it says.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.dense import pixel_outcomes
    >>> pixel_outcomes(np.full((1, 2, 2), 0.9), np.array([[[1, 1], [1, 255]]])).image
    array([0, 0, 0])
    """
    images = [image[:2] for image in images_of(Maps(proba, kind), masks, ignore_label)]
    confidence, correct = (np.concatenate(part) for part in zip(*images, strict=True))
    return PixelOutcomes(confidence, correct, np.repeat(np.arange(len(images)), [len(c) for c, _ in images]))


def images_of(maps, masks, ignore_label):
    """Yield, of each image, confidence, correctness and probability of the true class at the pixels that count."""
    masks, valid = check_masks(masks, maps, ignore_label)
    for i, there in enumerate(valid):
        proba = softmax(maps.image(i))[:, there]
        labels = masks[i][there].astype(np.intp)
        yield proba.max(axis=0), proba.argmax(axis=0) == labels, proba[labels, np.arange(len(labels))]


def binned_above(correct, confidence, least, n_bins):
    """Bins between the least possible confidence and one."""
    scaled = np.clip((confidence - least) / (1.0 - least), 0.0, 1.0)
    bins = binned(correct, scaled, n_bins)
    return bins._replace(confidence=least * bins.weight + (1.0 - least) * bins.confidence)
