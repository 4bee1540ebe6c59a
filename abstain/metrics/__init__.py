"""Metrics of selective classification and failure prediction: arrays in, numbers out, truth first.

One convention throughout. A score is larger where a prediction is safer. AURC is the mean selective risk over all
coverages k/n, in expectation over the order of tied scores; so every number is independent of row order.
"""

from abstain.metrics._bootstrap import BootstrapResult, bootstrap_ci
from abstain.metrics._calibration import expected_calibration_error, reliability_curve
from abstain.metrics._compare import Comparison, compare_aurc
from abstain.metrics._failure import FailureReport, failure_report
from abstain.metrics._risk_coverage import (
    augrc,
    aurc,
    coverage_at_risk,
    e_aurc,
    naurc,
    risk_at_coverage,
    risk_coverage_curve,
)
from abstain.metrics._scorer import make_selective_scorer
from abstain.metrics.displays import ReliabilityDisplay, RiskCoverageDisplay, TrustHistogramDisplay

__all__ = [
    "BootstrapResult",
    "Comparison",
    "FailureReport",
    "ReliabilityDisplay",
    "RiskCoverageDisplay",
    "TrustHistogramDisplay",
    "augrc",
    "aurc",
    "bootstrap_ci",
    "compare_aurc",
    "coverage_at_risk",
    "e_aurc",
    "expected_calibration_error",
    "failure_report",
    "make_selective_scorer",
    "naurc",
    "reliability_curve",
    "risk_at_coverage",
    "risk_coverage_curve",
]
