"""Batches of preprocessed images, decoded in worker processes, with the failures named."""

import numpy as np
import torch
from PIL.Image import DecompressionBombError
from torch.utils.data import DataLoader, Dataset, default_collate

from abstain.backbones import networks

# what decoders raise on a file that is none
UNREADABLE = (OSError, ValueError, SyntaxError, TypeError, DecompressionBombError)


class _Rows(Dataset):
    def __init__(self, source, rows, preprocess):
        self.source, self.rows, self.preprocess = source, rows, preprocess

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        row = int(self.rows[i])
        try:
            return row, as_tensor(self.source.load(row), self.preprocess), None
        except UNREADABLE as error:
            return row, None, failure(self.source, row, error)


def as_tensor(image, transform):
    """An image as a tensor: transformed, or, where it came as one, as it is."""
    if torch.is_tensor(image):
        return image
    found = transform(image)
    return torch.from_numpy(found) if isinstance(found, np.ndarray) else found


def failure(source, row, error):
    """What is said of an image that cannot be read: (row, name, reason)."""
    return row, source.name(row), str(error) or type(error).__name__


def stacked(images, config):
    """One tensor of some images, bytes where all of them are bytes."""
    shapes = sorted({tuple(image.shape) for image in images})
    if len(shapes) > 1:
        raise ValueError(f"images as tensors must have one size; got {shapes[:3]}. Resize them, or pass pixels.")
    if len({image.dtype for image in images}) > 1:
        images = [networks.normalised(image[None], config)[0] for image in images]
    return default_collate(images)  # in a worker, straight into shared memory


class _Collate:
    """Stack what was read; an image that failed is blank."""

    def __init__(self, config):
        self.config = config

    def __call__(self, items):
        failures = [failed for _, _, failed in items if failed is not None]
        read = [image for _, image, _ in items if image is not None]
        blank = torch.zeros_like(read[0]) if read else torch.zeros(self.config["input_size"], dtype=torch.uint8)
        images = stacked([blank if image is None else image for _, image, _ in items], self.config)
        return np.array([row for row, _, _ in items]), images, failures


def batches(source, rows, preprocess, config, batch_size, num_workers, pin=False):
    """Yield (rows, images, failures), a failure being (row, name, reason); what failed is tried once more, alone."""
    data = _Rows(source, rows, preprocess)
    loader = DataLoader(
        data, batch_size=batch_size, num_workers=num_workers, collate_fn=_Collate(config), pin_memory=pin,
        generator=torch.Generator(),  # of its own, so that no draw is taken from the caller's
    )  # fmt: skip
    for start, (picked, images, failures) in zip(range(0, len(rows), batch_size), loader, strict=True):
        lasting = []
        for failed in failures:
            at = int(np.flatnonzero(picked == failed[0])[0])
            _, image, again = data[start + at]
            if again is None and image.shape == images.shape[1:] and image.dtype == images.dtype:
                images[at] = image
            else:
                lasting.append(again or failed)
        yield picked, images, lasting
