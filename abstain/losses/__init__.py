"""Losses: one paper a file, written once in the array-API standard for NumPy and torch.

A trust loss compares the raw output ``z`` of a head with a target (``correct`` or ``tcp``), a class loss the logits of
a classifier with the true classes; both sample by sample. They know no estimator and no solver.
"""

from abstain.losses._base import ClassLoss, TrustLoss
from abstain.losses.cross_entropy import CrossEntropyLoss
from abstain.losses.difficulty_entropy import DifficultyEntropyLoss
from abstain.losses.focal import FocalLoss
from abstain.losses.softmax import SoftmaxLoss
from abstain.losses.steep_slope import SteepSlopeLoss
from abstain.losses.tcp import TCPLoss

__all__ = [
    "ClassLoss",
    "CrossEntropyLoss",
    "DifficultyEntropyLoss",
    "FocalLoss",
    "SoftmaxLoss",
    "SteepSlopeLoss",
    "TCPLoss",
    "TrustLoss",
]
