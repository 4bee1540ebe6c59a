"""Imports that may be missing, with the command that mends it."""

import importlib
from types import ModuleType


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
        raise ImportError(
            f"this needs the package {name.split('.')[0]!r}, which could not be imported ({error}). "
            f"Install it with: pip install 'abstain[{extra}]'"
        ) from error
