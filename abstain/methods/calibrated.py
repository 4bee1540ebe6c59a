"""Classifiers whose decisions weigh probabilities, which are therefore calibrated first."""

from typing import Any

import numpy as np
from sklearn.base import clone

from abstain.calibration.labelled import check_calibrator
from abstain.folds import held_out
from abstain.outputs import ClassOutputs
from abstain.selective.posthoc import BasePostHoc


class BaseCalibrated(BasePostHoc):
    """Base of the classifiers that put a calibrator between the estimator and what is decided.

    A subclass stores ``calibrator`` in its constructor. It is fitted on what the estimator said of samples that it has
    not seen, and held out from these in turn, so that the classifier is asked no more often than without it.
    """

    calibrator: Any = None

    def _calibrated(self, fit, codes, seed):
        self.calibrator_ = None
        if self.calibrator is None:
            return fit
        check_calibrator(self.calibrator, "calibrator")
        said, codes = fit.outputs, codes[fit.rows]
        if len(codes) < 2:
            raise ValueError("calibrator needs at least 2 samples to be held out from; got 1.")
        folds = fit.inner_folds(said.answer == codes, seed)

        def fitted(rows):
            return self._calibrator(seed).fit_outputs(said[rows], codes[rows])

        def mapped(calibrator, rows):
            outputs = calibrator.transform_outputs(said[rows])
            return outputs.logits, outputs.answer

        logits, answer = held_out(folds, fitted, mapped, n_jobs=self.n_jobs)
        self.calibrator_ = fitted(slice(None))
        seen = folds.tested
        answer = answer[seen].astype(np.intp)
        outputs = ClassOutputs(logits[seen], "logits", said.classes, answer, rounding=said.rounding)
        return fit._replace(outputs=outputs, rows=fit.rows[seen], model=folds.scored_by[seen])

    def _calibrator(self, seed):
        calibrator = clone(self.calibrator)
        return calibrator if calibrator.random_state is not None else calibrator.set_params(random_state=seed)

    def _said(self, heard):
        outputs = super()._said(heard)
        return outputs if self.calibrator_ is None else self.calibrator_.transform_outputs(outputs)
