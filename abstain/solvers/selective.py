"""Train networks for selective losses: prediction and selection together, or selection for given predictions."""

import torch

from abstain.solvers.device import resolve_device
from abstain.solvers.heads import JointNetwork, SelectorNetwork
from abstain.solvers.sources import DesignSource, parts_of, tensor
from abstain.solvers.trainer import Trainer, check_finite


class SelectiveObjective:
    """Mean of several selective losses, each with a selector of its own, and what they remember of each sample.

    Parameters
    ----------
    losses : list of SelectiveLoss
        One for each selector.
    n : int
        Number of samples.
    device : torch.device
        Where the memory is.
    """

    def __init__(self, losses, n, device):
        self.losses = losses
        self.memory = torch.full((len(losses), n), torch.nan, device=device)
        self.before = None  # rows of the last batch, and what was remembered of them

    def value(self, rows, logits, select, codes, auxiliary=None):
        """Value over a batch of some rows: a scalar."""
        where = tensor(rows, self.memory.device)
        self.before = where, self.memory[:, where]
        return sum(
            loss.value(logits, u, codes, auxiliary=auxiliary, memory=self._visit(j, where, logits, u, codes, auxiliary))
            for j, (loss, u) in enumerate(zip(self.losses, select.T, strict=True))
        ) / len(self.losses)

    @torch.no_grad()
    def _visit(self, j, where, logits, select, codes, auxiliary):
        if not hasattr(self.losses[j], "remember"):
            return None
        kept = self.losses[j].remember(logits, select, codes, self.memory[j, where], auxiliary=auxiliary)
        self.memory[j, where] = kept
        return kept, self.memory[j].nanmean()

    def forget(self):
        """Remember what was remembered before the last batch."""
        if self.before is not None:
            where, kept = self.before
            self.memory[:, where] = kept
            self.before = None

    def state_dict(self):
        """Return what is remembered of the samples."""
        return {"memory": self.memory}

    def load_state_dict(self, state):
        """Remember what was remembered."""
        self.memory.copy_(state["memory"])


class JointObjective(SelectiveObjective):
    """The losses of a network that predicts and selects, after some epochs of prediction alone.

    Parameters
    ----------
    losses, n, device : object
        As in `SelectiveObjective`.
    warm_up, warm_up_epochs : callable, int
        ``(logits, codes) -> scalar`` that replaces the losses in the first epochs.
    penalty : callable or None
        ``logits -> scalar``, added to the losses.
    """

    def __init__(self, losses, n, device, warm_up, warm_up_epochs, penalty):
        super().__init__(losses, n, device)
        self.warm_up, self.warm_up_epochs, self.penalty = warm_up, warm_up_epochs, penalty

    def __call__(self, outputs, batch, epoch):
        """Value over a batch: a scalar."""
        (logits, select, beside), (codes,) = outputs, batch.targets
        if epoch < self.warm_up_epochs:
            return self.warm_up(logits, codes) + (0.0 if beside is None else self.warm_up(beside, codes))
        value = self.value(batch.rows, logits, select, codes, beside)
        return value if self.penalty is None else value + self.penalty(logits)


class SelectorObjective(SelectiveObjective):
    """The losses of selectors for given predictions."""

    def __call__(self, outputs, batch, epoch):
        """Value over a batch: a scalar."""
        codes, log_proba = batch.targets
        select = [loss.log_odds(log_proba, u) for loss, u in zip(self.losses, outputs[0].T, strict=True)]
        return self.value(batch.rows, log_proba, torch.stack(select, dim=1), codes)


def train_joint(
    losses, design, codes, rows, held, *, n_classes, hidden, selector_head, warm_up, warm_up_epochs, penalty, validate,
    training, seed,
):  # fmt: skip
    """Train prediction and selection together.

    Parameters
    ----------
    losses : list of SelectiveLoss
        One for each selector.
    design : Design
        The input, all rows.
    codes : ndarray of shape (n,)
        Indices of the true classes.
    rows, held : ndarray of int
        Rows to learn from, and rows to choose the epoch by.
    n_classes : int
        Number of classes.
    hidden : tuple of int
        Widths of the shared layers.
    selector_head : bool
        As in `JointNetwork`.
    warm_up, warm_up_epochs, penalty : object
        As in `JointObjective`.
    validate : callable
        ``(logits, select) of the held rows -> dict`` for `Trainer`.
    training : Training
        The knobs.
    seed : int
        Seed of weights and batches.

    Returns
    -------
    network : JointNetwork
        As it was in its best epoch.
    history : list of dict
        As of `Trainer.fit`.
    """
    device, generator = resolve_device(training.device), torch.Generator().manual_seed(seed)
    network = JointNetwork(
        design.width, hidden, n_classes, len(losses), selector_head, design.mean, design.scale, generator
    ).to(device)
    source = DesignSource(design, (codes,), device)
    objective = JointObjective(losses, design.n, device, warm_up, warm_up_epochs, penalty)

    def validated(network):
        batches = source.batches(parts_of(held, training.batch_size))
        outputs = [network(*batch.inputs)[:2] for batch in batches]
        return validate(*(_outputs(part, training) for part in zip(*outputs, strict=True)))

    trainer = Trainer(
        network, source, objective, training, seed=seed, validate=validated, first_epoch=warm_up_epochs,
        title="selective head",
    )  # fmt: skip
    return network, trainer.fit(rows)


def train_selector(losses, design, log_proba, prior, codes, rows, held, *, hidden, validate, training, seed):
    """Train selectors for given class probabilities, from a prior on.

    Parameters
    ----------
    losses : list of SelectiveLoss
        One for each selector.
    design : Design
        What the selectors see, all rows.
    log_proba : ndarray of shape (n, K)
        Log-probabilities that the classifier gave each row, held out.
    prior : ndarray of shape (n,)
        Log-odds of accepting to start from.
    codes : ndarray of shape (n,)
        Indices of the true classes.
    rows, held : ndarray of int
        Rows to learn from, and rows to choose the epoch by; the start is a candidate.
    hidden : tuple of int
        Widths of the hidden layers.
    validate : callable
        ``log-odds of accepting of the held rows -> dict`` for `Trainer`.
    training : Training
        The knobs.
    seed : int
        Seed of weights and batches.

    Returns
    -------
    network : SelectorNetwork
        As it was in its best epoch.
    history : list of dict
        As of `Trainer.fit`.
    """
    device, generator = resolve_device(training.device), torch.Generator().manual_seed(seed)
    network = SelectorNetwork(
        design.width, design.n_codes, hidden, len(losses), design.mean, design.scale, generator
    ).to(device)
    source = DesignSource(design, (codes, log_proba), device, others=(prior,))

    def validated(network):
        odds = [network(*batch.inputs) for batch in source.batches(parts_of(held, training.batch_size))]
        return validate(_outputs(odds, training))

    trainer = Trainer(
        network, source, SelectorObjective(losses, design.n, device), training, seed=seed, validate=validated,
        first_epoch=-1, title="selector",
    )  # fmt: skip
    return network, trainer.fit(rows)


def _outputs(parts, training):
    outputs = torch.cat(parts).double().cpu().numpy()
    check_finite(outputs, training)
    return outputs
