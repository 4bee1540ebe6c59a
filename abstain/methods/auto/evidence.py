"""Columns of evidence on predictions: what each speaks of, which way is safe, and how far it has been seen to go."""

import numpy as np

_INNER = 0.01  # share of held-out samples beyond a limit, or three of them
_FAR = 1e6  # widths of what was seen, at which a feature ends
_NOVEL = "distance"  # the topic whose columns say how unlike anything seen a sample is


class Columns:
    """Evidence within what was seen held out, and an alarm beyond.

    Parameters
    ----------
    topics : list of str
        What each column speaks of.
    rising : ndarray of shape (m,) of bool
        Whether a larger value is safer.
    held_out : ndarray of shape (n, m)
        Columns of held-out samples; NaN where nothing is known.
    """

    def __init__(self, topics, rising, held_out):
        self.topics, self.rising = np.array(topics), np.asarray(rising, dtype=bool)
        known = np.where(np.isnan(held_out).all(axis=0), 0.0, held_out)
        inner = min(_INNER, 3 / len(known))
        self.low, self.typical, self.high = np.nanquantile(known, [inner, 0.5, 1 - inner], axis=0)
        self.spread = np.maximum(np.nanstd(known, axis=0), 1e-9)
        self.novel = self.topics == _NOVEL

    def limited(self, raw):
        """Columns between the limits, and typical where nothing is known."""
        return np.clip(np.where(np.isnan(raw), self.typical, raw), self.low, self.high)

    def alarm(self, raw):
        """How far beyond anything seen a sample is, in log-odds that it costs; 0 within."""
        excess = np.maximum((self.low - np.nan_to_num(raw, nan=np.inf)) / self.spread, 0)
        return np.log1p(excess[:, self.novel]).sum(axis=1)

    def beyond(self, raw):
        """By topic, whether evidence is worse than any that was seen, (n,) of bool."""
        worse = (np.nan_to_num(raw, nan=np.inf) < self.low) & self.rising
        return {topic: worse[:, self.topics == topic].any(axis=1) for topic in dict.fromkeys(self.topics.tolist())}


class Reach:
    """How far features may go before they are held back, so that squares of distances are finite in float32.

    Parameters
    ----------
    features : ndarray of shape (n, d)
        Of held-out samples.
    """

    def __init__(self, features):
        low, high = features.min(axis=0).astype(np.float64), features.max(axis=0).astype(np.float64)
        size = np.maximum(np.abs(low), np.abs(high))
        with np.errstate(over="ignore"):
            width = _FAR * np.where(high > low, high - low, np.where(size > 0, size, 1.0))
        self.low, self.high = low - width, high + width

    def within(self, features):
        """Features, none of them beyond."""
        if ((features >= self.low) & (features <= self.high)).all():
            return features
        return np.clip(features, self.low, self.high)


def of_confidence(view):
    """What the probabilities say, as columns, (n, c), with the safe direction of each."""
    columns = view.without_features().with_extra(None).confidence.copy()
    columns[:, -2] *= -1  # entropy
    rising = np.zeros(columns.shape[1], dtype=bool)
    rising[[0, -3, -2, -1]] = True
    return columns, rising
