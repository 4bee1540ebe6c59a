"""Classifiers of pixels: calibration and risk of maps, pooled and image by image.

Maps are logits of shape (n, H, W) for two classes, or (n, H, W, K); masks are integers (n, H, W), with a label to
ignore. What is exchangeable is an image, never a pixel.
"""

from abstain.dense.calibrator import DenseCalibrator
from abstain.dense.context import ContextCalibrator
from abstain.dense.displays import DenseReliabilityDisplay, MapsDisplay
from abstain.dense.report import DenseReport, dense_report, image_outcomes, pixel_outcomes
from abstain.dense.segmenter import FineTunedSegmenter

__all__ = [
    "ContextCalibrator",
    "DenseCalibrator",
    "DenseReliabilityDisplay",
    "DenseReport",
    "FineTunedSegmenter",
    "MapsDisplay",
    "dense_report",
    "image_outcomes",
    "pixel_outcomes",
]
