"""A calibrator that looks at the image: its own statistics, and what stands around a pixel."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from abstain.dense.calibrator import BaseDenseCalibrator
from abstain.dense.maps import drawn_pixels, softmax
from abstain.solvers.shared_weights import fit_shared_weights
from abstain.solvers.temperature import fit_inverse_temperature
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed
from abstain.utils.validation import check_number

# widths of what stands around a pixel, as shares of the side of the image
_WIDTHS = (1 / 48, 1 / 12, 1 / 3)
STATISTICS = ("mean confidence", "spread of margins", "entropy of the mean", "length of borders")


class ContextCalibrator(BaseDenseCalibrator):
    r"""Logits, local means and statistics of the image, weighed by one convex fit that all classes share.

    No function of a pixel alone can tell an image that is understood from one that is not; what the map looks like can,
    in part.

    Parameters
    ----------
    kind : {"logits", "proba"}, default="logits"
        What maps hold.
    ignore_label : int or None, default=255
        Label of pixels that do not count.
    pixels_per_image : int, default=256
        Pixels drawn from each image to learn from.
    l2 : float, default=0.03
        Penalty of the weights, of columns of unit size, against the sum over images of their mean log-loss.
    random_state : int, RandomState or None, default=None
        Seed of the pixels.

    Attributes
    ----------
    temperature_ : float
        Of the first step, by which logits are divided.
    weights_ : dict
        Weight of each column, by name, in units of the size of the column.
    n_classes_ : int
        Classes.

    Notes
    -----
    The logit of class k is :math:`\sum_j w_j x_{jk}`, where the columns are the logit and the probability of the class,
    at the pixel, around it at three widths, and on average over the image; the share of pixels that are predicted to be
    of it, and their mean confidence; and the logit times four statistics of the image: mean confidence, spread of
    margins, entropy of the mean probability, length of the borders. Weights are of least log-loss, with the same weight
    for each image. They do not know which class is which, so that their number is that of the columns. Answers may
    change.

    This calibrator is ours; temperatures by image and by pixel are those of Z. Ding et al., "Local Temperature Scaling
    for Probability Calibration", ICCV 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.dense import ContextCalibrator
    >>> rng = np.random.default_rng(0)
    >>> true = rng.normal(size=(30, 1, 1)) + rng.normal(size=(30, 16, 16))
    >>> masks = (rng.logistic(size=true.shape) < true).astype(int)
    >>> calibrator = ContextCalibrator(random_state=0).fit(2 * true, masks)
    >>> calibrator.predict_proba(2 * true).shape
    (30, 16, 16)
    """

    def __init__(
        self, *, kind: str = "logits", ignore_label: int | None = 255, pixels_per_image: int = 256, l2: float = 0.03,
        random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.kind = kind
        self.ignore_label = ignore_label
        self.pixels_per_image = pixels_per_image
        self.l2 = l2
        self.random_state = random_state

    def _fit(self, maps, masks, valid, held_out):
        check_number(self.l2, "l2", above=0)
        drawn = drawn_pixels(valid, self.pixels_per_image, check_seed(self.random_state))
        codes = np.concatenate([masks[i].ravel()[rows] for i, rows in enumerate(drawn)]).astype(np.intp)
        weight = np.concatenate([np.full(len(rows), 1.0 / len(rows)) for rows in drawn])  # images count the same
        logits = np.concatenate([maps.image(i).reshape(maps.n_classes, -1)[:, rows].T for i, rows in enumerate(drawn)])
        self.temperature_ = 1.0 / fit_inverse_temperature(logits, codes, weight)

        def images():
            return (_Image(maps.image(i) / self.temperature_, valid[i]) for i in range(len(maps)))

        statistics = np.array([image.statistics for image in images()])
        self.centre_, self.spread_ = statistics.mean(axis=0), statistics.std(axis=0) + 1e-9
        x = np.concatenate([self._columns_at(image, rows) for image, rows in zip(images(), drawn, strict=True)])
        self.size_ = np.sqrt(np.einsum("njk,njk->j", x, x, dtype=np.float64) / len(x)) + 1e-9
        x /= self.size_[:, None].astype(np.float32)
        start, ridge = np.zeros(len(self.size_)), np.full(len(self.size_), self.l2 / len(maps))
        start[0], ridge[0] = self.size_[0], 1e-6  # the temperature, which is where shrinking leads
        found = fit_shared_weights(x, codes, weight / weight.sum(), ridge, start)
        self.weights_ = dict(zip(column_names(), found.tolist(), strict=True))

    def _columns_at(self, image, rows):
        """Columns at some pixels, (m, n_columns, K), of mean zero over classes."""
        columns = [np.broadcast_to(c, image.logits.shape).reshape(len(c), -1)[:, rows] for c in self._columns(image)]
        x = np.stack(columns).transpose(2, 0, 1)
        return (x - x.mean(axis=2, keepdims=True)).astype(np.float32)

    def _columns(self, image):
        yield from image.columns()
        for value in np.clip((image.statistics - self.centre_) / self.spread_, -3.0, 3.0):
            yield image.logits * value

    def _mapped(self, logits, valid):
        if not valid.any():
            return logits
        weights = np.array(list(self.weights_.values())) / self.size_
        image = _Image(logits / self.temperature_, valid)
        return sum(weight * column for weight, column in zip(weights, self._columns(image), strict=True))


def column_names():
    """Names of the columns, in their order."""
    local = [f"{what} within {width:.3f}" for width in _WIDTHS for what in ("logit", "probability")]
    whole = ["mean logit", "mean probability", "log share predicted", "confidence where predicted"]
    return ["logit", "probability", *local, *whole, *(f"logit x {name}" for name in STATISTICS)]


class _Image:
    """What one map says of its image.

    Parameters
    ----------
    logits : ndarray of shape (K, H, W)
        Tempered logits.
    valid : ndarray of shape (H, W) of bool
        Pixels that count.
    """

    def __init__(self, logits, valid):
        self.logits, self.valid = logits, valid
        self.proba = softmax(logits)
        self.confidence, self.answer = self.proba.max(axis=0), logits.argmax(axis=0)

    def mean(self, values):
        """Mean over the pixels that count."""
        return values[..., self.valid].mean(axis=-1)

    @property
    def statistics(self):
        """One number for each of `STATISTICS`, (4,)."""
        ordered = np.partition(self.logits, -2, axis=0)
        margin = (ordered[-1] - ordered[-2])[self.valid]
        mean_proba = self.mean(self.proba)
        entropy = -np.sum(mean_proba * np.log(mean_proba + 1e-9)) / np.log(len(mean_proba))
        return np.array(
            [self.mean(self.confidence), margin.std() / (margin.mean() + 1e-6), entropy, np.log1p(self._border())]
        )

    def _border(self):
        """Pairs of neighbours that are answered differently, in units of the side of the image."""
        pairs = 0.0
        for near, far in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
            both = self.valid[near] & self.valid[far]
            pairs += np.count_nonzero((self.answer[near] != self.answer[far]) & both)
        return pairs / np.sqrt(np.count_nonzero(self.valid))

    def columns(self):
        """Yield what does not depend on other images: (K, H, W) or (K, 1, 1)."""
        yield self.logits
        yield self.proba
        for width in _WIDTHS:
            for values in (self.logits, self.proba):
                yield self._around(values, width)
        predicted = np.arange(len(self.logits))[:, None, None] == self.answer
        share = self.mean(predicted)
        sure = self.mean(predicted * self.confidence) / np.where(share > 0, share, 1.0)
        sure = np.where(share > 0, sure, 1.0 / len(share))
        for values in (self.mean(self.logits), self.mean(self.proba), np.log(share + 0.01), sure):
            yield values[:, None, None]

    def _around(self, values, width):
        """Mean over the pixels around, by three passes of a box, whose cost does not depend on its width."""
        size = round(2 * width * self.valid.size**0.5) | 1

        def smoothed(x):
            for _ in range(3):
                x = uniform_filter(x, size, mode="constant")
            return x

        total = np.maximum(smoothed(self.valid.astype(np.float64)), 1e-6)
        return np.stack([smoothed(plane * self.valid) / total for plane in values])
