"""Confidence calibrated separately for each answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_expit
from sklearn.base import clone

from abstain.calibration.base import BaseCalibrator
from abstain.calibration.binary import pair
from abstain.calibration.bins import Histogram
from abstain.calibration.floor import floored, lowest_logit, mixed
from abstain.calibration.labelled import check_calibrator
from abstain.outputs import log_softmax, log_total, split_at
from abstain.utils.annotations import Seed
from abstain.utils.validation import check_count


class TopLabel(BaseCalibrator):
    """Calibrate the probability of the answer within each class that is answered; no answer changes.

    Parameters
    ----------
    {shared}
    calibrator : calibrator, default=None
        Map of one probability, for the samples that are answered alike. None is `Histogram` with bins of 50 samples or
        more.
    min_samples : int, default=100
        Samples with one answer below which they share a map with all other such samples.

    Attributes
    ----------
    calibrators_ : dict
        Fitted calibrator of each class index that was answered often enough; -1 is that of all others.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    Notes
    -----
    The other probabilities of a row keep their ratios, and share what is left. An answer whose calibrated probability
    is low stays the answer, even where another class is then likelier.

    References
    ----------
    C. Gupta, A. Ramdas, "Top-label Calibration and Multiclass-to-binary Reductions", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import TopLabel
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(5000, 4))
    >>> y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    >>> calibrator = TopLabel().fit(3 * logits, y)
    >>> answer, proba = calibrator.predict(3 * logits), calibrator.predict_proba(3 * logits)
    >>> round(float((answer == y).mean() - proba[np.arange(5000), answer].mean()), 2)
    0.0
    """

    keeps_answer = True

    def __init__(
        self, estimator: Any = None, *, kind: str | None = None, cv: Any = 5, n_jobs: int | None = None,
        random_state: Seed = None, calibrator: Any = None, min_samples: int = 100,
    ) -> None:  # fmt: skip
        super().__init__(estimator, kind=kind, cv=cv, n_jobs=n_jobs, random_state=random_state)
        self.calibrator = calibrator
        self.min_samples = min_samples

    def _check_parameters(self):
        super()._check_parameters()
        check_count(self.min_samples, "min_samples")
        if self.calibrator is not None:
            check_calibrator(self.calibrator, "calibrator")

    def _learn(self, labelled):
        self.lowest_ = lowest_logit(labelled.outputs)
        self.uniform_ = 1.0 / (labelled.size + 1.0)
        answer = labelled.outputs.answer
        correct, odds = (answer == labelled.codes).astype(int), self._odds(labelled.outputs)
        count = np.bincount(answer, minlength=len(labelled.outputs.classes))
        rare = count[answer] < self.min_samples
        kinds = {int(k): answer == k for k in np.flatnonzero(count >= self.min_samples)}
        if rare.any():
            kinds[-1] = rare
        self.calibrators_ = {
            k: self._calibrator(rows).fit_outputs(pair(odds[rows]), correct[rows], sample_weight=labelled.weight[rows])
            for k, rows in kinds.items()
        }

    def _calibrator(self, rows):
        if self.calibrator is not None:
            return clone(self.calibrator)
        return Histogram(n_bins=max(1, int(rows.sum()) // 50))

    def _odds(self, outputs):
        """Log-odds of the answer, finite, (n,)."""
        own, others = split_at(log_softmax(floored(outputs, self.lowest_)), outputs.answer)
        return own - log_total(others)

    def _map(self, outputs):
        log_proba, odds = log_softmax(floored(outputs, self.lowest_)), self._odds(outputs)
        known = np.isin(outputs.answer, list(self.calibrators_))
        which = np.where(known, outputs.answer, -1)
        new = odds.copy()  # of an answer that was never given, as it is
        for k, calibrator in self.calibrators_.items():
            rows = which == k
            if rows.any():
                logits = calibrator.transform_outputs(pair(odds[rows])).logits
                new[rows] = logits[:, 1] - logits[:, 0]
        _, others = split_at(log_proba, outputs.answer)
        rescaled = others - log_total(others)[:, None] + log_expit(-new)[:, None]
        np.put_along_axis(rescaled, outputs.answer[:, None], log_expit(new)[:, None], axis=1)
        return mixed(rescaled, self.uniform_)
