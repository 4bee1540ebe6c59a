"""Losses: one paper a file, written once in the array-API standard for NumPy and torch.

A trust loss compares the raw output ``z`` of a head with a target (``correct`` or ``tcp``), a class loss the logits of
a classifier with the true classes; both sample by sample. A selective loss sees logits and selector of a whole batch.
They know no estimator and no solver.
"""

from abstain.losses._base import ClassLoss, SelectiveLoss, TrustLoss
from abstain.losses.adaptive_perturbation import AdaptivePerturbationLoss
from abstain.losses.cross_entropy import CrossEntropyLoss
from abstain.losses.difficulty_entropy import DifficultyEntropyLoss
from abstain.losses.entropy import EntropyTerm
from abstain.losses.focal import FocalLoss
from abstain.losses.gamblers import GamblersLoss
from abstain.losses.hierarchical import HXELoss
from abstain.losses.label_perturbation import LabelPerturbationLoss
from abstain.losses.selectivenet import SelectiveNetLoss
from abstain.losses.self_adaptive import SelfAdaptiveLoss
from abstain.losses.softmax import SoftmaxLoss
from abstain.losses.steep_slope import SteepSlopeLoss
from abstain.losses.sync import SYNCLoss
from abstain.losses.tcp import TCPLoss
from abstain.losses.weighted import WLFLoss

__all__ = [
    "AdaptivePerturbationLoss",
    "ClassLoss",
    "CrossEntropyLoss",
    "DifficultyEntropyLoss",
    "EntropyTerm",
    "FocalLoss",
    "GamblersLoss",
    "HXELoss",
    "LabelPerturbationLoss",
    "SYNCLoss",
    "SelectiveLoss",
    "SelectiveNetLoss",
    "SelfAdaptiveLoss",
    "SoftmaxLoss",
    "SteepSlopeLoss",
    "TCPLoss",
    "TrustLoss",
    "WLFLoss",
]
