"""Trust losses: one paper a file, written once in the array-API standard for NumPy and torch.

A trust loss compares the raw output ``z`` of a head with a target (``correct`` or ``tcp``), sample by sample.
It knows no estimator and no solver.
"""

from abstain.losses._base import TrustLoss
from abstain.losses.cross_entropy import CrossEntropyLoss
from abstain.losses.focal import FocalLoss
from abstain.losses.steep_slope import SteepSlopeLoss
from abstain.losses.tcp import TCPLoss

__all__ = ["CrossEntropyLoss", "FocalLoss", "SteepSlopeLoss", "TCPLoss", "TrustLoss"]
