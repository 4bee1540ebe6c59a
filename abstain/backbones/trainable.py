"""What training a backbone needs, checked before anything is computed."""

from abstain.losses import AdaptivePerturbationLoss, ClassLoss, SoftmaxLoss
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


def check_class_loss(loss, tuning):
    """Return the loss of the logits that a backbone is trained with.

    Parameters
    ----------
    loss : ClassLoss or None
        None is `SoftmaxLoss`.
    tuning : FineTuning
        The knobs, which must hold samples back for a loss that follows them.

    Returns
    -------
    loss : ClassLoss
        Checked.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If nothing is held back where something must be.
    """
    found = SoftmaxLoss() if loss is None else loss
    if isinstance(found, type) or not isinstance(found, ClassLoss):
        raise TypeError(f"loss must be a loss of logits, such as SoftmaxLoss(), or None; got {loss!r}.")
    if isinstance(found, AdaptivePerturbationLoss) and not tuning.validation_fraction:
        raise ValueError("training.validation_fraction must be above 0: accuracy on what is held back is followed.")
    return found
