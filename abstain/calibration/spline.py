"""A smooth curve of the log-odds: logistic regression on natural cubic splines."""

from __future__ import annotations

from typing import Any

import numpy as np

from abstain.calibration.binary import BaseBinaryCalibrator
from abstain.solvers.logistic import fit_ridged
from abstain.utils.annotations import Seed
from abstain.utils.validation import check_count, row_blocks

_RIDGES = np.logspace(3, -3, 7)


class Spline(BaseBinaryCalibrator):
    """Logistic regression on natural cubic splines of the log-odds, with a ridge chosen by cross-validation.

    Parameters
    ----------
    {shared}
    n_knots : int, default=6
        Knots, at quantiles of the log-odds. Beyond the outer ones the curve is a line.

    Attributes
    ----------
    maps_ : list of tuple
        Knots, coefficients of the line and of the curves, and the intercept, of the second of two classes, or of each
        class.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    References
    ----------
    B. Lucena, "Spline-Based Probability Calibration", arXiv 1809.07751, 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import Spline
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(2000)
    >>> y = rng.random(2000) < 0.5 + np.sin(2 * np.pi * p) / 4
    >>> Spline(kind="proba").fit(np.column_stack([1 - p, p]), y).predict_proba([[0.75, 0.25]])[0, 1] > 0.6
    np.True_
    """

    def __init__(
        self, estimator: Any = None, *, kind: str | None = None, cv: Any = 5, n_jobs: int | None = None,
        random_state: Seed = None, n_knots: int = 6,
    ) -> None:  # fmt: skip
        super().__init__(estimator, kind=kind, cv=cv, n_jobs=n_jobs, random_state=random_state)
        self.n_knots = n_knots

    def _check_parameters(self):
        super()._check_parameters()
        check_count(self.n_knots, "n_knots", least=2)

    def _fit_map(self, odds, true, weight):
        knots = np.unique(np.quantile(odds, np.linspace(0.02, 0.98, self.n_knots)))
        columns = natural_columns(odds, knots)
        scale = np.maximum(columns.std(axis=0), 1e-9)
        coefficients, intercept = _ridge(columns / scale, true, weight, odds)
        return knots, coefficients / scale, float(intercept)

    def _apply(self, found, odds):
        knots, weights, intercept = found
        return natural_columns(odds, knots) @ weights + intercept


def natural_columns(x, knots):
    """A line, and the cubic curves that are lines beyond the outer knots, (n, max(n_knots - 1, 1))."""
    if len(knots) < 3:
        return x[:, None]
    span = knots[-1] - knots[0]
    rising = np.maximum((x[:, None] - knots) / span, 0.0) ** 3
    slopes = (rising[:, :-1] - rising[:, -1:]) / ((knots[-1] - knots[:-1]) / span)
    return np.column_stack([x, slopes[:, :-1] - slopes[:, -1:]])


def _ridge(columns, true, weight, odds):
    """Coefficients and intercept, of the strength that predicts held-out labels best; (m,) and a number.

    Where no label of the rarer kind can be held out, it is the strongest.
    """
    rarer = int(min(true.sum(), (~true).sum()))
    if rarer == 0:  # the log-odds of all n samples against one more
        return np.zeros(columns.shape[1]), (1.0 if true.any() else -1.0) * np.log(len(true) + 1.0)
    best = _RIDGES[0]
    if rarer >= 5:
        fold = np.empty(len(true), dtype=int)  # dealt out in the order of the log-odds, whatever that of the rows
        fold[np.lexsort((odds, true))] = np.arange(len(true)) % 5
        ridges, without = np.repeat(_RIDGES, 5), np.tile(np.arange(5), len(_RIDGES))
        coefficients, intercepts = fit_ridged(columns, true, weight, ridges, fold=fold, without=without)
        losses = np.zeros(len(_RIDGES))
        for i in range(5):
            held, fits = fold == i, without == i
            for rows in row_blocks(held.sum(), len(_RIDGES)):
                z = columns[held][rows] @ coefficients[:, fits] + intercepts[fits]
                losses += weight[held][rows] @ (np.logaddexp(0, z) - true[held][rows, None] * z)
        best = _RIDGES[int(losses.argmin())]
    coefficients, intercepts = fit_ridged(columns, true, weight, np.array([best]))
    return coefficients[:, 0], intercepts[0]
