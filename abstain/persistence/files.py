"""Save a fitted estimator, and load it elsewhere: a zip of JSON, arrays and weights, and nothing that runs."""

import platform
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from abstain import __version__
from abstain.persistence import archive
from abstain.persistence.names import classes
from abstain.persistence.schema import check_schema
from abstain.persistence.soundness import check_sound, reachable
from abstain.policies import Certificate
from abstain.utils.cargo import cargo
from abstain.utils.optional import import_extra

_MODEL, _WEIGHTS = "model.skops", "weights.safetensors"
_PACKAGES = ("numpy", "scipy", "scikit-learn", "skops")


def save(estimator: Any, path: str | Path, *, trusted: Sequence[str] = ()) -> None:
    """Write a fitted estimator to a file that can be read without running what is in it.

    Parameters
    ----------
    estimator : estimator
        Any of this package, or of scikit-learn around or within them. Weights of networks go with it, wherever they
        came from; indices of neighbours are built anew when it is loaded.
    path : str or Path
        The file. It is written whole, or not at all.
    trusted : list of str, default=()
        Names of classes of your own, such as "mine.Classifier", that the estimator may hold; `load` will ask for them,
        too.

    Raises
    ------
    ImportError
        If skops is absent; the message names the install command.
    TypeError
        If the estimator holds something that could not be loaded safely, such as a function of your own; the message
        names it.

    See Also
    --------
    load : The way back.

    Notes
    -----
    The file is a zip of three parts: ``manifest.json`` (versions, hashes, and what is promised), ``model.skops`` (the
    estimator, by skops) and ``weights.safetensors``. The hashes tell damage, not malice: whoever can write the file can
    write them.

    Examples
    --------
    >>> import tempfile
    >>> import abstain
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = abstain.SelectiveClassifier(cv=2).fit(X[:900], y[:900])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     abstain.save(clf, f"{folder}/digits.abstain")
    ...     again = abstain.load(f"{folder}/digits.abstain")
    >>> bool((again.decide(X[900:]) == clf.decide(X[900:])).all())
    True
    """
    skops = import_extra("skops.io", "io")
    weights: dict = {}
    with cargo(weights):
        try:
            model = skops.dumps(estimator, compression=zipfile.ZIP_DEFLATED)
        except Exception as error:  # of whatever the estimator holds
            held = {_name(type(part)) for part in reachable(estimator)} - classes()
            strange = sorted(name for name in held if not name.startswith(("builtins.", "numpy.")))
            raise TypeError(f"estimator cannot be saved: {_why(strange, error)}") from error
    try:
        check_schema(archive.inner(model, "schema.json"), trusted)
    except ValueError as error:
        raise TypeError(
            f"estimator cannot be saved: it holds {error}, which `load` would not read. Leave it out; a class of your "
            "own is named in trusted=, here and in `load`."
        ) from error
    manifest = {
        "class": _name(type(estimator)),
        "versions": {
            "python": platform.python_version(),
            "abstain": __version__,
            **{name: version(name) for name in _PACKAGES},
        },
        "certificate": _certificate(estimator),
    }
    archive.write(Path(path), manifest, {_MODEL: model, _WEIGHTS: _packed(weights)})


def load(path: str | Path, *, trusted: Sequence[str] = ()) -> Any:
    """Read an estimator from a file that `save` has written.

    Parameters
    ----------
    path : str or Path
        The file. Nothing in it is run: classes are those that this package knows by name, and all else is numbers,
        whose indices are checked.
    trusted : list of str, default=()
        Names of classes of your own that may be in it. Name what you know to be there, not what the file asks for.

    Returns
    -------
    estimator : estimator
        Fitted.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If skops is absent; the message names the install command.
    ValueError
        If the file is none of ours, is damaged, or holds what is not known.

    See Also
    --------
    save : The way there.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: there is no file {str(path)!r}.")
    skops = import_extra("skops.io", "io")
    try:
        manifest, parts = archive.read(path, (_MODEL, _WEIGHTS))
        names = _known_names(parts[_MODEL], trusted)
        with cargo(_unpacked(parts[_WEIGHTS])):
            estimator = skops.loads(parts[_MODEL], trusted=names)
        check_sound(estimator)
        if _name(type(estimator)) != manifest["class"]:
            raise ValueError(f"it holds a {_name(type(estimator))} where its manifest says {manifest['class']}")
    except (Exception, MemoryError) as error:  # a hostile file may raise anything
        raise ValueError(
            f"path: {str(path)!r} cannot be loaded: {str(error) or type(error).__name__}. Save the estimator again; "
            "and where it holds classes of your own, name them in trusted=."
        ) from error
    return estimator


def _known_names(model, trusted):
    archive.check_inner(model)
    try:
        return check_schema(archive.inner(model, "schema.json"), trusted)
    except ValueError as error:
        raise ValueError(f"it holds {error}, which this package does not know") from error


def _packed(weights):
    save_bytes = import_extra("safetensors.numpy", "io").save
    return save_bytes(
        {f"{key}/{name}": np.ascontiguousarray(x) for key, part in weights.items() for name, x in part.items()}
    )


def _unpacked(content):
    flat = import_extra("safetensors.numpy", "io").load(content)
    weights: dict = {}
    for name, value in flat.items():
        key, name = name.split("/", 1)
        weights.setdefault(key, {})[name] = value
    return weights


def _certificate(estimator):
    """What is promised, as plain values; None where nothing is."""
    policy: Any = getattr(estimator, "policy_", None)
    certificate = getattr(policy, "certificate_", None)
    if not isinstance(certificate, Certificate):
        return None
    return {"threshold": _plain(policy.threshold_)} | _plain(asdict(certificate))


def _plain(value):
    """As JSON has it: numbers that are none become None."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def _why(strange, error):
    """What an estimator holds that no file can, and what to do."""
    modules = [name for name in strange if name.startswith("torch.nn.")]
    if modules:
        return (
            f"it holds a torch module ({', '.join(modules[:3])}), whose code no file can hold. Keep its weights as "
            "torch does, and save what stands on its outputs: abstain.saved_outputs(classes) in its place."
        )
    return (
        f"{error}. It holds {', '.join(strange[:5])}; functions, open files and objects of compiled code have no place "
        "in a file. Leave them out, or use a class."
    )
