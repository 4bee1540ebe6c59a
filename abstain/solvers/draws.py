"""All that is random in training, as a function of the seed and of the place in it: nothing is to be remembered."""

from contextlib import contextmanager

import numpy as np
import torch


def order_of(rows, seed, epoch):
    """Rows in the order of an epoch."""
    return rows[np.random.RandomState([seed, epoch]).permutation(len(rows))]


def seed_of(*place):
    """A seed of 63 bits for a place in training, such as (seed, epoch, sample)."""
    return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def drawing(wanted, *place):
    """Draw by a seed of this place, as dropout does from torch's global state, and leave that state as it was."""
    if not wanted:
        yield
        return
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed_of(*place))
        yield


def split(rows, fraction, seed):
    """Hold a share of rows back: (to learn from, held back)."""
    shuffled = rows[np.random.RandomState(seed).permutation(len(rows))]
    n_held = int(fraction * len(rows))
    return shuffled[n_held:], shuffled[:n_held]
