"""Every knob of the training loop, in one object, so that methods show their own constants first."""

from dataclasses import asdict, dataclass, fields

from abstain.utils.validation import check_count, check_number


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

    Examples
    --------
    >>> from abstain import Training
    >>> Training(epochs=5).set_params(lr=0.01)
    Training(epochs=5, lr=0.01, batch_size=1024, weight_decay=0.01, validation_fraction=0.1, patience=10, device='auto')
    """

    epochs: int = 50
    lr: float = 1e-3
    batch_size: int = 1024
    weight_decay: float = 1e-2
    validation_fraction: float = 0.1
    patience: int = 10
    device: str = "auto"

    def check(self):
        """Raise a ValueError that names the first knob that is out of range."""
        for name in ("epochs", "batch_size", "patience"):
            check_count(getattr(self, name), name)
        check_number(self.lr, "lr", above=0)
        check_number(self.weight_decay, "weight_decay", least=0)
        check_number(self.validation_fraction, "validation_fraction", least=0)
        if self.validation_fraction >= 1:
            raise ValueError(f"validation_fraction must lie in [0, 1); got {self.validation_fraction!r}.")

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
