"""One rule for each kind of pixel: eight-bit colours as a viewer shows them, or an error that says what to do."""

import struct

import numpy as np
from PIL import Image, ImageOps

# in files of these formats mode "I" holds 16 bits
_DEEP_FILES = ("PNG", "PPM")
_ORIENTATION = 0x0112


def to_rgb(image):
    """Eight-bit colours of a PIL image, upright, on a white page.

    Sixteen-bit levels lose their low byte, as Pillow does with 16-bit colours; clipping would make them white.

    Parameters
    ----------
    image : PIL image
        Of any mode.

    Returns
    -------
    image : PIL image
        Of mode "RGB".

    Raises
    ------
    ValueError
        If nothing says what the range of its pixels is.
    """
    form, image = image.format, _upright(image)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; convert the image to 8 or 16 bits")
    if image.mode.startswith("I"):
        image = Image.fromarray(_bytes(np.asarray(image), deep=image.mode != "I" or form in _DEEP_FILES))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def from_array(array):
    """Colours of one image as an array.

    Parameters
    ----------
    array : ndarray of shape (H, W) or (H, W, 1 to 4)
        Grey, grey and alpha, RGB or RGBA; booleans, bytes or 16-bit numbers.

    Returns
    -------
    image : PIL image
        Of mode "RGB".

    Raises
    ------
    ValueError
        If dtype or shape are others.
    """
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    channels = array.shape[2:] or (1,)
    if array.dtype.kind not in "iu" or array.ndim not in (2, 3) or channels[0] not in range(1, 5) or not array.size:
        raise ValueError(
            "an image as an array must be uint8 or uint16 of shape (H, W) or (H, W, 1 to 4); got "
            f"{array.dtype} of shape {array.shape}. Scale to 0..255 and put the channels last."
        )
    array = _bytes(array)
    array = array[..., 0] if channels[0] == 1 and array.ndim == 3 else array
    return to_rgb(Image.fromarray(np.ascontiguousarray(array)))


def _upright(image):
    """Turn an image as its EXIF orientation says; one that cannot be read is none."""
    try:
        turned = image.getexif().get(_ORIENTATION, 1) in range(2, 9)
        return ImageOps.exif_transpose(image) if turned else image
    except (SyntaxError, struct.error, TypeError, KeyError, IndexError, ValueError, OverflowError):
        return image


def _bytes(levels, *, deep=False):
    """Integers as bytes: 16 bits lose the low one, wider types must hold 0..255."""
    if deep or (levels.dtype.kind == "u" and levels.dtype.itemsize == 2):
        return (levels.astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8)
    if levels.size and (levels.min() < 0 or levels.max() > 255):
        raise ValueError(
            f"{levels.dtype} pixels from {levels.min()} to {levels.max()} have no known range; convert them to uint8 "
            "(0..255) or uint16 (0..65535)"
        )
    return levels.astype(np.uint8)
