"""Images in, features out; torch and timm are imported on first use."""

from abstain.backbones.images import image_folder
from abstain.backbones.linear import linear_head
from abstain.backbones.timm import TimmBackbone

__all__ = ["TimmBackbone", "image_folder", "linear_head"]
