"""Small torch modules for training; what they learnt leaves them as arrays."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import nn


def linear(n_in, n_out, generator, *, zero=False):
    """Layer with uniform weights of variance 1 / n_in, or with none, and no bias, drawn from a generator."""
    with torch.random.fork_rng(devices=[]):  # torch draws first weights from its global state
        layer = nn.Linear(n_in, n_out)
    bound = 0.0 if zero else math.sqrt(3.0 / max(n_in, 1))
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


class MultilayerPerceptron(nn.Module):
    """Multilayer perceptron on standardised columns plus an offset for each code.

    Parameters
    ----------
    sizes : tuple of int
        Number of input columns, widths of the hidden layers, width of the output.
    n_codes : int
        Number of codes; 0 for none.
    mean, scale : ndarray of shape (width,)
        Standardisation of the columns.
    generator : torch.Generator
        Source of the initial weights.
    zero : bool
        Whether the last layer starts at zero: as a constant, wherever the features lie.
    """

    def __init__(self, sizes, n_codes, mean, scale, generator, *, zero):
        super().__init__()
        # standardisation as one multiply-add: columns / scale - mean / scale
        self.register_buffer("shift", torch.tensor(-mean / scale, dtype=torch.float32))
        self.register_buffer("inverse_scale", torch.tensor(1.0 / scale, dtype=torch.float32))
        last = len(sizes) - 2
        self.layers = nn.ModuleList(
            linear(a, b, generator, zero=zero and i == last) for i, (a, b) in enumerate(pairwise(sizes))
        )
        self.offsets = nn.Embedding(n_codes, sizes[1], _weight=torch.zeros(n_codes, sizes[1])) if n_codes else None

    def forward(self, columns, codes=None):
        """Output of every sample: ``(b, width), (b,) -> (b, n_outputs)``."""
        a = self.layers[0](torch.addcmul(self.shift, columns, self.inverse_scale))
        if self.offsets is not None:
            a = a + self.offsets(codes)
        for layer in list(self.layers)[1:]:
            a = layer(torch.relu(a))
        return a

    def arrays(self):
        """Return the first layer in the layout of a design, and (weights, bias) of the others, float64."""
        (weights, bias), *rest = [pair(layer) for layer in self.layers]
        offsets = [] if self.offsets is None else [_array(self.offsets.weight)]
        return [np.concatenate([weights, *offsets, bias[None]]), *rest]


class StandardisedLinear(MultilayerPerceptron):
    """A linear layer on standardised columns that begins as a given one on raw columns.

    Parameters
    ----------
    weight, bias : ndarray of shape (n_outputs, width) and (n_outputs,)
        The layer on raw columns.
    mean, scale : ndarray of shape (width,)
        Standardisation, so that one rate suits all columns; a column of no spread is left out.
    """

    def __init__(self, weight, bias, mean, scale):
        scale = np.where(scale > 0, scale, np.inf)
        super().__init__((weight.shape[1], len(bias)), 0, mean, scale, torch.Generator(), zero=True)
        known = np.isfinite(scale)
        (layer,) = self.layers
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(np.where(known, weight * np.where(known, scale, 0.0), 0.0)))
            layer.bias.copy_(torch.from_numpy(bias + weight @ np.where(known, mean, 0.0)))

    def unstandardised(self):
        """Weights (n_outputs, width) and bias for raw columns, float64."""
        weights, bias = pair(self.layers[0])
        inverse, shift = _array(self.inverse_scale), _array(self.shift)
        return (weights * inverse[:, None]).T, bias + shift @ weights


def pair(layer):
    """Weights (n_in, n_out) and bias of a layer."""
    return _array(layer.weight).T, _array(layer.bias)


def _array(tensor):
    return tensor.detach().double().cpu().numpy()


class TrustNetwork(MultilayerPerceptron):
    """Perceptron with one output, which may be the distance to a hyperplane.

    Parameters
    ----------
    width, hidden : int, tuple of int
        Number of input columns, and widths of the hidden layers; () is a linear head.
    n_codes, mean, scale, generator : object
        As in `MultilayerPerceptron`.
    unit_norm : bool
        Divide the output by the norm of the last weights.
    """

    def __init__(self, width, n_codes, hidden, mean, scale, unit_norm, generator):
        # a distance to no hyperplane is nothing to start from
        super().__init__((width, *hidden, 1), n_codes, mean, scale, generator, zero=not unit_norm)
        self.unit_norm = unit_norm

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


def trust_network(layers, n_codes, mean, scale, unit_norm):
    """A linear trust network that begins as the head that was solved for, in the layout of a design."""
    parameters, width = torch.from_numpy(layers[0]).float(), len(mean)
    network = TrustNetwork(width, n_codes, (), mean, scale, unit_norm, torch.Generator())
    with torch.no_grad():
        network.layers[0].weight.copy_(parameters[:width].T)
        network.layers[0].bias.copy_(parameters[-1])
        if n_codes:
            network.offsets.weight.copy_(parameters[width : width + n_codes])
    return network


class JointNetwork(nn.Module):
    """A body with heads for prediction and selection, and perhaps an auxiliary one.

    Parameters
    ----------
    width, hidden : int, tuple of int
        Number of input columns, and widths of the body's layers. With () everything is linear in the columns.
    n_classes, n_selectors : int
        Numbers of logits and of selectors.
    selector_head : bool
        Whether selectors have a hidden layer of their own, as wide as the body, and an auxiliary head trains the body;
        else they are logits beside those of the classes.
    mean, scale, generator : object
        As in `MultilayerPerceptron`.
    """

    def __init__(self, width, hidden, n_classes, n_selectors, selector_head, mean, scale, generator):
        super().__init__()
        self.n_classes, self.n_kept = n_classes, n_classes + n_selectors
        n_outputs = self.n_kept + n_classes * selector_head
        self.selector = None
        if not hidden:
            self.body = MultilayerPerceptron((width, n_outputs), 0, mean, scale, generator, zero=True)
            self.prediction = None
            return
        self.body = MultilayerPerceptron((width, *hidden), 0, mean, scale, generator, zero=False)
        last = hidden[-1]
        if selector_head:
            n_outputs -= n_selectors
            self.selector = nn.ModuleList(
                [linear(last, last, generator), linear(last, n_selectors, generator, zero=True)]
            )
        self.prediction = linear(last, n_outputs, generator, zero=True)

    def forward(self, columns, codes=None):
        """Logits (b, K), selectors (b, C) and auxiliary logits (b, K) or None; there are no codes."""
        a = self.body(columns)
        if self.prediction is not None:
            a, body = self.prediction(torch.relu(a)), torch.relu(a)
            if self.selector is not None:
                select = self.selector[1](torch.relu(self.selector[0](body)))
                a = torch.cat([a[:, : self.n_classes], select, a[:, self.n_classes :]], dim=1)
        auxiliary = a[:, self.n_kept :] if a.shape[1] > self.n_kept else None
        return a[:, : self.n_classes], a[:, self.n_classes : self.n_kept], auxiliary

    def arrays(self):
        """Return the layers of the body and of each head, the auxiliary one left out."""
        body = self.body.arrays()
        if self.prediction is None:
            return [body[0][:, : self.n_kept]], []
        weights, bias = pair(self.prediction)
        if self.selector is None:
            return body, [[(weights, bias)]]
        logits = weights[:, : self.n_classes], bias[: self.n_classes]
        return body, [[logits], [pair(layer) for layer in self.selector]]


class SelectorNetwork(MultilayerPerceptron):
    """Selectors that start as a prior: its multiple, 1 at first, plus what a perceptron says, 0 at first.

    Parameters
    ----------
    width, hidden, n_selectors : object
        Number of input columns, widths of the hidden layers, number of outputs.
    n_codes, mean, scale, generator : object
        As in `MultilayerPerceptron`.
    """

    def __init__(self, width, n_codes, hidden, n_selectors, mean, scale, generator):
        super().__init__((width, *hidden, n_selectors), n_codes, mean, scale, generator, zero=True)
        self.slope = nn.Parameter(torch.ones(n_selectors))

    def forward(self, columns, codes, prior):
        """Selectors: ``(b, width), (b,), (b,) -> (b, C)``."""
        return prior[:, None] * self.slope + super().forward(columns, codes)

    def slopes(self):
        """What multiplies the prior, (C,), to be added to what the layers say."""
        return _array(self.slope)
