"""The affine map from the features of a network to its logits: read or measured, then held against the network."""

import copy
from typing import NamedTuple

import torch
from torch import nn

from abstain.backbones.networks import features

# share of |weight| |features| + |bias| that rounding may take, on a GPU too; any other term is far above
_TOLERANCE = 1e-4
_BLOCK = 256
_REMEDY = "fit a classifier on the features instead."


class _Map(NamedTuple):
    weight: torch.Tensor  # (n_classes, n_features)
    bias: torch.Tensor  # (n_classes,)


def affine_head(network, images):
    """Weight and bias with which the features of a network give its logits.

    Parameters
    ----------
    network : torch.nn.Module
        A timm network in evaluation mode.
    images : tensor of shape (n, channels, height, width)
        Two different images or more.

    Returns
    -------
    weight, bias : tensor of shape (n_classes, n_features), tensor of shape (n_classes,)
        float64, on the CPU.

    Raises
    ------
    ValueError
        If the network has no classifier, or its logits are no affine function of its features.
    """
    with torch.no_grad():
        seen = _vectors(features(network, None, images), "features")
        logits = _vectors(network(images), "logits")
        heads = _parts(network.get_classifier())
        found = [_combined(parts, seen, logits) for parts in (heads, _around(network, heads)) if parts]
        found = [(*_misfit(candidate, seen, logits), candidate) for candidate in found if candidate is not None]
    if not found:
        raise ValueError(f"linear_head: the network has no classifier on its {seen.shape[1]} features; {_REMEDY}")
    excess, error, best = min(found, key=lambda entry: entry[0])
    if not excess <= 0:
        raise ValueError(
            f"linear_head: the logits are no affine function of the features (off by up to {error:.2g} where they "
            f"spread by {logits.std():.2g}), as with auxiliary heads and heads with hidden layers; {_REMEDY}"
        )
    return best


def _vectors(outputs, what):
    if not (torch.is_tensor(outputs) and outputs.ndim == 2):
        raise ValueError(f"linear_head needs one vector of {what} an image, as global pooling gives; {_REMEDY}")
    return outputs.double().cpu()


def _misfit(found, seen, logits):
    """How far a map is beyond what rounding allows, and how far from the logits."""
    error = (seen @ found.weight.T + found.bias - logits).abs()
    allowed = _TOLERANCE * (seen.abs() @ found.weight.abs().T + found.bias.abs())
    return (error - allowed).max().item(), error.max().item()


def _parts(classifier):
    """All heads among what ``get_classifier`` gives: a module, a pair, or lists of them."""
    if isinstance(classifier, tuple | list | nn.ModuleList):
        return [head for part in classifier for head in _parts(part)]
    pooled = hasattr(classifier, "fc") and hasattr(classifier, "global_pool")
    return _parts(classifier.fc) if pooled else [classifier]


def _around(network, heads):
    """The modules around the heads: some networks name a layer whose input is normalised first."""
    owners = {child: module for module in network.modules() for child in module.children()}
    parents = list(dict.fromkeys(owners[head] for head in heads if head in owners))
    return [] if network in parents else parents


def _combined(heads, seen, logits):
    """Sum of the heads, each on its share of the columns, as the network weighs them; None if they do not fit."""
    maps, start = [], 0
    for head in heads:
        width = _width(head)
        found = None if width is None or start + width > seen.shape[1] else _measured(head, width)
        if found is None or found.weight.shape[0] != logits.shape[1]:
            return None
        weight = torch.zeros(logits.shape[1], seen.shape[1], dtype=torch.float64)
        weight[:, start : start + width] = found.weight
        maps.append(_Map(weight, found.bias))
        start = (start + width) % seen.shape[1]
    if len(maps) == 1:
        return maps[0]
    terms = torch.stack([(seen @ weight.T + bias).flatten() for weight, bias in maps], dim=1)
    shares = torch.linalg.lstsq(terms, logits.flatten()[:, None], driver="gelsd").solution[:, 0]
    return _Map(*(sum(s * part for s, part in zip(shares, parts, strict=True)) for parts in zip(*maps, strict=True)))


def _width(head):
    """Number of columns that a head reads, or None for what has no weights."""
    for module in head.modules():
        if isinstance(module, nn.Linear):
            return module.in_features
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    return None


def _measured(head, width):
    """Weight and bias of an affine module, from its outputs for zero and for unit vectors; None if it takes none."""
    head = copy.deepcopy(head).double().cpu().eval()
    spatial = any(isinstance(module, nn.Conv2d) for module in head.modules())
    shape = (-1, width, 1, 1) if spatial else (-1, width)
    units = torch.eye(width, dtype=torch.float64)
    try:
        bias = head(torch.zeros_like(units[:1]).reshape(shape)).flatten()
        columns = [head(block.reshape(shape)).flatten(1) for block in units.split(_BLOCK)]
    except (RuntimeError, IndexError, ValueError, TypeError):  # what modules raise on another shape
        return None
    return _Map((torch.cat(columns) - bias).T.contiguous(), bias)
