"""Pictures of risk, reliability, scores and mistakes; matplotlib is imported on use."""

from abstain.metrics.displays.mistakes import MistakeDistanceDisplay
from abstain.metrics.displays.reliability import ReliabilityDisplay
from abstain.metrics.displays.risk_coverage import RiskCoverageDisplay
from abstain.metrics.displays.trust_histogram import TrustHistogramDisplay

__all__ = ["MistakeDistanceDisplay", "ReliabilityDisplay", "RiskCoverageDisplay", "TrustHistogramDisplay"]
