"""Batches of images for training, decoded and augmented in workers; draws follow from seed, epoch and sample."""

import random
from contextlib import contextmanager
from typing import Any

import joblib
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from abstain.backbones import networks
from abstain.backbones.loading import UNREADABLE, as_tensor, failure, stacked
from abstain.solvers.draws import seed_of
from abstain.solvers.sources import Batch, some_of, tensor


class ImageSource:
    """Images, and arrays that go with them, as tensors on a device.

    Parameters
    ----------
    images : Images
        All of them.
    preprocess : callable
        PIL image -> tensor, without draws.
    augment : callable or None
        The same in training; None does without.
    config : dict
        How bytes are normalised, on the device.
    targets : tuple of ndarray
        What the loss takes besides: integers stay integers, all else becomes float32.
    others : tuple of ndarray or None
        What the network takes besides.
    device : torch.device
        Where the tensors go.
    num_workers : int
        Processes that decode; their number changes nothing else. They stay from epoch to epoch.
    seed : int
        Seed of all draws.
    """

    def __init__(self, images, preprocess, augment, config, targets, others, device, num_workers, seed):
        self.images, self.targets, self.others, self.device, self.config = images, targets, others, device, config
        self._wanted = _Wanted()
        self._loader = DataLoader(
            _Drawn(images, preprocess, augment, seed), batch_sampler=self._wanted, num_workers=num_workers,
            collate_fn=_Collate(config), pin_memory=device.type == "cuda", generator=torch.Generator(),
            persistent_workers=num_workers > 0,
        )  # fmt: skip

    def batches(self, parts, epoch=None):
        """Yield a `Batch` for each of some arrays of rows; without an epoch nothing is drawn at random."""
        self._wanted.batches = [[(epoch, row) for row in part.tolist()] for part in parts]
        for rows, (pixels, failed) in zip(parts, self._loader, strict=True):
            if failed:
                _, name, reason = failed[0]
                raise ValueError(f"images: {name} cannot be read ({reason}); repair it, or leave it out.")
            others = [None if array is None else tensor(array[rows], self.device) for array in self.others]
            pixels = pixels.to(self.device, memory_format=torch.channels_last, non_blocking=True)
            yield Batch(rows, (networks.normalised(pixels, self.config), *others), self.targets_of(rows))

    def sample(self):
        """A hash of some of the images, where they do not draw, and of what goes with them."""
        return joblib.hash([self.images.sample(some_of(len(self.images), 100)), self.others])

    def targets_of(self, rows):
        """What the loss takes besides outputs, for some rows."""
        return tuple(tensor(array[rows], self.device) for array in self.targets)


class _Wanted:
    """The batches of (epoch, row) that are asked for next."""

    def __init__(self):
        self.batches = []

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


class _Drawn(Dataset):
    """Images, each transformed with draws of its own."""

    def __init__(self, images, preprocess, augment, seed):
        self.images, self.preprocess, self.augment, self.seed = images, preprocess, augment, seed

    def __len__(self):
        return len(self.images)

    def __getitem__(self, place):
        epoch, row = place
        augmented = epoch is not None and self.augment is not None
        try:
            if not (augmented or self.images.may_draw):
                return as_tensor(self.images.load(row), self.preprocess), None
            with _drawing(seed_of(self.seed, -1 % 2**32 if epoch is None else epoch, row)):
                return as_tensor(self.images.load(row), self.augment if augmented else self.preprocess), None
        except UNREADABLE as error:
            return None, failure(self.images, row, error)


class _Collate:
    """Stack images, or hand on what could not be read; an error that is raised in a worker comes late and wrapped."""

    def __init__(self, config):
        self.config = config

    def __call__(self, items):
        failed = [failure for _, failure in items if failure is not None]
        return (None, failed) if failed else (stacked([image for image, _ in items], self.config), failed)


@contextmanager
def _drawing(seed):
    """Seed the three generators that augmentations draw from, and leave them as they were."""
    # each image costs this, so that the generators are swapped where they would be copied
    draws: Any = np.random  # its types do not name these functions, its documentation does
    before = random.getstate(), draws.get_bit_generator(), torch.default_generator.get_state()
    draws.set_bit_generator(np.random.MT19937(0))
    random.seed(seed)
    draws.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        draws.set_bit_generator(before[1])
        torch.default_generator.set_state(before[2])
