"""Policies: from held-out scores and correctness to a threshold. Arrays in, verdicts out."""

from abstain.selective.certificate import Certificate
from abstain.selective.certify import upper_bound
from abstain.selective.policies import FixedThreshold, Policy, RejectCost, TargetCoverage, TargetRisk

__all__ = ["Certificate", "FixedThreshold", "Policy", "RejectCost", "TargetCoverage", "TargetRisk", "upper_bound"]
