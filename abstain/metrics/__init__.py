"""Metrics of selective classification and failure prediction: arrays in, numbers out, truth first.

One convention throughout. A score is larger where a prediction is safer. AURC is the mean selective risk over all
coverages k/n, in expectation over the order of tied scores; so every number is independent of row order.
"""

from abstain.metrics._binned import BinnedOutcomes
from abstain.metrics._bootstrap import BootstrapResult, bootstrap_ci
from abstain.metrics._calibration import (
    debiased_calibration_error,
    expected_calibration_error,
    overconfidence_error,
    reliability_curve,
)
from abstain.metrics._calibration_test import CalibrationTest, calibration_test
from abstain.metrics._compare import Comparison, compare_aurc
from abstain.metrics._failure import FailureReport, failure_report
from abstain.metrics._hierarchy import (
    HierarchicalScores,
    haurc,
    hierarchical_precision_recall,
    hierarchical_risk_coverage_curve,
)
from abstain.metrics._missing import MissingCoverage, missing_coverage
from abstain.metrics._report import (
    CalibrationReport,
    CalibrationRow,
    calibration_report,
    classwise_calibration_error,
)
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
from abstain.metrics._severity import (
    MistakeShares,
    SeverityReport,
    better_mistake_share,
    distance_at_k,
    explicability_loss,
    mean_cost,
    mistake_severity,
    severity_report,
)
from abstain.metrics._smooth import ks_calibration_error, smooth_calibration_error
from abstain.metrics.displays import (
    MistakeDistanceDisplay,
    ReliabilityDisplay,
    RiskCoverageDisplay,
    TrustHistogramDisplay,
)

__all__ = [
    "BinnedOutcomes",
    "BootstrapResult",
    "CalibrationReport",
    "CalibrationRow",
    "CalibrationTest",
    "Comparison",
    "FailureReport",
    "HierarchicalScores",
    "MissingCoverage",
    "MistakeDistanceDisplay",
    "MistakeShares",
    "ReliabilityDisplay",
    "RiskCoverageDisplay",
    "SeverityReport",
    "TrustHistogramDisplay",
    "augrc",
    "aurc",
    "better_mistake_share",
    "bootstrap_ci",
    "calibration_report",
    "calibration_test",
    "classwise_calibration_error",
    "compare_aurc",
    "coverage_at_risk",
    "debiased_calibration_error",
    "distance_at_k",
    "e_aurc",
    "expected_calibration_error",
    "explicability_loss",
    "failure_report",
    "haurc",
    "hierarchical_precision_recall",
    "hierarchical_risk_coverage_curve",
    "ks_calibration_error",
    "make_selective_scorer",
    "mean_cost",
    "missing_coverage",
    "mistake_severity",
    "naurc",
    "overconfidence_error",
    "reliability_curve",
    "risk_at_coverage",
    "risk_coverage_curve",
    "severity_report",
    "smooth_calibration_error",
]
