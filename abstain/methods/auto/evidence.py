"""Columns of evidence on predictions: what each speaks of, which way is safe, and how far it has been seen to go."""

import numpy as np

_INNER = 0.01  # share of held-out samples beyond a limit, or ten of them
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


def of_confidence(view):
    """What the probabilities say, as columns, (n, c), with the safe direction of each."""
    columns = view.without_features().with_extra(None).confidence.copy()
    columns[:, -2] *= -1  # entropy
    rising = np.zeros(columns.shape[1], dtype=bool)
    rising[[0, -3, -2, -1]] = True
    return columns, rising
