"""What a trained backbone minimises, over a batch, for losses of logits; and what is remembered of each sample."""

import numpy as np
import torch


class ClassObjective:
    """Mean of a class loss.

    Parameters
    ----------
    loss : ClassLoss
        Of the logits.
    """

    def __init__(self, loss):
        self.loss = loss

    def __call__(self, outputs, batch, epoch):
        """Value over a batch: a scalar."""
        return self.loss.value_and_derivative(outputs[0], *batch.targets)[0].mean()


class AdaptiveObjective(ClassObjective):
    """The mean of a loss that adapts how much of it each sample gets, by what held-out samples say.

    Parameters
    ----------
    loss : AdaptivePerturbationLoss
        With ``remember`` and ``warm_up``.
    n : int
        Number of samples.

    Attributes
    ----------
    levels : ndarray of shape (n,)
        What is remembered of each sample.
    """

    def __init__(self, loss, n):
        super().__init__(loss)
        self.levels, self.accuracy, self.best = np.zeros(n), np.nan, -np.inf
        self.before = None  # rows of the last batch, and their levels before it

    def __call__(self, outputs, batch, epoch):
        """Value over a batch: a scalar; levels move afterwards."""
        logits, (codes,) = outputs[0], batch.targets
        level = self.levels[batch.rows]
        value = self.loss.value_and_derivative(logits, codes, torch.as_tensor(level).to(logits))[0].mean()
        self.before = batch.rows, level
        if epoch >= self.loss.warm_up and not np.isnan(self.accuracy):
            said, true = logits.detach().double().cpu().numpy(), codes.cpu().numpy()
            self.levels[batch.rows] = self.loss.remember(said, true, level, self.accuracy, self.best)
        return value

    def see(self, judged):
        """Take the accuracy on held-out samples."""
        self.accuracy = judged["accuracy"]
        self.best = max(self.best, self.accuracy)

    def forget(self):
        """Remember what was remembered before the last batch."""
        if self.before is not None:
            rows, level = self.before
            self.levels[rows] = level
            self.before = None

    def state_dict(self):
        """Return what is remembered."""
        return {"levels": torch.from_numpy(self.levels), "accuracy": self.accuracy, "best": self.best}

    def load_state_dict(self, state):
        """Remember what was remembered."""
        self.levels[:] = state["levels"].numpy()
        self.accuracy, self.best = state["accuracy"], state["best"]
