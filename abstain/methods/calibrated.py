"""Classifiers whose decisions weigh probabilities, which are therefore calibrated first."""

from typing import Any

from sklearn.base import clone

from abstain.calibration.labelled import check_calibrator
from abstain.selective.posthoc import BasePostHoc


class BaseCalibrated(BasePostHoc):
    """Base of the classifiers that put a calibrator between the estimator and what is decided.

    A subclass stores ``calibrator`` in its constructor.
    """

    calibrator: Any = None

    def _estimator(self):
        estimator = super()._estimator()
        if self.calibrator is None:
            return estimator
        check_calibrator(self.calibrator, "calibrator")
        logits = self.response_method == "decision_function"
        return clone(self.calibrator).set_params(estimator=estimator, kind="logits" if logits else self.calibrator.kind)
