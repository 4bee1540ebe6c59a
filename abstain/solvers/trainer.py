"""The one training loop in torch. Its state is one object; order, augmentation and dropout follow from the seed."""

import copy
from dataclasses import dataclass, field
from typing import Any

import joblib
import numpy as np
import torch

from abstain.solvers import rates
from abstain.solvers.device import FLOAT16, autocast
from abstain.solvers.draws import drawing, order_of
from abstain.solvers.ranks import Ranks
from abstain.solvers.sources import Batch
from abstain.utils.progress import progress
from abstain.warnings import SmallerBatchWarning, warn

_MODULES = ("network", "optimiser", "scaler", "averaged")
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
    scaler : GradScaler
        Of losses, so that small gradients survive float16.
    averaged : Module or None
        Moving average of the network, which is what is judged and kept, where there is one.
    """

    network: Any
    optimiser: Any
    scaler: Any
    averaged: Any = None
    epoch: int = 0  # passes that are complete
    step: int = 0  # batches of this pass that are done
    total: Any = 0.0  # sum of losses over the samples of these
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
        parts = {name: getattr(self, name) for name in _PLAIN} | {"total": float(self.total)}
        states = {name: None if (part := getattr(self, name)) is None else part.state_dict() for name in _MODULES}
        return parts | states | {"best_loss": list(self.best_loss)}

    def load_state_dict(self, state):
        """Go back to where a state was."""
        for name in _PLAIN:
            setattr(self, name, state[name])
        self.best_loss = tuple(state["best_loss"])
        for name in _MODULES:
            part = getattr(self, name)
            if part is not None:
                part.load_state_dict(state[name])


class Trainer:
    """Trains a network on batches of a source, and leaves it as it was in its best epoch.

    The loss sees the outputs of a whole batch, whose parts may be computed one after the other, or by the processes of
    ``torch.distributed``, if that is initialised: it is differentiated by the outputs, and these by the weights. So a
    loss that couples the samples of a batch is the same, however the batch is divided.

    Parameters
    ----------
    network : Module
        On the device of the source; changed in place.
    source : Source
        ``source.batches(parts, epoch)`` yields a `Batch` for each of some arrays of rows.
    loss : callable
        ``loss(outputs, batch, epoch) -> scalar tensor``. What it remembers is kept with the rest by its ``state_dict``,
        and undone by its ``forget`` where a batch has to be computed again, if it has these; and it is told by its
        ``see`` what ``validate`` returned.
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
        scaler = torch.amp.GradScaler(next(network.parameters()).device.type, enabled=training.amp == FLOAT16)
        self.state = State(network, rates.optimiser(network, training), scaler, averaged)
        self._forward = torch.compile(network) if training.compile else network
        self.draws = rates.has_draws(network)
        self.more_parts = 1  # in which each part of a batch is computed, where memory is short
        self.ranks = Ranks()

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
        if self.ranks.world > 1:
            data = joblib.hash([rows, self.source.targets, self.source.sample()])
            self.ranks.agree(data=data, seed=self.seed, training=training.get_params())
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
        n_parts = training.accumulate * self.ranks.world
        # of one size: none too small to average over
        parts = [np.array_split(batch, min(n_parts, len(batch))) for batch in np.array_split(order, steps)]
        left = parts[state.step :]
        own = [[part[i] for i in self.ranks.own(part)] for part in left]
        batches = self.source.batches([piece for part in own for piece in part], state.epoch)
        state.network.train()
        for part, mine in zip(left, own, strict=True):
            value = self._step(part, [next(batches) for _ in mine], state.epoch * steps + state.step, steps)
            state.total += value * sum(rows.size for rows in part)  # stays on the device: nothing waits for it
            state.step += 1
            self._keep(state.step < steps)
        next(batches, None)  # to its end, so that workers are free
        state.network.eval()
        self._finish_epoch(len(rows))

    def _finish_epoch(self, n):
        state = self.state
        train_loss = float(state.total) / n
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

    def _step(self, part, pieces, step, steps):
        """One step of the optimiser on a batch, of which this process computes some pieces; return its loss."""
        state, training = self.state, self.training
        rates.set_rate(state.optimiser, training, step, steps * training.epochs)
        value = self._fitting(part, pieces, step)
        self.ranks.add_gradients(state.network.parameters())
        state.scaler.unscale_(state.optimiser)
        if training.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(state.network.parameters(), training.clip_norm)
        state.scaler.step(state.optimiser)
        state.scaler.update()
        if state.averaged is not None:
            rates.average(state.averaged, state.network, training.ema)
        return value

    def _fitting(self, part, pieces, step):
        """Gradients of a batch, in so many pieces that they fit into memory; return its loss."""
        while True:
            smaller = [half for piece in pieces for half in piece.in_parts(self.more_parts)]
            self.state.optimiser.zero_grad()
            try:
                return self._backward(part, smaller, step)
            except RuntimeError as error:
                alone = self.ranks.world == 1  # others wait, and cannot know
                if not _short_of_memory(error) or max(piece.size for piece in smaller) == 1 or not alone:
                    raise
                if hasattr(self.loss, "forget"):
                    self.loss.forget()
            self.more_parts *= 2
            warn(
                f"{max(piece.size for piece in smaller)} samples at once do not fit into memory: batches go through "
                "the network in twice as many parts, with the same result. Set training.accumulate to begin so.",
                SmallerBatchWarning,
            )

    @torch.enable_grad()
    def _backward(self, part, pieces, step):
        alone = self.ranks.world == 1
        rows_of = [piece.rows for piece in pieces] if alone else part
        if len(rows_of) == 1:
            value = self.loss(self._outputs(pieces[0], step, 0), pieces[0], self.state.epoch)
            self.state.scaler.scale(value).backward()
            return value.detach().double()
        own, sizes = list(self.ranks.own(rows_of)), [rows.size for rows in rows_of]
        with torch.no_grad():
            found = [self._outputs(piece, step, i) for i, piece in zip(own, pieces, strict=True)]
        outputs = tuple(
            None if column[0] is None else self.ranks.gathered(list(column), sizes).requires_grad_()
            for column in zip(*found, strict=True)
        )
        rows, edges = np.concatenate(rows_of), np.cumsum([0, *sizes])
        value = self.loss(outputs, Batch(rows, (), self.source.targets_of(rows)), self.state.epoch)
        self.state.scaler.scale(value).backward()
        for i, piece in zip(own, pieces, strict=True):
            pairs = [
                (again, whole.grad[edges[i] : edges[i + 1]])
                for again, whole in zip(self._outputs(piece, step, i), outputs, strict=True)
                if whole is not None and whole.grad is not None
            ]
            torch.autograd.backward([again for again, _ in pairs], [slope for _, slope in pairs])
        return value.detach().double()

    def _outputs(self, piece, step, i):
        with drawing(self.draws, self.seed, step, i), autocast(piece.inputs[0].device, self.training.amp):
            outputs = self._forward(*piece.inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(None if part is None else part.float() for part in outputs)  # losses are not for half precision

    @torch.no_grad()
    def _judge(self):
        self.state.judged.eval()
        judged = self.ranks.from_first(lambda: self.validate(self.state.judged))
        if hasattr(self.loss, "see"):
            self.loss.see(judged)
        return judged

    def _resume(self):
        found = None if self.checkpoint is None else self.checkpoint.load()
        if found is not None:
            self.state.load_state_dict(found["state"])
            if found["loss"] is not None:
                self.loss.load_state_dict(found["loss"])

    def _keep(self, inside):
        if self.checkpoint is not None and self.ranks.rank == 0 and self.checkpoint.due(inside):
            memory = self.loss.state_dict() if hasattr(self.loss, "state_dict") else None
            self.checkpoint.save({"state": self.state.state_dict(), "loss": memory})


def _short_of_memory(error):
    return any(words in str(error) for words in ("out of memory", "not enough memory", "can't allocate memory"))


def check_finite(values, training):
    """Say that training diverged, if it did."""
    if not np.isfinite(values).all():
        raise ValueError(
            f"training diverged: losses or outputs are not finite. Lower training.lr, now {training.lr:g}, or the "
            "weights in the loss."
        )
