"""Classifiers on features, and what training on soft labels does to probabilities."""

from abstain.classifiers.linear_head import linear_head
from abstain.classifiers.linear_probe import LinearProbe
from abstain.classifiers.outside import saved_outputs, torch_classifier
from abstain.classifiers.wlf import WLFClassifier, WLFTransform

__all__ = ["LinearProbe", "WLFClassifier", "WLFTransform", "linear_head", "saved_outputs", "torch_classifier"]
