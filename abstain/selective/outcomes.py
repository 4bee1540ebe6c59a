"""What held-out labels say of the answers of a classifier."""

from dataclasses import dataclass

import numpy as np

from abstain.outputs import ClassOutputs


@dataclass(frozen=True, eq=False)
class Outcome:
    """What held-out labels say of the answers of a classifier."""

    outputs: ClassOutputs  # of n samples, held out
    answer: np.ndarray  # (n,) what the decision rule answers
    codes: np.ndarray  # (n,) index of the true class
    loss: np.ndarray  # (n,) of each answer, in [0, 1]

    def __getitem__(self, rows):
        return Outcome(self.outputs[rows], self.answer[rows], self.codes[rows], self.loss[rows])

    @property
    def correct(self):
        """Whether the answer costs nothing, (n,) of bool."""
        return self.loss == 0

    @property
    def tcp(self):
        """Probability given to the true class, (n,)."""
        return np.take_along_axis(self.outputs.proba, self.codes[:, None], axis=1)[:, 0]

    @property
    def tcp_ratio(self):
        """Probability given to the true class over the largest, (n,)."""
        return self.tcp / self.outputs.proba.max(axis=1)

    def target(self, name):
        """What a scorer learns from, by name; labels are those of the user."""
        if name == "outcome":
            return self
        return self.outputs.classes[self.codes] if name == "label" else getattr(self, name)
