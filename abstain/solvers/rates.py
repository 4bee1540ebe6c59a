"""Optimisers, and how large a step is: functions of the knobs and of the number of the step."""

import math

import torch

_RANDOM = ("Dropout", "DropPath", "RReLU")


def optimiser(network, training):
    """Optimiser of a network; parameters may be in groups with a rate of their own, ``network.groups(training)``."""
    groups = network.groups(training) if hasattr(network, "groups") else [{"params": list(network.parameters())}]
    groups = [{"scale": 1.0, **group} for group in groups]
    # one kernel instead of one a parameter, where small networks would wait for launches
    shared = {"lr": training.lr, "weight_decay": training.weight_decay, "fused": next(network.parameters()).is_cuda}
    if training.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True, **shared)
    return torch.optim.AdamW(groups, **shared)


def set_rate(optimiser, training, step, steps):
    """Set the rate of a step: a linear warm-up, then the schedule down to 0."""
    warm = training.warm_up * steps
    if step < warm:
        factor = (step + 1) / (math.ceil(warm) + 1)
    elif training.schedule == "constant":
        factor = 1.0
    else:
        factor = 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))
    for group in optimiser.param_groups:
        group["lr"] = training.lr * group["scale"] * factor


@torch.no_grad()
def average(averaged, network, share):
    """Move an average of weights towards a network; counts and running moments are copied."""
    kept, own = averaged.state_dict(), network.state_dict()
    trained = {name for name, _ in network.named_parameters()}
    for name, value in kept.items():
        if name in trained:
            value.lerp_(own[name], 1.0 - share)
        else:
            value.copy_(own[name])


def has_draws(network):
    """Whether a network draws random numbers in training."""
    return any(type(part).__name__.startswith(_RANDOM) for part in network.modules())
