"""Calibrators: probabilities that mean what they say, learnt from labelled outputs.

Each takes saved outputs, ``Temperature().fit(logits, y).transform(logits)``, and is a classifier around an
``estimator``, ``Temperature(FrozenEstimator(clf)).fit(X, y).predict_proba(X)``.
"""

from abstain.calibration.aslp import ASLPCalibrator
from abstain.calibration.auto import AutoCalibrator, AutoReport
from abstain.calibration.base import BaseCalibrator
from abstain.calibration.binary import Affine, Beta, Quadratic
from abstain.calibration.bins import Histogram, ScalingBinning
from abstain.calibration.isotonic import Isotonic
from abstain.calibration.refit import Decomposition, refit_decomposition
from abstain.calibration.scaling import Dirichlet, MatrixScaling, VectorScaling
from abstain.calibration.spline import Spline
from abstain.calibration.temperature import EnsembleTemperature, Temperature
from abstain.calibration.top_label import TopLabel
from abstain.calibration.venn_abers import VennAbers

__all__ = [
    "ASLPCalibrator",
    "Affine",
    "AutoCalibrator",
    "AutoReport",
    "BaseCalibrator",
    "Beta",
    "Decomposition",
    "Dirichlet",
    "EnsembleTemperature",
    "Histogram",
    "Isotonic",
    "MatrixScaling",
    "Quadratic",
    "ScalingBinning",
    "Spline",
    "Temperature",
    "TopLabel",
    "VectorScaling",
    "VennAbers",
    "refit_decomposition",
]
