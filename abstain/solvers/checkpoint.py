"""Where the state of training is kept: one file, written whole or not at all, and read without running code."""

import os
import time
from pathlib import Path

import torch

_FORMAT = 1


class Checkpoint:
    """A file with the state of training.

    Parameters
    ----------
    path : str or Path
        The file; until it is complete it is ``<path>.part``.
    identity : dict of str to str
        What the state belongs to: data, network, settings, version. Another one is refused by name.
    every : float, default=300.0
        Seconds between two states inside an epoch; the end of an epoch is always kept. 0 keeps every step.
    """

    def __init__(self, path, identity, every=300.0):
        self.path, self.identity, self.every = Path(path), identity, every
        self.last = time.monotonic()

    def due(self, inside):
        """Whether it is time to keep the state, inside an epoch or at its end."""
        return not inside or time.monotonic() - self.last >= self.every

    def save(self, content):
        """Write the state: to a temporary file, then under its name."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f"{self.path.name}.part")
        with part.open("wb") as file:
            _write({"format": _FORMAT, "identity": self.identity, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.path)
        self.last = time.monotonic()

    def load(self):
        """Read the state, or None where there is none.

        Raises
        ------
        ValueError
            If the file is no checkpoint, or belongs to other data, another network or other settings.
        """
        if not self.path.exists():
            return None
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            form, identity = content["format"], content["identity"]
        except Exception as error:
            raise ValueError(
                f"checkpoint {str(self.path)!r} cannot be read ({type(error).__name__}): it is none, or damaged. "
                "Remove it to start anew."
            ) from error
        other = [name for name, value in self.identity.items() if identity.get(name) != value]
        if form != _FORMAT or other:
            raise ValueError(
                f"checkpoint {str(self.path)!r} belongs to another training: {', '.join(other) or 'format'} differs. "
                "Remove it to start anew, or pass another path."
            )
        return content


def _write(content, file):
    """Write to an open file, or raise what stopped that: a full disk, or a worker that died meanwhile."""
    try:
        torch.save(content, file)
    except RuntimeError as error:
        if error.__context__ is None:
            raise
        raise error.__context__ from None  # torch fails to close what was cut off, and speaks of that instead
