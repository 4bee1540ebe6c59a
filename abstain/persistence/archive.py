"""The container of a saved estimator: a zip of three parts whose sizes and hashes a manifest names."""

import hashlib
import json
import os
import zipfile
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile

FORMAT = 1
MANIFEST = "manifest.json"
# more than any true file expands to; a bomb expands a thousandfold
_LARGEST_RATIO = 200
_SMALL = 1 << 26
_LARGEST_MANIFEST = 1 << 20


def write(path, manifest, parts):
    """Write parts, and a manifest that names their hashes: to a temporary file, then under its name.

    Parameters
    ----------
    path : Path
        The file.
    manifest : dict
        What else to say.
    parts : dict of str to bytes
        Contents by name.
    """
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}
    manifest = {"format": FORMAT, **manifest, "sha256": hashes}
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr(MANIFEST, json.dumps(manifest, indent=2, allow_nan=False))
                for name, content in parts.items():
                    archive.writestr(name, content)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o666 & ~_umask())
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def read(path, names):
    """Read the manifest and the parts, after a check of everything that can be checked without a look inside.

    Parameters
    ----------
    path : Path
        The file.
    names : tuple of str
        Parts that must be there, and no others.

    Returns
    -------
    manifest : dict
        As written.
    parts : dict of str to bytes
        Contents by name.

    Raises
    ------
    ValueError
        If the file is none of ours, or is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        found = [info.filename for info in archive.infolist()]
        if sorted(found) != sorted([MANIFEST, *names]):
            raise ValueError(f"it holds {found[:5]} where {sorted([MANIFEST, *names])} are expected")
        _refuse_bombs(archive, path.stat().st_size)
        if archive.getinfo(MANIFEST).file_size > _LARGEST_MANIFEST:
            raise ValueError("its manifest is too long")
        manifest = json.loads(archive.read(MANIFEST))
        parts = {name: archive.read(name) for name in names}
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        form = manifest.get("format") if isinstance(manifest, dict) else None
        raise ValueError(f"its format is {form!r}, and this version reads {FORMAT}")
    for name, content in parts.items():
        if hashlib.sha256(content).hexdigest() != manifest["sha256"][name]:
            raise ValueError(f"{name} is not what was written")
    return manifest, parts


def inner(content, name):
    """A member of a part that is a zip of its own."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return archive.read(name)


def check_inner(content):
    """Refuse a part that is a zip of its own, and expands without measure, itself or the zips within it."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        _refuse_bombs(archive, len(content))
        for name in archive.namelist():
            if name.endswith(".npz"):
                check_inner(archive.read(name))


def _refuse_bombs(archive, size):
    total = sum(info.file_size for info in archive.infolist())
    if total > _SMALL + _LARGEST_RATIO * size:
        raise ValueError(f"it expands from {size} to {total} bytes")


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
