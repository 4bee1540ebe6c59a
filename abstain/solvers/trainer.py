"""The one training loop in torch. Data stay NumPy; batches are copied at the border."""

import copy
from functools import partial

import numpy as np
import torch

from abstain.utils.progress import progress


class Batches:
    """Rows of a design, and of other arrays, as tensors on a device.

    Parameters
    ----------
    design : Design
        The input.
    arrays : tuple of ndarray
        Arrays of as many rows: integers stay integers, all else becomes float32.
    size : int
        Rows of a batch.
    device : torch.device
        Where the tensors go.
    """

    def __init__(self, design, arrays, size, device):
        self.design, self.arrays, self.size, self.device = design, arrays, size, device

    def __call__(self, rows):
        """Yield (rows, columns, codes, other arrays ...) of one batch after the other."""
        for picked in np.array_split(rows, -(-len(rows) // self.size)):  # of one size: none too small to average over
            yield picked, self._columns(picked), self._codes(picked), *(self.tensor(a[picked]) for a in self.arrays)

    def tensor(self, array):
        """Copy an array to the device."""
        # indexing made a copy, so that read-only memory maps stay behind
        kind = torch.int64 if array.dtype.kind == "i" else torch.float32
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, kind)

    def _columns(self, rows):
        parts = [self.tensor(np.take(matrix, rows, axis=0)) for matrix in self.design.matrices]
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts, dim=1) if parts else torch.zeros((len(rows), 0), device=self.device)

    def _codes(self, rows):
        return None if self.design.codes is None else self.tensor(self.design.codes[rows].astype(np.int64))


def optimise(network, batches, rows, batch_loss, validate, *, training, generator, first_epoch=0, title="training"):
    """Train a network, and leave it as it was in its best epoch.

    Parameters
    ----------
    network : Module
        On the device of the batches; changed in place.
    batches : Batches
        The data.
    rows : ndarray of int
        Rows to learn from.
    batch_loss : callable
        ``(epoch, batch) -> scalar tensor``.
    validate : callable or None
        ``() -> dict`` with "validation_loss" and anything else worth keeping; None keeps the last epoch.
    training : Training
        The knobs.
    generator : torch.Generator
        Source of the order of the batches; no global seed is touched.
    first_epoch : int, default=0
        First epoch that may be the best; -1 is the start.
    title : str, default="training"
        What the progress bar says.

    Returns
    -------
    history : list of dict
        ``epoch``, ``train_loss`` and what ``validate`` returned, of each epoch.
    """
    steps = training.epochs * -(-len(rows) // training.batch_size)
    optimiser = torch.optim.AdamW(network.parameters(), lr=training.lr, weight_decay=training.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    best, history = _Best(network), []
    with progress(training.epochs, title) as advance, torch.no_grad():
        if first_epoch < 0 and validate is not None:
            best.see(-1, validate()["validation_loss"], np.inf)
        for epoch in range(training.epochs):
            train_loss = _epoch(network, batches, rows, partial(batch_loss, epoch), optimiser, schedule, generator)
            check_finite(train_loss, training)
            seen = {} if validate is None else validate()
            history.append({"epoch": epoch, "train_loss": train_loss, **seen})
            advance(1)
            if validate is not None and epoch >= first_epoch:
                best.see(epoch, seen["validation_loss"], train_loss)
                if epoch - best.epoch >= training.patience:
                    break
    best.restore()
    return history


def check_finite(values, training):
    """Say that training diverged, if it did."""
    if not np.isfinite(values).all():
        raise ValueError(
            f"training diverged: losses or outputs are not finite. Lower training.lr, now {training.lr:g}, or the "
            "weights in the loss."
        )


class _Best:
    """The best state of a network so far: the least validation loss, among equals the least training loss."""

    def __init__(self, network):
        self.network, self.state, self.loss, self.epoch = network, None, (np.inf, np.inf), -1

    def see(self, epoch, *loss):
        if self.state is None or loss < self.loss:
            self.state, self.loss, self.epoch = copy.deepcopy(self.network.state_dict()), loss, epoch

    def restore(self):
        if self.state is not None:
            self.network.load_state_dict(self.state)


@torch.enable_grad()
def _epoch(network, batches, rows, batch_loss, optimiser, schedule, generator):
    network.train()
    total = 0.0
    for batch in batches(rows[torch.randperm(len(rows), generator=generator).numpy()]):
        optimiser.zero_grad()
        value = batch_loss(batch)
        value.backward()
        optimiser.step()
        schedule.step()
        total += float(value.detach()) * len(batch[0])
    network.eval()
    return total / len(rows)


def split(rows, fraction, generator):
    """Shuffle rows, and hold a share of them back: (to learn from, held back)."""
    shuffled = rows[torch.randperm(len(rows), generator=generator).numpy()]
    n_held = int(fraction * len(rows))
    return shuffled[n_held:], shuffled[:n_held]
