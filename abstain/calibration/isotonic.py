"""Any rising map: isotonic regression, with flat steps or with lines through their centres."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logit
from sklearn.isotonic import IsotonicRegression

from abstain.calibration.binary import BaseBinaryCalibrator
from abstain.utils.annotations import Seed
from abstain.utils.validation import check_flag


class Isotonic(BaseBinaryCalibrator):
    """The rising map that is closest to the labels; needs a thousand samples or more.

    Parameters
    ----------
    {shared}
    strict : bool, default=False
        Whether to draw lines through the centres of the flat steps, so that the order of samples is kept between them
        (centred isotonic regression). Steps make ties, by which a ranking loses what it knew.

    Attributes
    ----------
    maps_ : list of ndarray of shape (2, n_knots)
        Log-odds and probabilities between which the map is linear, of the second of two classes, or of each class.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    References
    ----------
    B. Zadrozny, C. Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", KDD 2002.
    A. P. Oron, N. Flournoy, "Centered Isotonic Regression: Point and Interval Estimation for Dose-Response Studies",
    Statistics in Biopharmaceutical Research, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import Isotonic
    >>> p = np.array([0.1, 0.2, 0.3, 0.4])
    >>> both = np.column_stack([1 - p, p])
    >>> Isotonic(kind="proba").fit(both, [0, 1, 0, 1]).maps_[0][1]
    array([0. , 0.5, 0.5, 1. ])
    """

    def __init__(
        self, estimator: Any = None, *, kind: str | None = None, cv: Any = 5, n_jobs: int | None = None,
        random_state: Seed = None, strict: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(estimator, kind=kind, cv=cv, n_jobs=n_jobs, random_state=random_state)
        self.strict = strict

    def _check_parameters(self):
        super()._check_parameters()
        check_flag(self.strict, "strict")

    def _fit_map(self, odds, true, weight):
        steps = IsotonicRegression(y_min=0.0, y_max=1.0).fit(odds, true.astype(float), sample_weight=weight)
        if not self.strict:
            return np.stack([steps.X_thresholds_, steps.y_thresholds_])
        level, step = np.unique(steps.predict(odds), return_inverse=True)
        mass = np.bincount(step, weight)
        return np.stack([np.bincount(step, weight * odds) / mass, level])

    def _apply(self, found, odds):
        with np.errstate(divide="ignore"):
            return logit(np.interp(odds, *found))
