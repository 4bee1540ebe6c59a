"""The library's own checks, for every selective classifier, calibrator, policy and loss that exists.

They hold what scikit-learn's checks cannot know: what a decision is, that it costs one pass, and that a loss is
the derivative of itself. Use them on your own classes: each check takes an instance and raises AssertionError.
"""

from abstain.testing._calibrators import calibrator_checks, overconfident
from abstain.testing._classifiers import (
    LABELS,
    CountingClassifier,
    overlapping_classes,
    selective_classifier_checks,
)
from abstain.testing._found import all_calibrators, all_losses, all_public, small
from abstain.testing._losses import class_loss_checks, loss_checks, selective_loss_checks
from abstain.testing._policies import policy_checks

__all__ = [
    "LABELS",
    "CountingClassifier",
    "all_calibrators",
    "all_losses",
    "all_public",
    "calibrator_checks",
    "class_loss_checks",
    "loss_checks",
    "overconfident",
    "overlapping_classes",
    "policy_checks",
    "selective_classifier_checks",
    "selective_loss_checks",
    "small",
]
