"""Train networks for selective losses: prediction and selection together, or selection for given predictions."""

import torch

from abstain.solvers.device import resolve_device
from abstain.solvers.heads import JointNetwork, SelectorNetwork
from abstain.solvers.loop import Batches, check_finite, optimise


class Objective:
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

    def __call__(self, rows, logits, select, codes, auxiliary=None):
        """Value over a batch of some rows: a scalar."""
        where = torch.from_numpy(rows).to(self.memory.device)
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
    warm_up, warm_up_epochs : callable, int
        ``(logits, codes) -> scalar`` that replaces the losses in the first epochs.
    penalty : callable or None
        ``logits -> scalar``, added to the losses.
    validate : callable
        ``(logits, select) of the held rows -> dict`` for `optimise`.
    training : Training
        The knobs.
    seed : int
        Seed of weights and batches.

    Returns
    -------
    layers, heads : list
        Arrays for `abstain.solvers.forward.outputs`: logits, then selectors.
    history : list of dict
        As of `optimise`.
    """
    device, generator = resolve_device(training.device), torch.Generator().manual_seed(seed)
    network = JointNetwork(
        design.width, hidden, n_classes, len(losses), selector_head, design.mean, design.scale, generator
    ).to(device)
    batches = Batches(design, (codes,), training.batch_size, device)
    objective = Objective(losses, design.n, device)

    def batch_loss(epoch, batch):
        picked, columns, _, labels = batch
        logits, select, beside = network(columns)
        if epoch < warm_up_epochs:
            return warm_up(logits, labels) + (0.0 if beside is None else warm_up(beside, labels))
        value = objective(picked, logits, select, labels, beside)
        return value if penalty is None else value + penalty(logits)

    def validated():
        outputs = [network(columns)[:2] for _, columns, _, _ in batches(held)]
        return validate(*(_outputs(part, training) for part in zip(*outputs, strict=True)))

    history = optimise(
        network, batches, rows, batch_loss, validated, training=training, generator=generator,
        first_epoch=warm_up_epochs, title="selective head",
    )  # fmt: skip
    return *network.arrays(), history


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
        ``log-odds of accepting of the held rows -> dict`` for `optimise`.
    training : Training
        The knobs.
    seed : int
        Seed of weights and batches.

    Returns
    -------
    layers : list
        Arrays for `abstain.solvers.forward.outputs`.
    slope : ndarray of shape (n_selectors,)
        What multiplies the prior, to be added to the outputs.
    history : list of dict
        As of `optimise`.
    """
    device, generator = resolve_device(training.device), torch.Generator().manual_seed(seed)
    network = SelectorNetwork(
        design.width, design.n_codes, hidden, len(losses), design.mean, design.scale, generator
    ).to(device)
    batches = Batches(design, (codes, log_proba, prior), training.batch_size, device)
    objective = Objective(losses, design.n, device)

    def batch_loss(_, batch):
        picked, columns, predicted, labels, logits, start = batch
        odds = network(columns, predicted, start)
        select = [loss.log_odds(logits, u) for loss, u in zip(losses, odds.T, strict=True)]
        return objective(picked, logits, torch.stack(select, dim=1), labels)

    def validated():
        odds = [network(columns, predicted, start) for _, columns, predicted, _, _, start in batches(held)]
        return validate(_outputs(odds, training))

    history = optimise(
        network, batches, rows, batch_loss, validated, training=training, generator=generator,
        first_epoch=-1, title="selector",
    )  # fmt: skip
    return network.arrays(), network.slope.detach().double().cpu().numpy(), history


def _outputs(parts, training):
    outputs = torch.cat(parts).double().cpu().numpy()
    check_finite(outputs, training)
    return outputs
