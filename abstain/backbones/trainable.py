"""What training a backbone needs, checked before anything is computed."""

from abstain.solvers.training import FineTuning
from abstain.utils.optional import import_extra


def check_trainable(backbone, training):
    """Return the knobs; the backbone must have a network that can be trained.

    Parameters
    ----------
    backbone : TimmBackbone
        Anything with a method ``module``, which returns a fresh trainable copy.
    training : FineTuning or None
        None is the default.

    Returns
    -------
    tuning : FineTuning
        Checked.

    Raises
    ------
    TypeError
        If either is something else.
    ValueError
        If a knob is out of range.
    """
    import_extra("torch", "vision")
    if backbone is None or isinstance(backbone, type) or not hasattr(backbone, "module"):
        raise TypeError(f"backbone must be a TimmBackbone, whose network can be trained; got {backbone!r}.")
    tuning = FineTuning() if training is None else training
    if not isinstance(tuning, FineTuning):
        raise TypeError(f"training of a backbone must be a FineTuning, or None; got {training!r}.")
    tuning.check()
    return tuning
