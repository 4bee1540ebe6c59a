"""Classifiers of pixels whose backbone is trained with them, for any loss of logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from abstain.backbones.images import Images
from abstain.backbones.trainable import check_class_loss, check_trainable
from abstain.classifiers.linear_probe import LinearProbe
from abstain.dense.maps import drawn_pixels, softmax
from abstain.losses import AdaptivePerturbationLoss, ClassLoss
from abstain.solvers.training import FineTuning
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import as_array, check_count


class FineTunedSegmenter(BaseEstimator):
    """A backbone and a linear map of the outputs of all its stages, trained together: a class for every pixel.

    The map is fitted on frozen features of some pixels first; then both learn. The epoch is chosen on images that are
    held back from both, and the frozen start is one of the candidates.

    Parameters
    ----------
    backbone : TimmBackbone, default=None
        The network to start from, which stays as it is; a copy is trained. Images are brought to its size whole.
    loss : ClassLoss, default=None
        Loss of the logits of a pixel, as of `FineTunedClassifier`. With `losses.AdaptivePerturbationLoss` each image
        has a level, as in the paper.
    training : FineTuning, default=None
        The knobs; None is ``FineTuning()``. Nothing is augmented: masks would have to follow.
    ignore_label : int, default=None
        Label of pixels that do not count.
    pixels_per_image : int, default=64
        Pixels of each image that the start is fitted on.
    checkpoint : str or Path, default=None
        File where the state of training is kept; see `FineTunedClassifier`.
    random_state : int, RandomState or None, default=None
        Seed of all draws.

    Attributes
    ----------
    backbone_ : TimmBackbone
        The copy.
    coef_, intercept_ : ndarray of shape (n_classes, n_channels) and (n_classes,)
        The map.
    history_ : list of dict
        Losses and accuracy of pixels of each epoch; the first entry is the frozen start.
    levels_ : ndarray of shape (n_images,)
        With `losses.AdaptivePerturbationLoss`, how far the labels of each image are perturbed.
    classes_ : ndarray of shape (n_classes,)
        Labels: 0, 1, ...

    See Also
    --------
    DenseCalibrator, ContextCalibrator : Calibrators of what it says.

    Examples
    --------
    >>> from abstain import FineTuning, TimmBackbone
    >>> from abstain.dense import FineTunedSegmenter
    >>> FineTunedSegmenter(TimmBackbone("test_resnet"), training=FineTuning(epochs=2)).training.epochs
    2
    """

    def __init__(
        self, backbone: Any = None, *, loss: ClassLoss | None = None, training: FineTuning | None = None,
        ignore_label: int | None = None, pixels_per_image: int = 64, checkpoint: str | Path | None = None,
        random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.backbone = backbone
        self.loss = loss
        self.training = training
        self.ignore_label = ignore_label
        self.pixels_per_image = pixels_per_image
        self.checkpoint = checkpoint
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit the map on frozen features, then train both.

        Parameters
        ----------
        X : folder, list of paths, ndarray, list of PIL images or torch Dataset
            Images, as `TimmBackbone.transform` takes them.
        y : array-like of shape (n, H, W)
            Masks: indices of the true classes, from 0.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            If masks are no indices of classes, or there is one class only.

        Warns
        -----
        FrozenStartWarning
            If training did not lower the loss on images that are held back.
        """
        with unchanged_on_failure(self):
            return self._fit(Images(X), y)

    def _fit(self, images, y):
        tuning, loss = self._checked()
        masks = self._checked_masks(y, len(images))
        self.size_, n_classes = masks.shape[1:], int(masks.max()) + 1
        self.classes_ = np.arange(n_classes)
        from abstain.backbones.hypercolumns import SegmentingNetwork, squashed
        from abstain.backbones.moments import with_moments
        from abstain.backbones.tuned import fine_tune
        from abstain.solvers.draws import split
        from abstain.solvers.objectives import MapObjective

        seed = check_seed(self.random_state).randint(2**31)
        learnt, held = split(np.arange(len(images)), tuning.validation_fraction, seed)
        preprocess = squashed(self.backbone._loaded()[2])
        backbone = with_moments(self.backbone, images, learnt, tuning)
        decoder = self._start(backbone, loss, images, masks, learnt, seed, preprocess)

        def judge(logits, rows):
            logits, valid = np.moveaxis(logits, 1, 3), masks[rows] >= 0
            values, _ = loss.value_and_derivative(logits[valid], masks[rows][valid])
            right = logits[valid].argmax(axis=1) == masks[rows][valid]
            return {"validation_loss": float(values.mean()), "accuracy": float(right.mean())}

        objective = MapObjective(loss, len(images))
        self.backbone_, network, self.history_ = fine_tune(
            backbone, images, decoder, objective, targets=(masks,), learnt=learnt, held=held, tuning=tuning,
            seed=seed, judge=judge, checkpoint=self.checkpoint, what=loss, wrap=SegmentingNetwork,
            preprocess=preprocess,
        )  # fmt: skip
        self.coef_, self.intercept_ = network.head.unstandardised()
        self.widths_ = network.head.widths
        if isinstance(loss, AdaptivePerturbationLoss):
            self.levels_ = objective.levels
        return self

    def _start(self, backbone, loss, images, masks, learnt, seed, preprocess):
        """The best map of frozen features, as a module."""
        from abstain.backbones.hypercolumns import LinearDecoder, columns_at

        drawn = drawn_pixels(masks[learnt] >= 0, self.pixels_per_image, check_seed(seed))
        columns, widths = columns_at(backbone, images, learnt, drawn, self.size_, preprocess)
        codes = np.concatenate([masks[row].ravel()[at] for row, at in zip(learnt, drawn, strict=True)])
        missing = np.setdiff1d(self.classes_, codes)
        if missing.size:
            raise ValueError(
                f"y has too few pixels of the classes {missing[:5].tolist()}, of which none was drawn: raise "
                "pixels_per_image, or leave the classes out (ignore_label)."
            )
        # pixels of an image are alike: they are worth a fraction of their number
        probe = LinearProbe(10.0, max_iter=1000, loss=loss, random_state=seed).fit(columns, codes)
        mean, spread = columns.mean(axis=0, dtype=np.float64), columns.std(axis=0, dtype=np.float64)
        return LinearDecoder(probe.coef_, probe.intercept_, mean, spread, widths, self.size_)

    def _checked(self):
        tuning = check_trainable(self.backbone, self.training)
        if tuning.augment:
            raise ValueError(f"training.augment must be None: masks would have to follow; got {tuning.augment!r}.")
        check_count(self.pixels_per_image, "pixels_per_image")
        return tuning, check_class_loss(self.loss, tuning)

    def _checked_masks(self, y, n):
        masks = as_array(y, "y")
        if masks.ndim != 3 or len(masks) != n or masks.dtype.kind not in "iub":
            raise ValueError(
                f"y must be masks of whole numbers, one for each of {n} images, (n, H, W); got {masks.dtype} of shape "
                f"{masks.shape}."
            )
        if self.ignore_label is not None:
            check_count(self.ignore_label, "ignore_label", least=-1)
        codes = np.where(masks == self.ignore_label, -1, masks.astype(np.int64))
        if (codes < 0).all(axis=(1, 2)).any() or codes.max() < 1 or ((codes < 0) & (masks != self.ignore_label)).any():
            raise ValueError(
                "y must hold indices of two classes or more, from 0, and pixels that count in every image; pixels that "
                "do not are told by ignore_label=."
            )
        return codes

    def logits(self, X: Any, size: tuple[int, ...] | None = None) -> np.ndarray:
        """Logits of every pixel, of maps of any size.

        Parameters
        ----------
        X : object
            Images, as in `fit`.
        size : tuple of int, default=None
            Rows and columns of the maps; None is the size of the masks of `fit`.

        Returns
        -------
        maps : ndarray of shape (n, H, W) or (n, H, W, n_classes)
            Log-odds of the second of two classes, or logits of each, float32: what `abstain.dense` takes.
        """
        check_is_fitted(self)
        from abstain.backbones.hypercolumns import LinearDecoder, logits_of, squashed

        d, size = self.coef_.shape[1], self.size_ if size is None else size
        decoder = LinearDecoder(self.coef_, self.intercept_, np.zeros(d), np.ones(d), self.widths_, size)
        preprocess = squashed(self.backbone_._loaded()[2])
        maps = np.concatenate(list(logits_of(self.backbone_, decoder, Images(X), preprocess)))
        return maps[:, 1] - maps[:, 0] if maps.shape[1] == 2 else np.moveaxis(maps, 1, 3)

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits of every pixel, of maps as large as the masks of `fit`.

        Parameters
        ----------
        X : object
            Images, as in `fit`.

        Returns
        -------
        maps : ndarray of shape (n, H, W) or (n, H, W, n_classes)
            As of `logits`.
        """
        return self.logits(X)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of every pixel.

        Parameters
        ----------
        X : object
            Images, as in `fit`.

        Returns
        -------
        proba : ndarray of shape (n, H, W) or (n, H, W, n_classes)
            Of the second of two classes, or of each.
        """
        maps = self.logits(X)
        if maps.ndim == 3:
            return softmax(np.stack([np.zeros_like(maps), maps]))[1]
        return np.moveaxis(softmax(np.moveaxis(maps, 3, 0)), 0, 3)

    def predict(self, X: Any) -> np.ndarray:
        """Class of every pixel.

        Parameters
        ----------
        X : object
            Images, as in `fit`.

        Returns
        -------
        masks : ndarray of shape (n, H, W)
            Indices of classes.
        """
        maps = self.logits(X)
        return (maps > 0).astype(np.int64) if maps.ndim == 3 else maps.argmax(axis=3)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags
