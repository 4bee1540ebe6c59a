"""Moments of batch normalisation, where they are learnt: those of the images, before anything else is."""

import numpy as np
import torch
from torch import nn

from abstain.backbones import networks
from abstain.backbones.images import Images
from abstain.backbones.loading import batches

_MOST = 2048  # images that moments are taken from


def with_moments(backbone, images, rows, tuning):
    """Return the backbone as training will meet it.

    A head is solved for on frozen features, which stored moments have normalised; if training then goes by those of its
    batches, it starts elsewhere. With random weights the stored ones are those of nothing.

    Parameters
    ----------
    backbone : TimmBackbone
        Stays as it is.
    images : object
        As of `TimmBackbone.transform`.
    rows : ndarray of int
        The images to learn from.
    tuning : FineTuning
        Whether moments are learnt at all; else the backbone is returned.

    Returns
    -------
    backbone : TimmBackbone
        With the moments of the images.
    """
    if tuning.freeze_norm:
        return backbone
    network, (_, preprocess, config) = backbone.module().eval(), backbone._loaded()
    norms = [part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    for part in norms:
        part.reset_running_stats()
        part.momentum = None  # the mean of all batches
        part.train()
    if not norms:
        return backbone
    some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST)).astype(int))]
    loaded = batches(Images(images), some, preprocess, config, backbone.batch_size, backbone.num_workers)
    device = next(network.parameters()).device
    with torch.no_grad():
        for picked, pixels, failures in loaded:
            if len(picked) > 1 and not failures:
                networks.features(network, backbone.layer, networks.normalised(pixels.to(device), config))
    return backbone.keeping(networks.arrays(network))
