"""One table of calibration: of all samples, of each class and of each group, led by the two proper losses."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from abstain.metrics._calibration import expected_calibration_error
from abstain.metrics._labelled import labelled
from abstain.metrics._smooth import ks_calibration_error, smooth_calibration_error
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed
from abstain.utils.html import html_text
from abstain.utils.validation import check_count, check_groups, check_unit

ERRORS = "ece", "smooth", "ks"  # of a calibrated classifier they are above 0 by chance
COLUMNS = ("log_loss", "brier", "ece", "smooth", "ks", "confidence", "frequency")


class CalibrationRow(NamedTuple):
    """Of one part of the samples, or of one class."""

    name: str
    n: int
    log_loss: float
    brier: float
    ece: float
    smooth: float
    ks: float
    confidence: float  # mean probability
    frequency: float  # how often it was right, or the class occurred


class CalibrationReport(NamedTuple):
    """What `calibration_report` found; printed as a table.

    The row "all", and those of groups, are of the likeliest class; those of classes of each against the rest. Intervals
    are of the row "all".
    """

    n_bins: int
    rows: tuple
    intervals: dict  # column -> (low, high)

    @property
    def overall(self) -> Any:
        """The row of all samples."""
        return self.rows[0]

    def __str__(self):
        width = max(14, *(len(row.name) for row in self.rows))
        names = ("log-loss", "Brier", f"ECE-{self.n_bins}", "smooth", "KS", "confidence", "frequency")
        lines = [f"{'':<{width}}{'n':>8}" + "".join(f"{name:>12}" for name in names)]
        for row in self.rows:
            lines.append(f"{row.name:<{width}}{row.n:>8}" + "".join(f"{getattr(row, c):>12.4f}" for c in COLUMNS))
        for which, end in enumerate(("  from", "  to")):
            if self.intervals:
                values = (self.intervals[column][which] for column in COLUMNS)
                lines.insert(2 + which, f"{end:<{width}}{'':>8}" + "".join(f"{value:>12.4f}" for value in values))
        return "\n".join(lines)

    def _repr_html_(self):
        return html_text(self)


def calibration_report(
    y_true: ArrayLike, proba: ArrayLike, *, classes: ArrayLike | None = None, groups: ArrayLike | None = None,
    per_class: bool = False, n_bins: int = 15, sample_weight: ArrayLike | None = None, confidence: float = 0.95,
    n_resamples: int = 200, random_state: Seed = None,
) -> CalibrationReport:  # fmt: skip
    """Proper losses and calibration errors of class probabilities, with bootstrap intervals.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels.
    proba : array-like of shape (n, n_classes)
        Probabilities.
    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; None is 0, 1, ...
    groups : array-like of shape (n,), default=None
        A row for each group.
    per_class : bool, default=False
        A row for each class against the rest.
    n_bins : int, default=15
        Bins of equal width of the expected calibration error.
    sample_weight : array-like of shape (n,), default=None
        Weights.
    confidence : float, default=0.95
        Level of the intervals, in (0, 1).
    n_resamples : int, default=200
        Resamples of the bootstrap; 0 is no intervals. Those of errors are reflected, since drawing anew pushes an
        error up as chance has pushed up the error itself, and widened to hold it; they end at 0 or above.
    random_state : int, RandomState or None, default=None
        Seed.

    Returns
    -------
    report : CalibrationReport
        Rows with log-loss, Brier score (summed over classes), expected, smooth and Kolmogorov-Smirnov calibration
        error, mean confidence and frequency. ECE alone misleads: bins of a useless but modest classifier have small
        gaps.

    Raises
    ------
    ValueError
        If rows do not sum to one, or a label is none of the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.metrics import calibration_report
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(2000)
    >>> report = calibration_report(rng.random(2000) < p, np.column_stack([1 - p, p]), random_state=0)
    >>> report.overall.ks < 0.03
    True
    """
    check_count(n_bins, "n_bins")
    check_count(n_resamples, "n_resamples", least=0)
    check_unit(confidence, "confidence")
    data = labelled(y_true, proba, classes, sample_weight)
    there = data.weight > 0
    groups = None if groups is None else check_groups(groups, len(there))[there]
    data = data[there]
    rows = [_row("all", data, n_bins)]
    if groups is not None:
        rows += [_row(str(group), data[groups == group], n_bins) for group in np.unique(groups)]
    if per_class:
        rows += [_class_row(str(label), data, k, n_bins) for k, label in enumerate(data.classes)]
    return CalibrationReport(n_bins, tuple(rows), _intervals(data, n_bins, confidence, n_resamples, random_state))


def _intervals(data, n_bins, confidence, n_resamples, random_state):
    if not n_resamples:
        return {}
    rng, n = check_seed(random_state), len(data.codes)
    drawn = [_row("", data[rng.randint(0, n, n)], n_bins)[2:] for _ in range(n_resamples)]
    ends = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    intervals = {column: (float(low), float(high)) for column, low, high in zip(COLUMNS, *ends, strict=True)}
    for column, found in zip(COLUMNS, _row("", data, n_bins)[2:], strict=True):
        if column in ERRORS:
            intervals[column] = _reflected(found, *intervals[column])
    return intervals


def _reflected(found, low, high):
    """Interval of an error that drawing anew pushes up, as its estimate is pushed up; it holds the estimate."""
    return max(0.0, min(found, 2 * found - high)), max(found, 2 * found - low)


def _row(name, data, n_bins):
    losses = data.mean(data.log_losses), data.mean(data.brier_scores)
    return _with_errors(name, losses, data.correct, data.confidence, data, n_bins)


def _class_row(name, data, k, n_bins):
    p, true = np.clip(data.proba[:, k], 2.0**-52, 1 - 2.0**-52), data.codes == k
    losses = data.mean(-np.log(np.where(true, p, 1 - p))), 2 * data.mean((p - true) ** 2)
    return _with_errors(name, losses, true, data.proba[:, k], data, n_bins)


def _with_errors(name, losses, correct, confidence, data, n_bins):
    confidence, options = np.minimum(confidence, 1.0), {"sample_weight": data.weight}
    log_loss, brier = losses
    return CalibrationRow(
        name, len(correct), log_loss, brier, expected_calibration_error(correct, confidence, n_bins=n_bins, **options),
        smooth_calibration_error(correct, confidence, **options), ks_calibration_error(correct, confidence, **options),
        data.mean(confidence), data.mean(correct),
    )  # fmt: skip


def classwise_calibration_error(
    y_true: ArrayLike, proba: ArrayLike, *, classes: ArrayLike | None = None, n_bins: int = 15, strategy: str = "width",
    sample_weight: ArrayLike | None = None,
) -> float:  # fmt: skip
    """Expected calibration error of each class against the rest, on average over classes.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels.
    proba : array-like of shape (n, n_classes)
        Probabilities.
    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; None is 0, 1, ...
    n_bins : int, default=15
        Number of bins.
    strategy : {"width", "mass"}, default="width"
        Bins of equal width, or of equal weight. With many classes nearly all probabilities lie in one bin of equal
        width.
    sample_weight : array-like of shape (n,), default=None
        Weights.

    Returns
    -------
    error : float
        In [0, 1], smaller is better.

    References
    ----------
    M. Kull et al., "Beyond Temperature Scaling: Obtaining Well-Calibrated Multiclass Probabilities with Dirichlet
    Calibration", NeurIPS 2019.

    Examples
    --------
    >>> from abstain.metrics import classwise_calibration_error
    >>> round(classwise_calibration_error([0, 1], [[0.9, 0.1], [0.2, 0.8]]), 2)
    0.15
    """
    data = labelled(y_true, proba, classes, sample_weight)
    options: dict[str, Any] = {"n_bins": n_bins, "strategy": strategy, "sample_weight": data.weight}
    errors = [expected_calibration_error(data.codes == k, p, **options) for k, p in enumerate(data.proba.T)]
    return float(np.mean(errors))
