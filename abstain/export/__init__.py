"""Decisions as networks: one module of torch, written as ONNX or as a program of torch."""

from abstain.export.build import to_torch
from abstain.export.files import export_onnx, export_pt2

__all__ = ["export_onnx", "export_pt2", "to_torch"]
