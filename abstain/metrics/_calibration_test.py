"""Could labels like these have been drawn from these probabilities?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from abstain.metrics._labelled import labelled
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed
from abstain.utils.validation import check_count


class CalibrationTest(NamedTuple):
    """A statistic, and how often labels drawn from the probabilities reach it."""

    statistic: float
    pvalue: float
    n_resamples: int


def calibration_test(
    y_true: ArrayLike, proba: ArrayLike, *, classes: ArrayLike | None = None, n_resamples: int = 999,
    random_state: Seed = None,
) -> CalibrationTest:  # fmt: skip
    r"""Test of calibration, exact at any size: labels are drawn anew from the probabilities.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels.
    proba : array-like of shape (n, n_classes)
        Probabilities.
    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; None is 0, 1, ...
    n_resamples : int, default=999
        Draws; the p-value is a multiple of ``1 / (n_resamples + 1)``.
    random_state : int, RandomState or None, default=None
        Seed.

    Returns
    -------
    test : CalibrationTest
        ``statistic``, ``pvalue`` and ``n_resamples``. A small p-value says that the labels are not those of the
        probabilities; a large one that these samples do not show it.

    Raises
    ------
    ValueError
        If rows do not sum to one, or a label is none of the classes.

    Notes
    -----
    The statistic is the largest Kolmogorov-Smirnov calibration error over the classes, each in units of
    :math:`\sqrt{\sum_i p_{ik} (1 - p_{ik})}`. Under the hypothesis that :math:`y_i \sim p_i`, independently, it has the
    law of the redrawn ones, so that the p-value is at most u with probability at most u.

    References
    ----------
    J. Bröcker, L. A. Smith, "Increasing the Reliability of Reliability Diagrams", Weather and Forecasting, 2007.
    D. Widmann, F. Lindsten, D. Zachariah, "Calibration Tests in Multi-class Classification: A Unifying Framework",
    NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.metrics import calibration_test
    >>> p = np.linspace(0.1, 0.9, 400)
    >>> y = np.random.default_rng(0).random(400) < p**2
    >>> calibration_test(y, np.column_stack([1 - p, p]), random_state=0).pvalue
    0.001
    """
    check_count(n_resamples, "n_resamples")
    data, rng = labelled(y_true, proba, classes), check_seed(random_state)
    columns = [1] if data.proba.shape[1] == 2 else range(data.proba.shape[1])
    walks = [_Walk(data.proba[:, k], k) for k in columns]
    upper = np.cumsum(data.proba, axis=1)

    def statistic(codes):
        return max(walk.largest(codes) for walk in walks)

    found = statistic(data.codes)
    reached = 0
    for _ in range(n_resamples):
        drawn = (rng.random_sample((len(upper), 1)) * upper[:, -1:] > upper).sum(axis=1)
        reached += statistic(drawn) >= found * (1 - 1e-12)
    return CalibrationTest(float(found), int(reached + 1) / (n_resamples + 1), n_resamples)


class _Walk:
    """Sum of the residuals of a class over the samples in the order of its probability, in standard deviations."""

    def __init__(self, p, k):
        self.k, self.order = k, np.argsort(p, kind="stable")
        self.expected = np.cumsum(p[self.order])
        self.ends = np.flatnonzero(np.append(np.diff(p[self.order]) > 0, True))  # of equal probabilities
        self.scale = np.sqrt(max(np.sum(p * (1 - p)), 1e-12))

    def largest(self, codes):
        occurred = np.cumsum(codes[self.order] == self.k)
        return np.abs((occurred - self.expected)[self.ends]).max() / self.scale
