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
        self.adapt(batch.rows, level, self.margin(logits, codes), epoch)
        return value

    def margin(self, logits, codes):
        """What moves the level of each sample, (b,)."""
        return self.loss.margin(logits.detach().double().cpu().numpy(), codes.cpu().numpy())

    def adapt(self, rows, level, margin, epoch):
        """Move the levels of some samples by their margins, after the warm-up."""
        self.before = rows, level
        if epoch >= self.loss.warm_up and not np.isnan(self.accuracy):
            self.levels[rows] = self.loss.remember(margin, level, self.accuracy, self.best)

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


class MapObjective(AdaptiveObjective):
    """The mean of a class loss over the pixels that count; where it adapts, each image has a level.

    Parameters
    ----------
    loss : ClassLoss
        Of the logits of a pixel.
    n : int
        Number of images.
    """

    def __call__(self, outputs, batch, epoch):
        """Value over a batch of maps (b, K, H, W) and masks (b, H, W), whose pixels below 0 do not count."""
        logits, (masks,) = outputs[0].movedim(1, 3), batch.targets
        valid = masks >= 0
        if not hasattr(self.loss, "remember"):
            return self.loss.value_and_derivative(logits[valid], masks[valid])[0].mean()
        image = torch.arange(len(masks), device=masks.device)[:, None, None].expand_as(masks)[valid]
        level = self.levels[batch.rows]
        strength = torch.as_tensor(level).to(logits)[image]
        value = self.loss.value_and_derivative(logits[valid], masks[valid], strength)[0].mean()
        of = image.cpu().numpy()
        margin = np.bincount(of, self.margin(logits[valid], masks[valid]), len(masks)) / np.bincount(
            of, minlength=len(masks)
        )
        self.adapt(batch.rows, level, margin, epoch)
        return value
