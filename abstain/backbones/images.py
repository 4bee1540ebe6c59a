"""Images from wherever they are: a folder, paths, arrays, PIL images, a torch data set."""

import hashlib
import os
import pickle
import uuid
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from abstain.utils.optional import import_extra

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")


def image_folder(root: str | Path) -> tuple[list[Path], np.ndarray]:
    """List a folder that holds one sub-folder of images a class.

    Parameters
    ----------
    root : str or Path
        The folder.

    Returns
    -------
    paths : list of Path
        Image files, by class, then by name.
    labels : ndarray of shape (n_images,)
        Name of the sub-folder of each.

    Raises
    ------
    ValueError
        If there are no images in sub-folders.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"images: {str(root)!r} is not a folder. Pass a folder of sub-folders, or a list of files.")
    paths = [
        path for folder in sorted(root.iterdir()) if folder.is_dir()
        for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES
    ]  # fmt: skip
    if not paths:
        raise ValueError(f"images: {str(root)!r} holds no sub-folders with images ({', '.join(SUFFIXES)}).")
    return paths, np.array([path.relative_to(root).parts[0] for path in paths])


class Images:
    """Random access to images of any source, each with a name for reports.

    Parameters
    ----------
    source : str, Path, list of str or Path, ndarray, list of PIL images, torch Dataset or Images
        A string or path is a folder of sub-folders. An array is of shape (n, H, W) or (n, H, W, 1 to 4), in bytes or
        16 bits; a float tensor of shape (n, C, H, W) is preprocessed already. Items of a data set may be (image, label)
        pairs; the label is ignored.
    """

    source: Any

    def __init__(self, source):
        if isinstance(source, Images):
            source = source.source
        if isinstance(source, str | Path):
            source = image_folder(source)[0]
        if hasattr(source, "iloc"):  # pandas is indexed by label, images are by position
            source = _column(source)
        if isinstance(source, np.ndarray) and not _is_paths(source):
            _check_array(source)
        if not (hasattr(source, "__len__") and hasattr(source, "__getitem__")) or isinstance(source, dict | bytes):
            raise TypeError(
                "images must be a folder, a list of files, a uint8 array (n, H, W, 3), a list of PIL images or a "
                f"data set with a length; got {type(source).__name__}."
            )
        if len(source) == 0:
            raise ValueError("images is empty: nothing to extract.")
        self.source = source

    def __len__(self):
        return len(self.source)

    def __getitem__(self, rows):
        """Some of the images, by their numbers (m,), in that order."""
        if isinstance(self.source, np.ndarray):
            return Images(self.source[rows])
        if isinstance(self.source, list | tuple):
            return Images([self.source[row] for row in rows])
        return Images(_Some(self.source, np.asarray(rows)))

    @property
    def may_draw(self):
        """Whether an image may be another each time it is loaded: data sets have transforms of their own."""
        return not isinstance(self.source, list | tuple | np.ndarray)

    def name(self, i):
        """Path of an image, or its position."""
        paths = isinstance(self.source, list | tuple) or _is_paths(self.source)
        return str(self.source[i]) if paths and isinstance(self.source[i], str | Path) else f"image {i}"

    def load(self, i):
        """Return a PIL image in RGB, or a float tensor (C, H, W) as the data set gives it."""
        from abstain.backbones.pixels import from_array, to_rgb

        item = self.source[i]
        if isinstance(item, tuple | list) and len(item):
            item = item[0]
        if isinstance(item, str | Path):
            with import_extra("PIL.Image", "vision").open(item) as opened:
                return to_rgb(opened)
        if isinstance(item, np.ndarray):
            return from_array(item)
        if hasattr(item, "detach"):
            return _tensor(item)
        if hasattr(item, "convert"):
            return to_rgb(item)
        raise ValueError(
            f"images must be paths, PIL images, arrays or tensors; item {i} is of type {type(item).__name__}."
        )

    def key(self):
        """What identifies the data: files by path, see `states`; all else by content."""
        paths = self._paths()
        if paths is not None:
            return joblib.hash(paths)
        try:
            return joblib.hash([joblib.hash(self.source), _states(_files_within(self.source))])
        except (TypeError, AttributeError, pickle.PicklingError):  # what cannot be identified is never the same
            return uuid.uuid4().hex

    def states(self):
        """State of the file of each image, or None where they are no files."""
        paths = self._paths()
        return None if paths is None else _states(paths)

    def contents(self):
        """What is in the files, as one hash, or None where images are no files: one that is restored is the same."""
        paths = self._paths()
        if paths is None:
            return None
        found = hashlib.blake2b()
        for path in paths:
            with Path(path).open("rb") as file:
                found.update(hashlib.file_digest(file, "blake2b").digest())
        return found.hexdigest()

    def sample(self, rows):
        """A hash of some images as they are stored; of a data set, which may draw, of its length alone."""
        if self.may_draw:
            return joblib.hash(len(self))
        return joblib.hash([_stored(self.source[i]) for i in rows])

    def changed_since(self, time):
        """Which images may have changed after a time (seconds since the epoch), (n,) of bool."""
        paths = self._paths()
        if paths is None:
            files = [path for path in map(Path, _files_within(self.source)) if path.exists()]
            return np.full(len(self), any(path.stat().st_ctime > time for path in files))
        return np.array([Path(path).exists() and Path(path).stat().st_ctime > time for path in paths])

    def _paths(self):
        """All files as strings, or None where the images are something else."""
        if not (isinstance(self.source, list | tuple) or _is_paths(self.source)):
            return None
        files = all(isinstance(item, str | Path) for item in self.source)
        return [str(item) for item in self.source] if files else None


class _Some:
    """Some items of a data set."""

    def __init__(self, data, rows):
        self.data, self.rows = data, rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.data[int(self.rows[i])]


def _column(frame):
    if frame.ndim == 2 and frame.shape[1] != 1:
        raise ValueError(f"images as a frame must be one column of paths; got {frame.shape[1]} columns. Pick one.")
    return (frame if frame.ndim == 1 else frame.iloc[:, 0]).to_numpy()


def _stored(item):
    """An image as it is stored; None for one that cannot be read, which whoever wants its pixels will name."""
    try:
        return Path(item).read_bytes() if isinstance(item, str | Path) else np.asarray(item)
    except (OSError, ValueError):
        return None


def _states(paths):
    """Size and times of files; the time of the last change of a file cannot be set back."""
    found = [Path(path).stat() if Path(path).exists() else None for path in paths]
    return [stat and [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for stat in found]


def _files_within(data, depth=3):
    """Names of files that a data set holds in its attributes, as those of torchvision do."""
    if isinstance(data, str | Path):
        return [str(data)] if len(str(data)) < 4096 and os.path.isfile(data) else []
    if isinstance(data, dict):
        data = list(data.values())
    elif not isinstance(data, list | tuple):
        data = list(vars(data).values()) if hasattr(data, "__dict__") else []
    return [path for part in data for path in _files_within(part, depth - 1)] if depth else []


def _tensor(item):
    if not item.dtype.is_floating_point or item.ndim != 3 or 0 in item.shape or item.shape[0] > 4:
        raise ValueError(
            "an image as a tensor must be preprocessed already: floats of shape (C, H, W); got "
            f"{item.dtype} of shape {tuple(item.shape)}. Pass pixels as a NumPy array, channels last."
        )
    return item.float()


def _is_paths(source):
    return isinstance(source, np.ndarray) and source.dtype.kind in "OUS"


def _check_array(array):
    sixteen = array.dtype.kind == "u" and array.dtype.itemsize == 2
    # what has four rows or fewer has its channels first
    shaped = array.ndim == 3 or (array.ndim == 4 and array.shape[-1] in range(1, 5) and array.shape[1] > 4)
    if not (array.dtype in (np.uint8, bool) or sixteen) or not shaped:
        raise ValueError(
            f"images as an array must be uint8 of shape (n, H, W, 3); got {array.dtype} of shape {array.shape}. "
            "Scale to 0..255 and put the channels last."
        )
