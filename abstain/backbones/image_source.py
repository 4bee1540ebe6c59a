"""Batches of images for training, decoded and augmented in workers; draws follow from seed, epoch and sample."""

import random
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from abstain.backbones.loading import UNREADABLE
from abstain.solvers.draws import seed_of
from abstain.solvers.sources import Batch, tensor


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
    targets : tuple of ndarray
        What the loss takes besides: integers stay integers, all else becomes float32.
    others : tuple of ndarray or None
        What the network takes besides.
    device : torch.device
        Where the tensors go.
    num_workers : int
        Processes that decode; their number changes nothing else.
    seed : int
        Seed of all draws.
    """

    def __init__(self, images, preprocess, augment, targets, others, device, num_workers, seed):
        self.images, self.preprocess, self.augment = images, preprocess, augment
        self.targets, self.others, self.device = targets, others, device
        self.num_workers, self.seed = num_workers, seed

    def batches(self, parts, epoch=None):
        """Yield a `Batch` for each of some arrays of rows; without an epoch nothing is drawn at random."""
        data = _Drawn(self.images, self.preprocess if epoch is None or self.augment is None else self.augment,
                      self.seed, epoch)  # fmt: skip
        loader = DataLoader(
            data, batch_sampler=[part.tolist() for part in parts], num_workers=self.num_workers,
            pin_memory=self.device.type == "cuda", generator=torch.Generator(),
        )  # fmt: skip
        for rows, pixels in zip(parts, loader, strict=True):
            others = [None if array is None else tensor(array[rows], self.device) for array in self.others]
            pixels = pixels.to(self.device, memory_format=torch.channels_last, non_blocking=True)
            yield Batch(rows, (pixels, *others), self.targets_of(rows))

    def targets_of(self, rows):
        """What the loss takes besides outputs, for some rows."""
        return tuple(tensor(array[rows], self.device) for array in self.targets)


class _Drawn(Dataset):
    """Images, each transformed with draws of its own."""

    def __init__(self, images, transform, seed, epoch):
        self.images, self.transform, self.seed, self.epoch = images, transform, seed, epoch

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        try:
            image = self.images.load(row)
        except UNREADABLE as error:
            reason = str(error) or type(error).__name__
            name = self.images.name(row)
            raise ValueError(f"images: {name} cannot be read ({reason}); repair it, or leave it out.") from error
        if torch.is_tensor(image):
            return image
        with _drawing(seed_of(self.seed, -1 % 2**32 if self.epoch is None else self.epoch, row)):
            return self.transform(image)


@contextmanager
def _drawing(seed):
    """Seed the three generators that augmentations draw from, and leave them as they were."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002  that is what augmentations use
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
