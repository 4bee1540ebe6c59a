"""Small torch modules for training; what they learnt leaves them as arrays."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import nn


class TrustNetwork(nn.Module):
    """Multilayer perceptron with one output, on standardised columns plus an offset for each code.

    Parameters
    ----------
    width : int
        Number of input columns.
    n_codes : int
        Number of codes.
    hidden : tuple of int
        Widths of the hidden layers; () is a linear head.
    mean, scale : ndarray of shape (width,)
        Standardisation of the columns.
    unit_norm : bool
        Divide the output by the norm of the last weights.
    generator : torch.Generator
        Source of the initial weights.
    """

    def __init__(self, width, n_codes, hidden, mean, scale, unit_norm, generator):
        super().__init__()
        self.unit_norm = unit_norm
        # standardisation as one multiply-add: columns / scale - mean / scale
        self.register_buffer("shift", torch.tensor(-mean / scale, dtype=torch.float32))
        self.register_buffer("inverse_scale", torch.tensor(1.0 / scale, dtype=torch.float32))
        sizes = [width, *hidden, 1]
        with torch.random.fork_rng(devices=[]):  # torch draws first weights from its global state
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
            self.offsets = nn.Embedding(max(n_codes, 1), sizes[1])
        nn.init.zeros_(self.offsets.weight)
        for layer in self.layers:
            bound = math.sqrt(3.0 / max(layer.in_features, 1))
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)
        if not unit_norm:
            nn.init.zeros_(self.layers[-1].weight)  # starts as a constant, wherever the features lie

    def forward(self, columns, codes):
        """Raw output of every sample: ``(b, width), (b,) -> (b,)``."""
        a = self.layers[0](torch.addcmul(self.shift, columns, self.inverse_scale)) + self.offsets(codes)
        for layer in list(self.layers)[1:]:
            a = layer(torch.relu(a))
        z = a.squeeze(1)
        return z / (self.layers[-1].weight.norm() + 1e-7) if self.unit_norm else z

    def arrays(self, n_codes):
        """Return the first layer in the layout of a design, and (weights, bias) of the others, float64."""
        out = [(layer.weight.detach().double().cpu().numpy().T, layer.bias.detach().double().cpu().numpy())
               for layer in self.layers]  # fmt: skip
        offsets = self.offsets.weight.detach().double().cpu().numpy()[:n_codes]
        if self.unit_norm:
            norm = float(self.layers[-1].weight.detach().norm()) + 1e-7
            out[-1] = (out[-1][0] / norm, out[-1][1] / norm)
            offsets = offsets / norm if len(out) == 1 else offsets
        (weights, bias), rest = out[0], out[1:]
        return [np.concatenate([weights, offsets, bias[None]]), *rest]
