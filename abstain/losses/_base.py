"""What a trust loss is, and the few functions that the formulas share."""

from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from array_api_compat import array_namespace, device

from abstain.utils.annotations import Array


@runtime_checkable
class TrustLoss(Protocol):
    """Protocol of a loss on the raw output of a trust head.

    ``convex`` says whether the loss is convex in ``z``, so that a linear head needs one start only.
    """

    convex: ClassVar[bool]

    def value(self, z: Array, target: Array) -> Array:
        """Loss of every sample: ``(b,), (b,) -> (b,)``; the solver averages."""

    def derivative(self, z: Array, target: Array) -> Array:
        """Derivative of ``value`` by ``z``: ``(b,), (b,) -> (b,)``."""

    def inverse_link(self, z: Array) -> Array:
        """What ``z`` means at the optimum: the estimated target in [0, 1]; keeps the order."""


@runtime_checkable
class ClassLoss(Protocol):
    """Protocol of a loss on the logits of a classifier."""

    def value_and_derivative(self, logits: Array, targets: Array, strength: Array = None) -> tuple[Array, Array]:
        """Loss of every sample, and its derivative by the logits: ``(b, K), (b,) or (b, K) -> (b,), (b, K)``.

        ``targets`` are the indices of the true classes, or shares of all classes (soft labels). ``strength`` (b,) is
        how much of a term of its own the loss applies to each sample, for losses that have one; None is 1.
        """


@runtime_checkable
class SelectiveLoss(Protocol):
    """Protocol of a loss of a classifier that may abstain: a property of the batch.

    ``logits`` (b, K) are those of the classes, ``select`` (b,) is the output for abstaining, ``codes`` (b,) are the
    indices of the true classes, ``auxiliary`` (b, K) or None are the logits of a head that all samples train.

    A loss may have ``remember(logits, select, codes, rows, auxiliary=None)``, which returns what it wants to be kept of
    each sample of the batch (b,), from what was kept at the last visit (NaN before the first). ``memory`` is then the
    pair of this vector and the mean over all samples seen so far.
    """

    def parts(
        self, logits: Array, select: Array, codes: Array, *, auxiliary: Array = None, memory: Array = None
    ) -> dict[str, Array]:
        """What the loss is made of, sample by sample: a dictionary of arrays (b,)."""

    def value(
        self, logits: Array, select: Array, codes: Array, *, auxiliary: Array = None, memory: Array = None
    ) -> Array:
        """Loss of a batch, a scalar."""

    def log_odds(self, logits: Array, select: Array) -> Array:
        """What ``select`` says: log-odds of accepting, (b,); larger is safer. It is its own inverse."""


def check_arrays(**arrays):
    """Refuse what is no array of real numbers; tensors are what torch lets them be."""
    for name, array in arrays.items():
        if not hasattr(array, "ndim"):
            raise TypeError(f"{name} must be an array of NumPy or torch; got {type(array).__name__}.")
        if isinstance(array, np.ndarray) and (array.dtype.kind not in "biuf" or np.ma.is_masked(array)):
            raise ValueError(f"{name} must be numeric and real, without masked entries; got dtype {array.dtype}.")


def check_strength(strength, logits):
    """Strengths, one a sample."""
    check_arrays(strength=strength)
    if tuple(strength.shape) != (logits.shape[0],):
        raise ValueError(f"strength must have one entry a sample, {(logits.shape[0],)}; got {tuple(strength.shape)}.")
    return strength


def log_softmax(logits, targets):
    """Log-probabilities (b, K), targets as rows of shares (b, K), and their namespace, after a check of shapes."""
    check_arrays(logits=logits, targets=targets)
    shape = tuple(targets.shape)
    if logits.ndim != 2 or shape not in ((logits.shape[0],), tuple(logits.shape)):
        raise ValueError(
            "logits must have shape (b, K), and targets (codes) shape (b,) or (b, K); got shapes "
            f"{tuple(logits.shape)} and {shape}."
        )
    return log_normalised(logits), one_hot(targets, logits) if len(shape) == 1 else targets, array_namespace(logits)


