"""The warnings of the library: one class each, so that a user can silence or escalate exactly one."""

import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

_MUTED = ContextVar("muted", default=False)


class AbstainWarning(UserWarning):
    """Base of all warnings raised by abstain."""


class FewErrorsWarning(AbstainWarning):
    """The held-out data hold too few errors to learn trust from; maximum probability is used instead."""


class FlawlessWarning(AbstainWarning):
    """A frozen classifier makes no errors on hundreds of samples that it should not have seen."""


class RefitWarning(AbstainWarning):
    """A fitted estimator that is not frozen is about to be refitted."""


class RareClassWarning(AbstainWarning):
    """A class has too few samples to be present in every training fold."""


class UncertifiedWarning(AbstainWarning):
    """No threshold meets the target; the policy abstains on everything."""


class CoverageWarning(AbstainWarning):
    """Scores tie, so that many more samples are accepted than were asked for."""


class OverlapWarning(AbstainWarning):
    """The calibration set repeats rows that ``fit`` has seen; no guarantee holds."""


class TargetRangeWarning(AbstainWarning):
    """The target of a head lies outside [0, 1] and was scaled into it."""


class SparseWeightsWarning(AbstainWarning):
    """Difficulty weights fall on very few samples."""


class FlatWeightsWarning(AbstainWarning):
    """Soft labels give less than half of their mass to the class itself."""


class CollapseWarning(AbstainWarning):
    """A learned selector accepts everything, or nothing."""


class ColumnsWarning(AbstainWarning):
    """Labels were taken for the numbers of columns, which may begin at 1 instead of 0."""


class ConvergenceWarning(AbstainWarning):
    """A solver stopped before it converged."""


class RandomWeightsWarning(AbstainWarning):
    """A network has random weights, and nobody said that it should."""


class FrozenStartWarning(AbstainWarning):
    """Fine-tuning brought nothing on held-out samples; the frozen start is kept."""


class SmallerBatchWarning(AbstainWarning):
    """A batch did not fit into memory, and goes through the network in parts."""


class UnreadableImageWarning(AbstainWarning):
    """Some image files could not be read and were skipped."""


def warn(message, category):
    """Warn at the line of the first caller outside this package."""
    if _MUTED.get():
        return
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_globals.get("__name__", "").startswith("abstain."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def muted():
    """Keep the warnings of this library back; of this thread alone, unlike ``warnings.catch_warnings``."""
    token = _MUTED.set(True)
    try:
        yield
    finally:
        _MUTED.reset(token)
