"""Images from wherever they are: a folder, paths, arrays, PIL images, a torch data set."""

import pickle
import uuid
from pathlib import Path

import joblib
import numpy as np

from abstain.utils.optional import import_extra

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")


def image_folder(root):
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
    source : str, Path, list of str or Path, ndarray, list of PIL images, or torch Dataset
        A string or path is a folder of sub-folders. An array is uint8 of shape (n, H, W, 3). Items of a data set
        may be (image, label) pairs; the label is ignored.
    """

    def __init__(self, source):
        if isinstance(source, str | Path):
            source = image_folder(source)[0]
        if hasattr(source, "iloc"):  # a pandas Series is indexed by label, images are by position
            source = source.to_numpy()
        if isinstance(source, np.ndarray) and not _is_paths(source):
            _check_array(source)
        if not (hasattr(source, "__len__") and hasattr(source, "__getitem__")):
            raise TypeError(
                "images must be a folder, a list of files, a uint8 array (n, H, W, 3), a list of PIL images or a "
                f"data set with a length; got {type(source).__name__}."
            )
        if len(source) == 0:
            raise ValueError("images is empty: nothing to extract.")
        self.source = source

    def __len__(self):
        return len(self.source)

    def name(self, i):
        """Path of an image, or its position."""
        paths = isinstance(self.source, list | tuple) or _is_paths(self.source)
        return str(self.source[i]) if paths and isinstance(self.source[i], str | Path) else f"image {i}"

    def load(self, i):
        """Return a PIL image in RGB, or a tensor as the data set gives it."""
        item = self.source[i]
        if isinstance(item, tuple | list):
            item = item[0]
        image = import_extra("PIL.Image", "vision")
        if isinstance(item, str | Path):
            with image.open(item) as opened:
                return _rgb(opened, image)
        if isinstance(item, np.ndarray):
            return image.fromarray(item).convert("RGB")
        return _rgb(item, image) if hasattr(item, "convert") else item

    def key(self, *, contents=True):
        """What identifies the data: files by path (and, for ``contents``, by size and time), all else by content."""
        paths = self._paths()
        if paths is None:
            try:
                return joblib.hash(self.source)
            except (TypeError, AttributeError, pickle.PicklingError):  # what cannot be identified is never the same
                return uuid.uuid4().hex
        stats = [Path(path).stat() if contents and Path(path).exists() else None for path in paths]
        return joblib.hash([paths, [stat and (stat.st_size, stat.st_mtime_ns) for stat in stats]])

    def changed_since(self, time):
        """Which files were written after a time (seconds since the epoch); never, for images in memory."""
        paths = self._paths()
        if paths is None:
            return np.zeros(len(self), dtype=bool)
        return np.array([Path(path).exists() and Path(path).stat().st_ctime > time for path in paths])

    def _paths(self):
        """All files as strings, or None where the images are something else."""
        if not (isinstance(self.source, list | tuple) or _is_paths(self.source)):
            return None
        files = all(isinstance(item, str | Path) for item in self.source)
        return [str(item) for item in self.source] if files else None


def _rgb(image, pillow):
    """Eight-bit colours; sixteen-bit grey levels are scaled, which PIL would clip to white."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; convert the image to 8 or 16 bits")
    if image.mode.startswith("I"):
        image = pillow.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def _is_paths(source):
    return isinstance(source, np.ndarray) and source.dtype.kind in "OUS"


def _check_array(array):
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3:
        raise ValueError(
            f"images as an array must be uint8 of shape (n, H, W, 3); got {array.dtype} of shape {array.shape}. "
            "Scale to 0..255 and put the channels last."
        )
