"""A backbone that answers every pixel: a linear map of the outputs of all its stages, brought to one size."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from abstain.backbones import networks
from abstain.backbones.loading import batches
from abstain.backbones.tuned import TunedNetwork


def stages(body, images):
    """Outputs of the stages of a network: a list of (b, c, h, w), the finest first."""
    return [part.float() for part in body.forward_intermediates(images, intermediates_only=True)]


class LinearDecoder(nn.Module):
    """Logits of every pixel: a linear map of standardised stages, before they are enlarged, which is linear, too.

    Parameters
    ----------
    weight, bias : ndarray of shape (K, C) and (K,)
        On the raw channels of all stages side by side.
    mean, scale : ndarray of shape (C,)
        Standardisation, so that one rate suits all channels; one of no spread is left out.
    widths : list of int
        Channels of each stage.
    size : tuple of int
        Rows and columns of the maps.
    """

    inverse: torch.Tensor
    mean: torch.Tensor

    def __init__(self, weight, bias, mean, scale, widths, size):
        super().__init__()
        known = scale > 0
        inverse = np.where(known, 1.0 / np.where(known, scale, 1.0), 0.0)
        self.register_buffer("inverse", torch.from_numpy(inverse).float())
        self.register_buffer("mean", torch.from_numpy(np.where(known, mean, 0.0)).float())
        self.weight = nn.Parameter(torch.from_numpy(np.where(known, weight * np.where(known, scale, 0.0), 0.0)).float())
        self.bias = nn.Parameter(torch.from_numpy(bias + weight @ np.where(known, mean, 0.0)).float())
        self.widths, self.size = list(widths), tuple(size)

    def forward(self, maps):
        """Logits (b, K, H, W)."""
        weights = torch.split(self.weight * self.inverse, self.widths, dim=1)
        total = (self.bias - (self.weight * self.inverse) @ self.mean)[:, None, None]
        for part, weight in zip(maps, weights, strict=True):
            found = functional.conv2d(part, weight[:, :, None, None])
            total = total + functional.interpolate(found, self.size, mode="bilinear", align_corners=False)
        return total

    def unstandardised(self):
        """Weights (K, C) and bias for raw channels, float64."""
        weight, bias, inverse, mean = (
            part.detach().double().cpu().numpy() for part in (self.weight, self.bias, self.inverse, self.mean)
        )
        return weight * inverse, bias - (weight * inverse) @ mean


class SegmentingNetwork(TunedNetwork):
    """A backbone with a `LinearDecoder`."""

    def forward(self, images, *others):
        """Logits (b, K, H, W)."""
        maps = stages(self.body, images)
        with torch.autocast(images.device.type, enabled=False):
            return self.head(maps)


def columns_at(backbone, source, rows, drawn, size, preprocess):
    """Channels of all stages at some pixels of some images: (m, C) float32, and the widths of the stages."""
    found, place = [], {int(row): i for i, row in enumerate(rows)}
    widths: list = []
    for picked, maps in _staged(backbone, source, rows, preprocess):
        widths = [part.shape[1] for part in maps]
        for j, row in enumerate(picked):
            at = torch.from_numpy(drawn[place[int(row)]])
            parts = [
                functional.interpolate(part[j : j + 1], size, mode="bilinear", align_corners=False)[0].flatten(1)[
                    :, at.to(part.device)
                ]
                for part in maps
            ]
            found.append(torch.cat(parts).T.cpu().numpy())
    return np.concatenate(found), widths


def logits_of(backbone, decoder, source, preprocess):
    """Yield logits (b, K, H, W) of batches of images, as ndarrays."""
    for _, maps in _staged(backbone, source, np.arange(len(source)), preprocess):
        yield decoder.to(maps[0].device)(maps).cpu().numpy()


def _staged(backbone, source, rows, preprocess):
    network, _, config = backbone._loaded()
    device = next(network.parameters()).device
    loaded = batches(source, rows, preprocess, config, backbone.batch_size, backbone.num_workers)
    for picked, images, failures in loaded:
        if failures:
            backbone._report(failures)
        with torch.inference_mode():
            yield picked, stages(network, networks.normalised(images.to(device), config))


def squashed(config):
    """Transform that brings a whole image to the size of the network: every pixel of a mask has its place in it."""
    return networks.pixels({**config, "crop_pct": 1.0, "crop_mode": "squash"})
