"""The end of a process in the midst of training, without a process."""

import os

import torch


def killed(monkeypatch, writes):
    """Let the process end where the state of training would be written once more than so often."""
    replace, left = os.replace, iter(range(writes))

    def some(*paths):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return replace(*paths)

    monkeypatch.setattr(os, "replace", some)


def at_each_step(monkeypatch, action):
    """Call ``action(number)`` where the optimiser makes a step, which torch scales the gradients of."""
    step, numbers = torch.amp.GradScaler.step, iter(range(10**6))

    def told(self, *arguments):
        action(next(numbers))
        return step(self, *arguments)

    monkeypatch.setattr(torch.amp.GradScaler, "step", told)
