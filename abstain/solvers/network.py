"""The one training loop in torch. Data stay NumPy; batches are copied at the border; weights leave as arrays."""

import copy

import numpy as np
import torch

from abstain.solvers.device import resolve_device
from abstain.solvers.heads import TrustNetwork


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
    shuffled = rows[torch.randperm(len(rows), generator=generator).numpy()]
    n_held = int(training.validation_fraction * len(rows))
    held, learnt = shuffled[:n_held], shuffled[n_held:]
    network = TrustNetwork(design.width, design.n_codes, hidden, design.mean, design.scale, unit_norm, generator)
    network.to(device)
    steps = training.epochs * -(-len(learnt) // training.batch_size)
    optimiser = torch.optim.AdamW(network.parameters(), lr=training.lr, weight_decay=training.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    batches = _Batches(design, target, training.batch_size, device)
    best, best_loss, best_epoch, history = copy.deepcopy(network.state_dict()), np.inf, 0, []
    for epoch in range(training.epochs):
        order = learnt[torch.randperm(len(learnt), generator=generator).numpy()]
        train_loss = _epoch(network, loss, batches, order, optimiser, schedule)
        validation_loss = _validate(network, loss, batches, held) if n_held else train_loss
        history.append({"epoch": epoch, "train_loss": train_loss, "validation_loss": validation_loss})
        if validation_loss < best_loss or not n_held:
            best, best_loss, best_epoch = copy.deepcopy(network.state_dict()), validation_loss, epoch
        elif epoch - best_epoch >= training.patience:
            break
    network.load_state_dict(best)
    return network.arrays(design.n_codes), history


class _Batches:
    """Rows of a design as tensors on a device, a batch at a time."""

    def __init__(self, design, target, size, device):
        self.design, self.target, self.size, self.device = design, target, size, device

    def __call__(self, rows):
        for start in range(0, len(rows), self.size):
            picked = rows[start : start + self.size]
            yield self._columns(picked), self._codes(picked), self._tensor(self.target[picked])

    def _columns(self, rows):
        parts = [self._tensor(np.take(matrix, rows, axis=0)) for matrix in self.design.matrices]
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts, dim=1) if parts else torch.zeros((len(rows), 0), device=self.device)

    def _codes(self, rows):
        codes = np.zeros(len(rows), dtype=np.int64) if self.design.codes is None else self.design.codes[rows]
        return torch.tensor(codes, dtype=torch.int64, device=self.device)

    def _tensor(self, array):
        # indexing made a copy, so that read-only memory maps stay behind
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, torch.float32)


def _epoch(network, loss, batches, order, optimiser, schedule):
    network.train()
    total = 0.0
    for columns, codes, target in batches(order):
        optimiser.zero_grad()
        value = loss.value(network(columns, codes), target).mean()
        value.backward()
        optimiser.step()
        schedule.step()
        total += float(value.detach()) * len(target)
    return total / len(order)


@torch.no_grad()
def _validate(network, loss, batches, rows):
    network.eval()
    values = [loss.value(network(columns, codes), target).sum() for columns, codes, target in batches(rows)]
    return float(sum(values)) / len(rows)
