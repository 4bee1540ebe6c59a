"""Batches of preprocessed images, decoded in worker processes, with the failures named."""

import numpy as np
import torch
from PIL.Image import DecompressionBombError
from torch.utils.data import DataLoader, Dataset


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
        except (OSError, ValueError, SyntaxError, DecompressionBombError) as error:  # what PIL raises
            return row, None, (row, self.source.name(row), str(error) or type(error).__name__)


class _Collate:
    """Stack what was read; an image that failed is blank."""

    def __init__(self, input_size):
        self.input_size = input_size

    def __call__(self, items):
        failures = [failure for _, _, failure in items if failure is not None]
        shapes = [image.shape for _, image, _ in items if image is not None]
        blank = torch.zeros(shapes[0] if shapes else self.input_size)
        images = torch.stack([blank if image is None else image for _, image, _ in items])
        return np.array([row for row, _, _ in items]), images, failures


def batches(source, rows, preprocess, input_size, batch_size, num_workers):
    """Return an iterator over (rows, images, failures), a failure being (row, name, reason)."""
    return DataLoader(
        _Rows(source, rows, preprocess), batch_size=batch_size, num_workers=num_workers,
        collate_fn=_Collate(input_size),
    )  # fmt: skip
