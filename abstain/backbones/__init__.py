"""Images in, features out; torch and timm are imported on first use."""

from abstain.backbones.images import image_folder
from abstain.backbones.timm import TimmBackbone
from abstain.classifiers.linear_head import linear_head

__all__ = ["TimmBackbone", "image_folder", "linear_head"]
