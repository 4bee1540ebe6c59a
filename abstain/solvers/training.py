"""Every knob of the training loop, in one object, so that methods show their own constants first."""

from dataclasses import asdict, dataclass, fields

from abstain.utils.validation import check_choice, check_count, check_number


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
    amp : bool or "auto", default=False
        Mixed precision; "auto" is bfloat16 on a GPU that has it.

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

    def check(self):
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
        check_choice(self.amp, "amp", (True, False, "auto"))

    def get_params(self, deep=True):
        """Return the knobs by name, as scikit-learn's searches ask for them."""
        return asdict(self)

    def set_params(self, **params):
        """Set knobs by name, as in ``GridSearchCV(..., {"training__lr": [...]})``."""
        known = {field.name for field in fields(self)}
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"Training has no parameter {name!r}; it has {sorted(known)}.")
            setattr(self, name, value)
        return self
