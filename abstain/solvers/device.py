"""The one place that decides where torch computes and in which precision."""

import contextlib
import os

from abstain.utils.optional import import_extra

FLOAT16 = "float16"
AMP = (True, False, "auto", FLOAT16)


def resolve_device(device="auto"):
    """Return a torch device: the one asked for, or the best there is.

    Parameters
    ----------
    device : str, default="auto"
        "auto" is cuda, that of the process under torchrun, else mps, else cpu.

    Returns
    -------
    device : torch.device
        Where to compute.
    """
    torch = import_extra("torch", "torch")
    if device != "auto":
        try:
            return torch.zeros(0, device=device).device
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f'device must be "auto" or a torch device that is there; got {device!r}.') from error
    if torch.cuda.is_available():
        rank = os.environ.get("LOCAL_RANK")
        return torch.device("cuda") if rank is None else torch.device("cuda", int(rank))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def autocast(device, amp="auto"):
    """Return a context of mixed precision.

    Parameters
    ----------
    device : torch.device
        Where to compute.
    amp : bool, "auto" or "float16", default="auto"
        "auto" is bfloat16 on a GPU that has it, and full precision elsewhere. True asks for bfloat16 everywhere, and
        "float16" for that, whose small gradients vanish unless the loss is scaled.

    Returns
    -------
    context : context manager
        ``torch.autocast`` or nothing.
    """
    torch = import_extra("torch", "torch")
    if amp == FLOAT16:
        return torch.autocast(device.type, dtype=torch.float16)
    wanted = device.type == "cuda" and torch.cuda.is_bf16_supported() if amp == "auto" else bool(amp)
    return torch.autocast(device.type, dtype=torch.bfloat16) if wanted else contextlib.nullcontext()
