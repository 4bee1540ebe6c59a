"""Train a trust network."""

import torch

from abstain.solvers.device import resolve_device
from abstain.solvers.draws import split
from abstain.solvers.heads import TrustNetwork
from abstain.solvers.sources import DesignSource, parts_of
from abstain.solvers.trainer import Trainer


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
    device, generator = resolve_device(training.device), torch.Generator().manual_seed(seed)
    learnt, held = split(rows, training.validation_fraction, seed)
    network = TrustNetwork(design.width, design.n_codes, hidden, design.mean, design.scale, unit_norm, generator)
    source = DesignSource(design, (target,), device)

    def mean_loss(outputs, batch, _):
        return loss.value(outputs[0], batch.targets[0]).mean()

    def validate(network):
        batches = source.batches(parts_of(held, training.batch_size))
        values = [loss.value(network(*batch.inputs), batch.targets[0]).sum() for batch in batches]
        return {"validation_loss": float(sum(values)) / len(held)}

    trainer = Trainer(
        network.to(device), source, mean_loss, training, seed=seed, validate=validate if len(held) else None
    )
    history = trainer.fit(learnt)
    if not len(held):
        history = [{**epoch, "validation_loss": epoch["train_loss"]} for epoch in history]
    return network.arrays(), history
