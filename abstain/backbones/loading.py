"""Batches of preprocessed images, decoded in worker processes, with the failures named."""

import numpy as np
import torch
from PIL.Image import DecompressionBombError
from torch.utils.data import DataLoader, Dataset

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
            image = self.source.load(row)
            return row, image if torch.is_tensor(image) else self.preprocess(image), None
        except UNREADABLE as error:
            return row, None, (row, self.source.name(row), str(error) or type(error).__name__)


class _Collate:
    """Stack what was read; an image that failed is blank."""

    def __init__(self, input_size):
        self.input_size = input_size

    def __call__(self, items):
        failures = [failure for _, _, failure in items if failure is not None]
        shapes = sorted({tuple(image.shape) for _, image, _ in items if image is not None})
        if len(shapes) > 1:
            raise ValueError(f"images as tensors must have one size; got {shapes[:3]}. Resize them, or pass pixels.")
        blank = torch.zeros(shapes[0] if shapes else self.input_size)
        images = torch.stack([blank if image is None else image for _, image, _ in items])
        return np.array([row for row, _, _ in items]), images, failures


def batches(source, rows, preprocess, input_size, batch_size, num_workers):
    """Yield (rows, images, failures), a failure being (row, name, reason); what failed is tried once more, alone."""
    data, collate = _Rows(source, rows, preprocess), _Collate(input_size)
    loader = DataLoader(
        data, batch_size=batch_size, num_workers=num_workers, collate_fn=collate,
        generator=torch.Generator(),  # of its own, so that no draw is taken from the caller's
    )  # fmt: skip
    for start, (picked, images, failures) in zip(range(0, len(rows), batch_size), loader, strict=True):
        lasting = []
        for failure in failures:
            at = int(np.flatnonzero(picked == failure[0])[0])
            _, image, again = data[start + at]
            if again is None and image.shape == images.shape[1:]:
                images[at] = image
            else:
                lasting.append(again or failure)
        yield picked, images, lasting
