"""Policies: from held-out scores and losses to thresholds, and from a score to a verdict. Arrays alone."""

from abstain.policies.base import Policy
from abstain.policies.binomial import upper_bound
from abstain.policies.certificate import Certificate, GroupCount
from abstain.policies.conformal import ConformalRisk
from abstain.policies.cost import RejectCost
from abstain.policies.coverage import TargetCoverage
from abstain.policies.fixed import FixedThreshold
from abstain.policies.on_average import OnAverageRisk
from abstain.policies.risk import TargetRisk

__all__ = [
    "Certificate",
    "ConformalRisk",
    "FixedThreshold",
    "GroupCount",
    "OnAverageRisk",
    "Policy",
    "RejectCost",
    "TargetCoverage",
    "TargetRisk",
    "upper_bound",
]
