"""Pictures: risk against coverage, confidence against frequency, scores of right and wrong. matplotlib on use."""

from abstain.metrics.displays.reliability import ReliabilityDisplay
from abstain.metrics.displays.risk_coverage import RiskCoverageDisplay
from abstain.metrics.displays.trust_histogram import TrustHistogramDisplay

__all__ = ["ReliabilityDisplay", "RiskCoverageDisplay", "TrustHistogramDisplay"]
