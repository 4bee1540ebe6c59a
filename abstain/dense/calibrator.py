"""Any calibrator on maps: the same function of the outputs of each pixel."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from abstain.calibration.labelled import check_calibrator
from abstain.calibration.temperature import Temperature
from abstain.dense.maps import KINDS, Maps, check_masks, drawn_pixels
from abstain.outputs import ClassOutputs
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import check_choice, check_count, check_mask, row_blocks


class BaseDenseCalibrator(BaseEstimator):
    """Base of what calibrates maps: a subclass writes ``_fit(maps, masks, valid, held_out)`` and ``_mapped(logits)``.

    ``_mapped`` takes the logits of one image (K, H, W), and which pixels count (H, W), and returns new ones.
    """

    def fit(self, maps: ArrayLike, masks: ArrayLike, *, held_out: ArrayLike | None = None) -> Self:
        """Learn the map.

        Parameters
        ----------
        maps : array-like of shape (n, H, W) or (n, H, W, K)
            Logits or probabilities, as ``kind`` says: of the second of two classes, or of each class.
        masks : array-like of shape (n, H, W)
            Indices of the true classes.
        held_out : array-like of shape (n,) of bool, default=None
            Images that the classifier was not trained on, for `ASLPCalibrator`.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            If shapes differ, or labels are none of the classes.
        """
        with unchanged_on_failure(self):
            check_choice(self.kind, "kind", KINDS)
            check_count(self.pixels_per_image, "pixels_per_image")
            said = Maps(maps, self.kind)
            codes, valid = check_masks(masks, said, self.ignore_label)
            held_out = None if held_out is None else check_mask(held_out, len(said), "held_out")
            self.n_classes_ = said.n_classes
            self._fit(said, codes, valid, held_out)
        return self

    def transform(self, maps: ArrayLike, *, valid: ArrayLike | None = None) -> Any:
        """Calibrated logits.

        Parameters
        ----------
        maps : array-like of shape (n, H, W) or (n, H, W, K)
            As in `fit`.
        valid : array-like of shape (n, H, W) of bool, default=None
            Pixels that are there, where some are not.

        Returns
        -------
        logits : ndarray of the shape of the maps, float32
            Log-odds of the second of two classes, or logits of each.
        """
        return self._all(maps, valid, Maps.packed)

    def predict_proba(self, maps: ArrayLike, *, valid: ArrayLike | None = None) -> Any:
        """Calibrated probabilities.

        Parameters
        ----------
        maps : array-like of shape (n, H, W) or (n, H, W, K)
            As in `fit`.
        valid : array-like of shape (n, H, W) of bool, default=None
            Pixels that are there, where some are not.

        Returns
        -------
        proba : ndarray of the shape of the maps, float32
            Probability of the second of two classes, or of each.
        """
        return self._all(maps, valid, Maps.packed_proba)

    def _all(self, maps, valid, packed):
        check_is_fitted(self)
        maps = Maps(maps, self.kind)
        if maps.n_classes != self.n_classes_:
            raise ValueError(f"maps have {maps.n_classes} classes, but {self.n_classes_} were fitted.")
        if valid is not None and np.shape(valid) != maps.shape:
            raise ValueError(f"valid must have shape {maps.shape}; got {np.shape(valid)}.")
        out = np.empty(maps.values.shape, dtype=np.float32)
        for i in range(len(maps)):
            there = np.ones(maps.shape[1:], dtype=bool) if valid is None else np.asarray(valid[i], dtype=bool)
            out[i] = packed(maps, self._mapped(maps.image(i), there))
        return out


class DenseCalibrator(BaseDenseCalibrator):
    """A calibrator that is fitted on the pixels of all images, and applied to each.

    Parameters
    ----------
    calibrator : calibrator, default=None
        From `abstain.calibration`, without an estimator. None is `Temperature`. `ASLPCalibrator` has a level for each
        image.
    kind : {"logits", "proba"}, default="logits"
        What maps hold.
    ignore_label : int or None, default=255
        Label of pixels that do not count.
    pixels_per_image : int, default=2000
        Pixels drawn from each image to learn from; neighbours say the same again.
    random_state : int, RandomState or None, default=None
        Seed of the pixels.

    Attributes
    ----------
    calibrator_ : calibrator
        Fitted.
    n_classes_ : int
        Classes.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.dense import DenseCalibrator
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(20, 16, 16))
    >>> masks = (rng.logistic(size=logits.shape) < logits).astype(int)
    >>> round(DenseCalibrator(random_state=0).fit(2 * logits, masks).calibrator_.temperature_)
    2
    """

    def __init__(
        self, calibrator: Any = None, *, kind: str = "logits", ignore_label: int | None = 255,
        pixels_per_image: int = 2000, random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.calibrator = calibrator
        self.kind = kind
        self.ignore_label = ignore_label
        self.pixels_per_image = pixels_per_image
        self.random_state = random_state

    def _fit(self, maps, masks, valid, held_out):
        calibrator = Temperature() if self.calibrator is None else self.calibrator
        check_calibrator(calibrator, "calibrator")
        drawn = drawn_pixels(valid, self.pixels_per_image, check_seed(self.random_state))
        logits = [maps.image(i).reshape(maps.n_classes, -1)[:, rows].T for i, rows in enumerate(drawn)]
        codes = np.concatenate([masks[i].ravel()[rows] for i, rows in enumerate(drawn)]).astype(np.intp)
        image = np.repeat(np.arange(len(drawn)), [len(rows) for rows in drawn])
        own = {} if held_out is None else {"held_out": held_out[image]}
        outputs = ClassOutputs(np.concatenate(logits), "logits")
        self.calibrator_ = clone(calibrator).fit_outputs(outputs, codes, groups=image, **own)

    def _mapped(self, logits, valid):
        flat = logits.reshape(len(logits), -1)
        out = np.empty_like(flat)
        for rows in row_blocks(flat.shape[1], len(flat), 1 << 16):
            out[:, rows] = self.calibrator_.transform_outputs(ClassOutputs(flat[:, rows].T, "logits")).logits.T
        return out.reshape(logits.shape)
