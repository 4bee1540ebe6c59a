"""Imports that may be missing, with the command that mends it."""

import importlib
from types import ModuleType

# what each extra of pyproject.toml brings; its own names, since no index need know this package by this one
EXTRAS = {
    "plot": ("matplotlib>=3.8",),
    "torch": ("torch>=2.2",),
    "vision": ("torch>=2.2", "torchvision>=0.17", "timm>=1.0"),
    "faiss": ("faiss-cpu>=1.8",),
    "io": ("skops>=0.16", "safetensors>=0.4"),
    "export": ("torch>=2.6", "onnx>=1.17", "onnxscript>=0.2"),
}


def import_extra(name: str, extra: str) -> ModuleType:
    """Import an optional package.

    Parameters
    ----------
    name : str
        Module to import, for example ``"torch"``.
    extra : str
        The extra of this package that brings it, for example ``"vision"``.

    Returns
    -------
    module : module
        The imported module.

    Raises
    ------
    ImportError
        If the package is absent or broken; the message names the install command.

    Examples
    --------
    >>> from abstain.utils.optional import import_extra
    >>> import_extra("math", extra="torch").sqrt(4)
    2.0
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        wanted = " ".join(f"'{requirement}'" for requirement in EXTRAS[extra])
        raise ImportError(
            f"this needs the package {name.split('.')[0]!r}, which could not be imported ({error}). "
            f"Install it with: pip install {wanted}"
        ) from error
