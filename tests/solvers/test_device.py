"""Devices and precision are decided in one place."""

import contextlib

import pytest

pytestmark = pytest.mark.torch


def test_devices():
    import torch

    from abstain.solvers.device import autocast, resolve_device

    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert resolve_device().type == best
    assert resolve_device("cpu").type == "cpu"
    assert isinstance(autocast(torch.device("cpu")), contextlib.nullcontext)
    with autocast(torch.device("cpu"), amp=True):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
