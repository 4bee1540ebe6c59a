"""Small torch modules for training; what they learnt leaves them as arrays."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import nn


class MultilayerPerceptron(nn.Module):
    """Multilayer perceptron on standardised columns plus an offset for each code.

    Parameters
    ----------
    width : int
        Number of input columns.
    n_codes : int
        Number of codes; 0 for none.
    hidden : tuple of int
        Widths of the hidden layers; () is linear.
    n_outputs : int
        Width of the output.
    mean, scale : ndarray of shape (width,)
        Standardisation of the columns.
    generator : torch.Generator
        Source of the initial weights. The last layer starts at zero.
    """

    def __init__(self, width, n_codes, hidden, n_outputs, mean, scale, generator):
        super().__init__()
        # standardisation as one multiply-add: columns / scale - mean / scale
        self.register_buffer("shift", torch.tensor(-mean / scale, dtype=torch.float32))
        self.register_buffer("inverse_scale", torch.tensor(1.0 / scale, dtype=torch.float32))
        sizes = [width, *hidden, n_outputs]
        with torch.random.fork_rng(devices=[]):  # torch draws first weights from its global state
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
            self.offsets = nn.Embedding(n_codes, sizes[1]) if n_codes else None
        if self.offsets is not None:
            nn.init.zeros_(self.offsets.weight)
        for layer in self.layers:
            bound = math.sqrt(3.0 / max(layer.in_features, 1))
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.layers[-1].weight)  # starts as a constant, wherever the features lie

    def forward(self, columns, codes):
        """Output of every sample: ``(b, width), (b,) -> (b, n_outputs)``."""
        a = self.layers[0](torch.addcmul(self.shift, columns, self.inverse_scale))
        if self.offsets is not None:
            a = a + self.offsets(codes)
        for layer in list(self.layers)[1:]:
            a = layer(torch.relu(a))
        return a

    def arrays(self):
        """Return the first layer in the layout of a design, and (weights, bias) of the others, float64."""
        (weights, bias), *rest = [(_array(layer.weight).T, _array(layer.bias)) for layer in self.layers]
        offsets = [] if self.offsets is None else [_array(self.offsets.weight)]
        return [np.concatenate([weights, *offsets, bias[None]]), *rest]


def _array(tensor):
    return tensor.detach().double().cpu().numpy()


class TrustNetwork(MultilayerPerceptron):
    """Perceptron with one output, which may be the distance to a hyperplane.

    Parameters
    ----------
    width, n_codes, hidden, mean, scale, generator : object
        As in `MultilayerPerceptron`.
    unit_norm : bool
        Divide the output by the norm of the last weights.
    """

    def __init__(self, width, n_codes, hidden, mean, scale, unit_norm, generator):
        super().__init__(width, n_codes, hidden, 1, mean, scale, generator)
        self.unit_norm = unit_norm
        if unit_norm:  # a distance to no hyperplane is nothing to start from
            last = self.layers[-1]
            bound = math.sqrt(3.0 / max(last.in_features, 1))
            nn.init.uniform_(last.weight, -bound, bound, generator=generator)

    def forward(self, columns, codes):
        """Raw output of every sample: ``(b, width), (b,) -> (b,)``."""
        z = super().forward(columns, codes).squeeze(1)
        return z / (self.layers[-1].weight.norm() + 1e-7) if self.unit_norm else z

    def arrays(self):
        """Return the layers as in `MultilayerPerceptron`, the norm of the last one taken in."""
        layers = super().arrays()
        if not self.unit_norm:
            return layers
        norm = float(self.layers[-1].weight.detach().norm()) + 1e-7
        if len(layers) == 1:
            return [layers[0] / norm]
        return [*layers[:-1], (layers[-1][0] / norm, layers[-1][1] / norm)]


class JointNetwork(MultilayerPerceptron):
    """Perceptron that predicts and selects: logits, selectors and perhaps auxiliary logits on one body.

    Parameters
    ----------
    width, hidden, mean, scale, generator : object
        As in `MultilayerPerceptron`.
    n_classes : int
        Number of classes.
    n_selectors : int
        Number of selectors.
    auxiliary : bool
        Whether there are auxiliary logits, for training alone.
    """

    def __init__(self, width, hidden, n_classes, n_selectors, auxiliary, mean, scale, generator):
        n_outputs = n_classes * (1 + auxiliary) + n_selectors
        super().__init__(width, 0, hidden, n_outputs, mean, scale, generator)
        self.n_classes, self.n_kept = n_classes, n_classes + n_selectors
        self.auxiliary = auxiliary

    def forward(self, columns):
        """Logits (b, K), selectors (b, C) and auxiliary logits (b, K) or None."""
        a = super().forward(columns, None)
        auxiliary = a[:, self.n_kept :] if self.auxiliary else None
        return a[:, : self.n_classes], a[:, self.n_classes : self.n_kept], auxiliary

    def arrays(self):
        """Return the layers as in `MultilayerPerceptron`, without the auxiliary logits."""
        *body, last = super().arrays()
        if not body:
            return [last[:, : self.n_kept]]
        return [*body, (last[0][:, : self.n_kept], last[1][: self.n_kept])]


class SelectorNetwork(MultilayerPerceptron):
    """Selectors that start as a prior: its multiple, 1 at first, plus what a perceptron says, 0 at first.

    Parameters
    ----------
    width, n_codes, hidden, mean, scale, generator : object
        As in `MultilayerPerceptron`.
    n_selectors : int
        Number of selectors.
    """

    def __init__(self, width, n_codes, hidden, n_selectors, mean, scale, generator):
        super().__init__(width, n_codes, hidden, n_selectors, mean, scale, generator)
        self.slope = nn.Parameter(torch.ones(n_selectors))

    def forward(self, columns, codes, prior):
        """Selectors: ``(b, width), (b,), (b,) -> (b, C)``."""
        return prior[:, None] * self.slope + super().forward(columns, codes)