def log_normalised(logits):
    """Logits less the logarithm of the sum of their exponentials, (b, K), finite: no share of ``-inf`` is none."""
    xp = array_namespace(logits)
    if hasattr(logits, "log_softmax"):  # torch has it in one step
        log_proba = logits.log_softmax(1)
    else:
        shifted = logits - xp.max(logits, axis=1, keepdims=True)
        log_proba = shifted - xp.log(xp.sum(xp.exp(shifted), axis=1, keepdims=True))
    return xp.clip(log_proba, 0.01 * xp.finfo(log_proba.dtype).min, None)


def one_hot(codes, like):
    """Rows that are 1 at the true class and 0 elsewhere, as ``like`` (b, K) is."""
    xp = array_namespace(like)
    classes = xp.arange(like.shape[1], device=device(like))
    shares = xp.astype(codes[:, None] == classes[None, :], like.dtype)
    integers = xp.isdtype(codes.dtype, "integral")
    if integers and not on_host(codes):
        # to ask a device whether all are known is to wait for it: one that is not is 0 / 0, and so is the loss
        return shares / xp.sum(shares, axis=1, keepdims=True)
    if not integers or not bool(xp.all((codes >= 0) & (codes < like.shape[1]))):
        raise ValueError(f"codes must be indices of the {like.shape[1]} classes, from 0; got others.")
    return shares


def on_host(array):
    """Whether to look at numbers of an array costs nothing; NumPy names its device, torch describes it."""
    where = device(array)
    return getattr(where, "type", where) == "cpu"


def paired(z, target):
    """Return the namespace of ``z`` after checking that outputs and targets are two vectors of one length.

    Outputs of shape (b, 1) against targets of shape (b,) would broadcast to (b, b) and train every sample on
    the mean label; so they are refused.
    """
    check_arrays(z=z, target=target)
    if z.ndim != 1 or tuple(z.shape) != tuple(target.shape):
        raise ValueError(
            "z and target must be one-dimensional and of one length; "
            f"got shapes {tuple(z.shape)} and {tuple(target.shape)}. Squeeze the output of the head to (b,)."
        )
    if isinstance(target, np.ndarray) and target.size and not (target.min() >= 0 and target.max() <= 1):
        raise ValueError(f"target must lie in [0, 1]; got values from {target.min()} to {target.max()}.")
    return array_namespace(z)


def softplus(x):
    """log(1 + exp(x)), without overflow."""
    xp = array_namespace(x)
    return xp.logaddexp(x, xp.zeros_like(x))


def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow, and differentiable at 0."""
    check_arrays(z=x)
    return array_namespace(x).exp(-softplus(-x))


def detach(x):
    """The same numbers without their gradient; NumPy arrays have none."""
    return x.detach() if hasattr(x, "detach") else x


def check_shapes(logits, select, codes):
    """Refuse outputs that would broadcast: a column of selectors against a row of losses trains on their mean."""
    check_arrays(logits=logits, select=select, codes=codes)
    if logits.ndim != 2 or select.ndim != 1 or not len(logits) == len(select) == len(codes) or codes.ndim != 1:
        raise ValueError(
            f"logits must have shape (b, K), select and codes shape (b,); got {tuple(logits.shape)}, "
            f"{tuple(select.shape)} and {tuple(codes.shape)}."
        )


def log_with_abstention(logits, abstain, codes):
    """Log-probabilities of the true class and of abstaining, whose logit stands beside those of the classes: (b,)."""
    xp = array_namespace(logits)
    log_proba = log_normalised(xp.concat([logits, abstain[:, None]], axis=1))
    return xp.sum(log_proba[:, :-1] * one_hot(codes, logits), axis=1), log_proba[:, -1]


def log_sum(logits):
    """Logarithm of the sum of exponentials of each row."""
    xp = array_namespace(logits)
    top = xp.max(logits, axis=1)
    return top + xp.log(xp.sum(xp.exp(logits - top[:, None]), axis=1))
