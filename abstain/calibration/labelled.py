"""What a calibrator learns from: outputs with labels, weights and groups."""

from dataclasses import dataclass

import numpy as np

from abstain.outputs import ClassOutputs
from abstain.utils.labels import strangers


@dataclass(frozen=True, eq=False)
class Labelled:
    """Outputs with their labels: what a calibrator learns from."""

    outputs: ClassOutputs  # of n samples
    codes: np.ndarray  # (n,) index of the true class
    weight: np.ndarray  # (n,) with mean 1
    groups: np.ndarray | None = None  # (n,)
    held_out: np.ndarray | None = None  # (n,) of bool: not seen by the classifier, for calibrators that also learn
    # from what it has seen

    def __getitem__(self, rows):
        groups, held_out = (None if part is None else part[rows] for part in (self.groups, self.held_out))
        return Labelled(self.outputs[rows], self.codes[rows], self.weight[rows], groups, held_out)

    @property
    def size(self):
        """Number of samples that count: all where weights are equal."""
        return float(self.weight.sum() ** 2 / (self.weight**2).sum())


def codes_among(y, classes):
    """Index of each label among classes in any order; refuses strangers."""
    order = np.argsort(classes)
    unknown = strangers(y, classes)
    if unknown.size:
        raise ValueError(
            f"y holds labels that are not among the classes: {unknown[:5].tolist()}. Known are "
            f"{classes[:5].tolist()}{' ...' if len(classes) > 5 else ''}. Drop those samples."
        )
    return order[np.searchsorted(classes[order], y)]


def by_argmax_of(outputs):
    """Whether all answers are the largest output."""
    return bool((outputs.values.argmax(axis=1) == outputs.answer).all())


def accuracy_change(labelled, answer):
    """Accuracy of other answers less that of those that came."""
    before, after = (labelled.weight @ (a == labelled.codes) for a in (labelled.outputs.answer, answer))
    return float((after - before) / labelled.weight.sum())


def check_calibrator(calibrator, name):
    """Refuse what is no calibrator of outputs: a class, anything else, or one around an estimator."""
    maps = hasattr(calibrator, "fit_labelled") and not isinstance(calibrator, type)
    if not maps or calibrator.estimator is not None:
        raise TypeError(f"{name} must be a calibrator without an estimator, such as Temperature(); got {calibrator!r}.")
