"""Venn-Abers: two isotonic fits, with the new sample on either side; a pair of probabilities, one of which is valid."""

from typing import Any

import numpy as np
from scipy.special import logit

from abstain.calibration.binary import BaseBinaryCalibrator, log_odds_against
from abstain.calibration.floor import floored


class VennAbers(BaseBinaryCalibrator):
    r"""Inductive Venn-Abers predictor: an interval of probabilities, and the one in it that loses least.

    Parameters
    ----------
    {shared}

    Attributes
    ----------
    maps_ : list of tuple of ndarray
        Log-odds of the samples, and lower and upper probability at each of them and in each gap, of the second of two
        classes, or of each class.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    Notes
    -----
    :math:`p_0` and :math:`p_1` are the isotonic regressions at the new sample when it is added with label 0 and with
    label 1. One of them is a calibrated probability, whatever the law; :math:`q = p_1 / (1 - p_0 + p_1)` is what loses
    least of both. With three or more classes, each against the rest, rows are made to sum to one, and nothing is
    guaranteed.

    References
    ----------
    V. Vovk, I. Petej, V. Fedorova, "Large-scale Probabilistic Predictors with and without Guarantees of Validity",
    NeurIPS 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import VennAbers
    >>> p = np.array([0.2, 0.4, 0.6, 0.8])
    >>> calibrator = VennAbers(kind="proba").fit(np.column_stack([1 - p, p]), [0, 1, 0, 1])
    >>> low, high = calibrator.intervals([[0.5, 0.5]])
    >>> np.round([low[0, 1], high[0, 1]], 2)
    array([0.33, 0.67])
    """

    def intervals(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper probability of every class.

        Parameters
        ----------
        X : array-like of shape (n, n_classes), ClassOutputs, or data of the estimator
            As in `fit`.

        Returns
        -------
        low, high : ndarray of shape (n, n_classes)
            Each class against the rest; rows do not sum to one.
        """
        outputs = self._heard(X)
        self._check_classes(outputs)
        logits = floored(outputs, self.lowest_)
        n_classes = logits.shape[1]
        if n_classes == 2:
            low, high = self._pair(self.maps_[0], log_odds_against(logits, 1))
            return np.column_stack([1 - high, low]), np.column_stack([1 - low, high])
        pairs = [self._pair(found, log_odds_against(logits, k)) for k, found in enumerate(self.maps_)]
        low, high = (np.column_stack(columns) for columns in zip(*pairs, strict=True))
        return low, high

    def _fit_map(self, odds, true, weight):
        known, where = np.unique(odds, return_inverse=True)
        mass, ones = np.bincount(where, weight), np.bincount(where, weight * true)
        low = with_one_more(mass, ones, 0.0)
        high = with_one_more(mass, ones, 1.0)
        return known, low, high

    def _apply(self, found, odds):
        low, high = self._pair(found, odds)
        with np.errstate(divide="ignore"):
            return logit(high / (1.0 - low + high))

    @staticmethod
    def _pair(found, odds):
        known, low, high = found
        at = np.searchsorted(known, odds)
        same = known[np.minimum(at, len(known) - 1)] == odds
        place = 2 * at + same
        return low[place], high[place]


def with_one_more(mass, ones, label):
    """Isotonic regression at one more sample, for every place it may take.

    What lies left of it and what lies right of it are pooled on their own; the new sample then takes in neighbours from
    either side as long as the order is broken.

    Parameters
    ----------
    mass : ndarray of shape (m,)
        Weight of the samples at each distinct value, in order.
    ones : ndarray of shape (m,)
        Weight of those whose label is 1.
    label : float
        Label of the one that is added, with weight 1.

    Returns
    -------
    level : ndarray of shape (2 m + 1,)
        Regression at the new sample: before the first value, at it, between it and the next, ..., after the last.
    """
    m = len(mass)
    left, right = _Pools(), _Pools()
    for i in reversed(range(m)):
        right.push(mass[i], ones[i], from_right=True)
    level = np.empty(2 * m + 1)
    for i in range(m + 1):
        level[2 * i] = _pooled(left, right, 1.0, label)
        if i < m:
            right.undo()
            level[2 * i + 1] = _pooled(left, right, 1.0 + mass[i], label + ones[i])
            left.push(mass[i], ones[i])
    return level


def _pooled(left, right, mass, ones):
    """Level of a block after it has taken in all neighbours that break the order."""
    i, j = len(left.stack) - 1, len(right.stack) - 1
    while True:
        if j >= 0 and right.stack[j][1] * mass < ones * right.stack[j][0]:
            mass, ones, j = mass + right.stack[j][0], ones + right.stack[j][1], j - 1
        elif i >= 0 and left.stack[i][1] * mass > ones * left.stack[i][0]:
            mass, ones, i = mass + left.stack[i][0], ones + left.stack[i][1], i - 1
        else:
            return ones / mass


class _Pools:
    """Blocks of an isotonic regression to which values are added at one end, and taken off again."""

    def __init__(self):
        self.stack = []  # (mass, ones), the newest last
        self.merged = []  # what each push took in

    def push(self, mass, ones, from_right=False):
        taken = []
        while self.stack and self._breaks((mass, ones), self.stack[-1], from_right):
            taken.append(self.stack.pop())
            mass, ones = mass + taken[-1][0], ones + taken[-1][1]
        self.stack.append((mass, ones))
        self.merged.append(taken)

    def undo(self):
        self.stack.pop()
        self.stack.extend(reversed(self.merged.pop()))

    @staticmethod
    def _breaks(new, last, from_right):
        # blocks of one level are one, or a run of equal labels would be walked through at every place
        new_level, last_level = new[1] * last[0], last[1] * new[0]
        return new_level >= last_level if from_right else new_level <= last_level
