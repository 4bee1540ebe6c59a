"""Every knob of the training loop, in one object, so that methods show their own constants first."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from abstain.solvers.device import AMP
from abstain.utils.validation import check_choice, check_count, check_flag, check_number


@dataclass
class Training:
    """How a network is trained.

    Parameters
    ----------
    epochs : int, default=50
        Passes over the data at most.
    lr : float, default=1e-3
        Peak learning rate of AdamW, decayed to 0 by a cosine.
    batch_size : int, default=1024
        Samples a step.
    weight_decay : float, default=1e-2
        Decoupled weight decay.
    validation_fraction : float, default=0.1
        Share of the samples held back to choose the best epoch; 0 keeps the last.
    patience : int, default=10
        Epochs without improvement before stopping.
    device : str, default="auto"
        "auto" takes a GPU where there is one; else a name that torch knows.
    optimiser : {"adamw", "sgd"}, default="adamw"
        "sgd" has Nesterov's momentum of 0.9.
    schedule : {"cosine", "constant"}, default="cosine"
        What the rate does after the warm-up.
    warm_up : float, default=0.0
        Share of all steps in which the rate rises to its peak, in [0, 1).
    accumulate : int, default=1
        Parts in which a batch goes through the network, to save memory; the loss sees all of it at once.
    clip_norm : float, default=None
        Largest norm of a gradient.
    ema : float, default=0.0
        Share of the weights that a moving average keeps at each step, in [0, 1); 0 is no average. The average is what
        is judged and kept.
    amp : bool, "auto" or "float16", default=False
        Mixed precision; "auto" is bfloat16 on a GPU that has it, and True everywhere. "float16" is for a GPU that has
        not: losses are scaled so that small gradients do not vanish, and a step that overflows is left out.
    compile : bool, default=False
        Whether the network is compiled by ``torch.compile`` for training: minutes at first, then faster, with another
        rounding. It pays for a backbone on a GPU.

    Examples
    --------
    >>> from abstain import Training
    >>> training = Training(epochs=5).set_params(lr=0.01)
    >>> training.epochs, training.lr
    (5, 0.01)
    """

    epochs: int = 50
    lr: float = 1e-3
    batch_size: int = 1024
    weight_decay: float = 1e-2
    validation_fraction: float = 0.1
    patience: int = 10
    device: str = "auto"
    optimiser: str = "adamw"
    schedule: str = "cosine"
    warm_up: float = 0.0
    accumulate: int = 1
    clip_norm: float | None = None
    ema: float = 0.0
    amp: bool | str = False
    compile: bool = False

    def check(self) -> None:
        """Raise a ValueError that names the first knob that is out of range."""
        for name in ("epochs", "batch_size", "patience", "accumulate"):
            check_count(getattr(self, name), name)
        check_number(self.lr, "lr", above=0)
        check_number(self.weight_decay, "weight_decay", least=0)
        for name in ("validation_fraction", "warm_up", "ema"):
            check_number(getattr(self, name), name, least=0)
            if getattr(self, name) >= 1:
                raise ValueError(f"{name} must lie in [0, 1); got {getattr(self, name)!r}.")
        if self.clip_norm is not None:
            check_number(self.clip_norm, "clip_norm", above=0)
        check_choice(self.optimiser, "optimiser", ("adamw", "sgd"))
        check_choice(self.schedule, "schedule", ("cosine", "constant"))
        check_choice(self.amp, "amp", AMP)
        check_flag(self.compile, "compile")

    def get_params(self, deep: bool = True) -> dict:
        """Return the knobs by name, as scikit-learn's searches ask for them.

        Parameters
        ----------
        deep : bool, default=True
            Of no consequence: a knob has no parts.

        Returns
        -------
        params : dict
            Their values.
        """
        return asdict(self)

    def set_params(self, **params: Any) -> Self:
        """Set knobs by name, as in ``GridSearchCV(..., {"training__lr": [...]})``.

        Parameters
        ----------
        **params : dict
            Values by name.

        Returns
        -------
        self : Training
            The same object.
        """
        known = {field.name for field in fields(self)}
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"Training has no parameter {name!r}; it has {sorted(known)}.")
            setattr(self, name, value)
        return self


@dataclass
class FineTuning(Training):
    """How a backbone is trained, with defaults for a network that has learnt much already.

    Parameters
    ----------
    epochs : int, default=5
        Passes over the data at most.
    lr : float, default=1e-4
        Peak rate of the head.
    batch_size : int, default=64
        Samples a step.
    weight_decay, validation_fraction, patience, device, optimiser, schedule : object
        As in `Training`.
    warm_up : float, default=0.1
        Share of all steps in which the rate rises.
    accumulate, clip_norm, ema, amp, compile : object
        As in `Training`; gradients are clipped to 1, and "auto" is bfloat16 on a GPU that has it.
    backbone_rate : float, default=1.0
        Share of the rate at which the last stage of the backbone learns.
    layer_decay : float, default=1.0
        By how much less each stage before it learns, in (0, 1].
    freeze_norm : bool, default=True
        Whether batch normalisation keeps its moments, so that a sample does not depend on its company.
    dropout : bool, default=True
        Whether the backbone drops out in training.
    augment : bool or dict, default=None
        None and False do without; True is timm's default; a dictionary goes to ``timm.data.create_transform``.
    checkpoint_every : float, default=300.0
        Seconds between two states that are kept inside an epoch.

    Examples
    --------
    >>> from abstain import FineTuning
    >>> FineTuning(layer_decay=0.8).lr
    0.0001
    """

    epochs: int = 5
    lr: float = 1e-4
    batch_size: int = 64
    warm_up: float = 0.1
    clip_norm: float | None = 1.0
    amp: bool | str = "auto"
    backbone_rate: float = 1.0
    layer_decay: float = 1.0
    freeze_norm: bool = True
    dropout: bool = True
    augment: bool | dict | None = None
    checkpoint_every: float = 300.0

    def check(self) -> None:
        """Raise a ValueError that names the first knob that is out of range."""
        super().check()
        check_number(self.backbone_rate, "backbone_rate", least=0)
        check_number(self.layer_decay, "layer_decay", above=0, most=1)
        check_number(self.checkpoint_every, "checkpoint_every", least=0)
        for name in ("freeze_norm", "dropout"):
            check_flag(getattr(self, name), name)
        if not isinstance(self.augment, bool | dict | None):
            raise ValueError(f"augment must be None, True, False or a dictionary; got {self.augment!r}.")
