"""The one training loop in torch. Its state is one object; order, augmentation and dropout follow from the seed."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from abstain.solvers import rates
from abstain.solvers.device import autocast
from abstain.solvers.draws import drawing, order_of
from abstain.utils.progress import progress
from abstain.warnings import SmallerBatchWarning, warn

_PLAIN = ("epoch", "step", "total", "best", "best_epoch", "start_loss", "history")


@dataclass(eq=False)
class State:
    """All that training remembers; with the seed and the data it says how to go on.

    Parameters
    ----------
    network : Module
        Being trained.
    optimiser : Optimizer
        Of its parameters.
    averaged : Module or None
        Moving average of the network, which is what is judged and kept, where there is one.
    """

    network: Any
    optimiser: Any
    averaged: Any = None
    epoch: int = 0  # passes that are complete
    step: int = 0  # batches of this pass that are done
    total: float = 0.0  # sum of losses over the samples of these
    best: dict | None = None  # weights of the best epoch
    best_loss: tuple = (np.inf, np.inf)  # on held-out samples, then on those learnt from
    best_epoch: int = -1
    start_loss: float | None = None  # held-out loss before the first step, where that counts
    history: list = field(default_factory=list)

    @property
    def judged(self):
        """The network that is judged and kept."""
        return self.network if self.averaged is None else self.averaged

    def see(self, epoch, *loss):
        """Keep the weights if they are the best so far."""
        if self.best is None or loss < self.best_loss:
            self.best, self.best_loss, self.best_epoch = copy.deepcopy(self.judged.state_dict()), loss, epoch

    def state_dict(self):
        """Return tensors, numbers and lists, which need no code to be read."""
        parts = {name: getattr(self, name) for name in _PLAIN}
        modules = {"network": self.network, "optimiser": self.optimiser, "averaged": self.averaged}
        states = {name: None if part is None else part.state_dict() for name, part in modules.items()}
        return parts | states | {"best_loss": list(self.best_loss)}

    def load_state_dict(self, state):
        """Go back to where a state was."""
        for name in _PLAIN:
            setattr(self, name, state[name])
        self.best_loss = tuple(state["best_loss"])
        for name in ("network", "optimiser", "averaged"):
            part = getattr(self, name)
            if part is not None:
                part.load_state_dict(state[name])


class Trainer:
    """Trains a network on batches of a source, and leaves it as it was in its best epoch.

    The loss sees the outputs of a whole batch, whose parts may be computed one after the other, or by several
    processes: it is differentiated by the outputs, and these by the weights. So a loss that couples the samples of a
    batch is the same, however the batch is divided.

    Parameters
    ----------
    network : Module
        On the device of the source; changed in place.
    source : Source
        ``source.batches(parts, epoch)`` yields a `Batch` for each of some arrays of rows.
    loss : callable
        ``loss(outputs, batch, epoch) -> scalar tensor``; its ``state_dict``, if it has one, is kept with the rest.
    training : Training
        The knobs.
    seed : int
        Seed of all draws; no global seed is touched.
    validate : callable, default=None
        ``validate(network) -> dict`` with "validation_loss" and anything else worth keeping; None keeps the last epoch.
    first_epoch : int, default=0
        First epoch that may be the best; -1 is the start.
    title : str, default="training"
        What the progress bar says.
    checkpoint : Checkpoint, default=None
        Where the state is kept, and an earlier one is found.
    """

    def __init__(
        self, network, source, loss, training, *, seed, validate=None, first_epoch=0, title="training", checkpoint=None
    ):  # fmt: skip
        self.source, self.loss, self.training, self.seed = source, loss, training, seed
        self.validate, self.first_epoch, self.title, self.checkpoint = validate, first_epoch, title, checkpoint
        averaged = copy.deepcopy(network).requires_grad_(False).eval() if training.ema else None
        self.state = State(network, rates.optimiser(network, training), averaged)
        self.draws = rates.has_draws(network)
        self.more_parts = 1  # in which each part of a batch is computed, where memory is short

    def fit(self, rows):
        """Train on some rows, from the start or from a checkpoint.

        Parameters
        ----------
        rows : ndarray of int
            Rows to learn from.

        Returns
        -------
        history : list of dict
            ``epoch``, ``train_loss`` and what ``validate`` returned, of each epoch.
        """
        state, training = self.state, self.training
        self._resume()
        with progress(training.epochs, self.title) as advance:
            advance(state.epoch)
            if self.first_epoch < 0 and self.validate is not None and state.best is None:
                state.start_loss = self._judge()["validation_loss"]
                state.see(-1, state.start_loss, np.inf)
            while state.epoch < training.epochs and not self._patience_is_over():
                self._epoch(rows)
                advance(1)
        if state.best is not None:
            state.judged.load_state_dict(state.best)
        if state.averaged is not None:
            state.network.load_state_dict(state.averaged.state_dict())
        state.network.eval()
        return state.history

    def _epoch(self, rows):
        state, training = self.state, self.training
        order = order_of(rows, self.seed, state.epoch)
        steps = -(-len(rows) // training.batch_size)
        # of one size: none too small to average over
        parts = [np.array_split(batch, min(training.accumulate, len(batch))) for batch in np.array_split(order, steps)]
        left = parts[state.step :]
        batches = self.source.batches([piece for part in left for piece in part], state.epoch)
        state.network.train()
        for part in left:
            value = self._step([next(batches) for _ in part], state.epoch * steps + state.step, steps)
            state.total += value * sum(rows.size for rows in part)
            state.step += 1
            self._keep(state.step < steps)
        state.network.eval()
        self._finish_epoch(len(rows))

    def _finish_epoch(self, n):
        state = self.state
        train_loss = state.total / n
        check_finite(train_loss, self.training)
        seen = {} if self.validate is None else self._judge()
        state.history.append({"epoch": state.epoch, "train_loss": train_loss, **seen})
        if self.validate is not None and state.epoch >= self.first_epoch:
            state.see(state.epoch, seen["validation_loss"], train_loss)
        state.epoch, state.step, state.total = state.epoch + 1, 0, 0.0
        self._keep(False)

    def _patience_is_over(self):
        state = self.state
        waited = state.epoch - 1 - state.best_epoch
        judged = self.validate is not None and state.epoch > max(self.first_epoch, 0)
        return judged and waited >= self.training.patience

    def _step(self, pieces, step, steps):
        """One step of the optimiser on a batch in pieces; return its loss."""
        state, training = self.state, self.training
        rates.set_rate(state.optimiser, training, step, steps * training.epochs)
        value = self._fitting(pieces, step)
        if training.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(state.network.parameters(), training.clip_norm)
        state.optimiser.step()
        if state.averaged is not None:
            rates.average(state.averaged, state.network, training.ema)
        return value

    def _fitting(self, pieces, step):
        """Gradients of a batch, in so many parts that they fit into memory; return its loss."""
        while True:
            parts = [half for piece in pieces for half in piece.in_parts(self.more_parts)]
            self.state.optimiser.zero_grad()
            try:
                return self._backward(parts, step)
            except RuntimeError as error:
                if "memory" not in str(error) or max(part.size for part in parts) == 1:
                    raise
            self.more_parts *= 2
            warn(
                f"{max(part.size for part in parts)} samples at once do not fit into memory: batches go through the "
                "network in twice as many parts, with the same result. Set training.accumulate to begin so.",
                SmallerBatchWarning,
            )

    def _backward(self, pieces, step):
        if len(pieces) == 1:
            value = self.loss(self._outputs(pieces[0], step, 0), pieces[0], self.state.epoch)
            value.backward()
            return float(value.detach())
        with torch.no_grad():
            found = [self._outputs(piece, step, i) for i, piece in enumerate(pieces)]
        outputs = tuple(
            None if parts[0] is None else torch.cat(parts).requires_grad_() for parts in zip(*found, strict=True)
        )
        value = self.loss(outputs, joined(pieces), self.state.epoch)
        value.backward()
        edges = np.cumsum([0, *(len(piece.rows) for piece in pieces)])
        for i, piece in enumerate(pieces):
            own = slice(edges[i], edges[i + 1])
            with torch.enable_grad():
                again = self._outputs(piece, step, i)
            pairs = [(out, whole.grad[own]) for out, whole in zip(again, outputs, strict=True)
                     if whole is not None and whole.grad is not None]  # fmt: skip
            torch.autograd.backward([out for out, _ in pairs], [grad for _, grad in pairs])
        return float(value.detach())

    def _outputs(self, piece, step, i):
        with drawing(self.draws, self.seed, step, i), autocast(piece.inputs[0].device, self.training.amp):
            outputs = self.state.network(*piece.inputs)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    @torch.no_grad()
    def _judge(self):
        self.state.judged.eval()
        return self.validate(self.state.judged)

    def _resume(self):
        found = None if self.checkpoint is None else self.checkpoint.load()
        if found is not None:
            self.state.load_state_dict(found["state"])
            if found["loss"] is not None:
                self.loss.load_state_dict(found["loss"])

    def _keep(self, inside):
        if self.checkpoint is not None and self.checkpoint.due(inside):
            memory = self.loss.state_dict() if hasattr(self.loss, "state_dict") else None
            self.checkpoint.save({"state": self.state.state_dict(), "loss": memory})


def check_finite(values, training):
    """Say that training diverged, if it did."""
    if not np.isfinite(values).all():
        raise ValueError(
            f"training diverged: losses or outputs are not finite. Lower training.lr, now {training.lr:g}, or the "
            "weights in the loss."
        )


def _whole(parts):
    """Outputs of a batch, to be differentiated by; None where a network has no such output."""
    return None if parts[0] is None else torch.cat(parts).requires_grad_()


def joined(pieces):
    """One batch of several."""
    first = pieces[0]
    return first._replace(
        rows=np.concatenate([piece.rows for piece in pieces]),
        targets=tuple(torch.cat(parts) for parts in zip(*(piece.targets for piece in pieces), strict=True)),
    )
