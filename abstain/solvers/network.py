"""Train a trust network."""

import torch

from abstain.solvers.device import resolve_device
from abstain.solvers.heads import TrustNetwork
from abstain.solvers.loop import Batches, optimise, split


def train(loss, design, target, rows, *, hidden, unit_norm, training, seed):
    """Train a trust network on some rows of a design.

    Parameters
    ----------
    loss : TrustLoss
        Per-sample loss of raw outputs.
    design : Design
        All rows.
    target : ndarray of shape (n,)
        Targets in [0, 1].
    rows : ndarray of int
        Rows to learn from.
    hidden : tuple of int
        Widths of the hidden layers.
    unit_norm : bool
        Whether the output is a distance to a hyperplane.
    training : Training
        The knobs.
    seed : int
        Seed of the weights, the split and the order of the batches; no global seed is touched.

    Returns
    -------
    layers : list
        Arrays for `abstain.solvers.forward.outputs`.
    history : list of dict
        ``epoch``, ``train_loss`` and ``validation_loss`` of each epoch.
    """
    training.check()
    device = resolve_device(training.device)
    generator = torch.Generator().manual_seed(seed)
    learnt, held = split(rows, training.validation_fraction, generator)
    network = TrustNetwork(design.width, design.n_codes, hidden, design.mean, design.scale, unit_norm, generator)
    network.to(device)
    batches = Batches(design, (target,), training.batch_size, device)

    def batch_loss(_, batch):
        _, columns, codes, wanted = batch
        return loss.value(network(columns, codes), wanted).mean()

    def validate():
        values = [loss.value(network(columns, codes), wanted).sum() for _, columns, codes, wanted in batches(held)]
        return {"validation_loss": float(sum(values)) / len(held)}

    history = optimise(
        network, batches, learnt, batch_loss, validate if len(held) else None, training=training, generator=generator
    )
    if not len(held):
        history = [{**epoch, "validation_loss": epoch["train_loss"]} for epoch in history]
    return network.arrays(), history
