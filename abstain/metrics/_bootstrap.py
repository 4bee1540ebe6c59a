"""Percentile bootstrap of any metric, and of paired comparisons of two scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed
from abstain.utils.html import html_text
from abstain.utils.validation import (
    check_choice,
    check_correct,
    check_count,
    check_losses,
    check_metric,
    check_unit,
    check_vector,
)


class BootstrapResult(NamedTuple):
    """A metric, or a comparison, with its percentile interval."""

    estimate: float
    low: float
    high: float

    def __str__(self):
        return f"{self.estimate:.4f} [{self.low:.4f}, {self.high:.4f}]"

    def _repr_html_(self):
        return html_text(self)


def bootstrap_ci(
    metric: Callable, correct: ArrayLike | None, score: ArrayLike, *, baseline: ArrayLike | None = None,
    compare: str = "difference", loss: ArrayLike | None = None, confidence: float = 0.95, n_resamples: int = 1000,
    random_state: Seed = None,
) -> BootstrapResult:  # fmt: skip
    """Confidence interval of a metric over resampled test samples.

    Parameters
    ----------
    metric : callable
        ``metric(correct, score)``, for example `aurc`; called with ``loss=`` where that is given.
    correct : array-like of shape (n,) or None
        Whether each prediction is right.
    score : array-like of shape (n,)
        Confidence, larger is safer.
    baseline : array-like of shape (n,), default=None
        Another score of the same samples. Then the metric of ``score`` is compared with that of ``baseline`` on
        the same resamples, so that what they share cancels.
    compare : {"difference", "ratio"}, default="difference"
        How to compare with the baseline.
    loss : array-like of shape (n,), default=None
        Graded losses in [0, 1] instead of errors.
    confidence : float, default=0.95
        Level of the interval, in (0, 1).
    n_resamples : int, default=1000
        Number of resamples.
    random_state : int, RandomState or None, default=None
        Seed.

    Returns
    -------
    result : BootstrapResult
        ``estimate``, ``low`` and ``high``.

    Raises
    ------
    ValueError
        If lengths differ or a choice is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.metrics import aurc, bootstrap_ci
    >>> rng = np.random.default_rng(0)
    >>> score = rng.random(500)
    >>> correct = rng.random(500) < score
    >>> gain = bootstrap_ci(aurc, correct, score, baseline=rng.random(500), random_state=0)
    >>> gain.high < 0
    True
    """
    check_unit(confidence, "confidence")
    check_count(n_resamples, "n_resamples")
    check_metric(metric)
    if correct is None and loss is None:
        raise ValueError("one of correct and loss is needed; got neither.")
    check_choice(compare, "compare", ("difference", "ratio"))
    score = check_vector(score, "score")
    other = None if baseline is None else check_vector(baseline, "baseline", n=score.size)
    parts = [
        None if correct is None else check_correct(correct, n=score.size),
        None if loss is None else check_losses(None, loss, score.size),
    ]
    rng = check_seed(random_state)

    def statistic(rows):
        truth, graded = (None if part is None else part[rows] for part in parts)
        options = {} if graded is None else {"loss": graded}
        value = metric(truth, score[rows], **options)
        if other is None:
            return value
        reference = metric(truth, other[rows], **options)
        return value - reference if compare == "difference" else _ratio(value, reference)

    whole = statistic(slice(None))
    if np.ndim(whole):
        raise TypeError(f"metric must return one number; got {type(whole).__name__}.")
    resampled = [statistic(rng.randint(0, score.size, score.size)) for _ in range(n_resamples)]
    known = [value for value in resampled if not np.isnan(value)]
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2]) if known else (np.nan, np.nan)
    return BootstrapResult(float(whole), float(low), float(high))


def _ratio(value, reference):
    return value / reference if reference > 0 else float("nan")
