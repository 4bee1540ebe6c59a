"""Files of a decision: ONNX, and a program of torch. They are written here, and read by others."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from numpy.typing import ArrayLike

from abstain.export.build import to_torch
from abstain.utils.optional import import_extra


def export_onnx(estimator: Any, path: str | Path, *, example: ArrayLike) -> None:
    """Write the decision of a fitted selective classifier as ONNX.

    Parameters
    ----------
    estimator : estimator
        As of `to_torch`.
    path : str or Path
        The file; it is written whole, or not at all.
    example : array-like of shape (n, d) or (n, 3, H, W)
        Two samples or more, as the module takes them; only their shape and dtype count. Any number of samples can be
        decided at once later.

    Raises
    ------
    ImportError
        If torch, onnx or onnxscript is absent.
    TypeError
        If a part of the estimator has no form in torch.

    See Also
    --------
    to_torch : The module itself; outputs are in its order, ``label, proba, score, accept``.
    """
    import_extra("onnx", "export")
    import_extra("onnxscript", "export")
    torch = import_extra("torch", "export")
    module, tensor = to_torch(estimator), _example(torch, example)
    names = ["label", "proba", "score", "accept"]
    program = torch.onnx.export(
        module, (tensor,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("n", min=1)},), input_names=["x"],
        output_names=names, verbose=False,
    )  # fmt: skip
    _write(path, program.save)


def export_pt2(estimator: Any, path: str | Path, *, example: ArrayLike) -> None:
    """Write the decision of a fitted selective classifier as a program of torch (``.pt2``).

    Parameters
    ----------
    estimator : estimator
        As of `to_torch`.
    path : str or Path
        The file; it is written whole, or not at all.
    example : array-like of shape (n, d) or (n, 3, H, W)
        As of `export_onnx`.

    Raises
    ------
    ImportError
        If torch is absent.
    TypeError
        If a part of the estimator has no form in torch.

    Notes
    -----
    Programs are for those who trust their source: torch reads such files by unpickling where all else fails. That is
    why `abstain.load` does not read them.
    """
    torch = import_extra("torch", "export")
    module, tensor = to_torch(estimator), _example(torch, example)
    program = torch.export.export(module, (tensor,), dynamic_shapes=({0: torch.export.Dim("n", min=1)},))
    _write(path, lambda part: torch.export.save(program, part))


def _example(torch, example):
    import numpy as np

    array = np.asarray(example)
    if array.ndim not in (2, 4) or len(array) < 2:
        raise ValueError(f"example must be two samples or more, (n, d) or (n, 3, H, W); got shape {array.shape}.")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.uint8 if array.ndim == 4 else np.float32))


def _write(path, save):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        part = Path(folder) / path.name
        save(str(part))
        os.replace(part, path)
