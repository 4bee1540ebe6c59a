"""How far a second calibrator moves probabilities: calibration errors without bins, and what a loss is made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from abstain.calibration.labelled import check_calibrator
from abstain.calibration.scaling import VectorScaling
from abstain.folds import held_out, make_folds
from abstain.metrics._labelled import labelled
from abstain.outputs import ClassOutputs
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed
from abstain.utils.html import html_text


class Decomposition(NamedTuple):
    """A proper loss as what recalibration would take away, and what it would leave; and two distances."""

    log_loss: float
    calibration_log_loss: float  # log-loss less that after recalibration
    refinement_log_loss: float
    brier: float
    calibration_brier: float
    refinement_brier: float
    l1: float  # calibration errors, signed: negative where the second calibrator learnt nothing
    l2: float
    overconfidence: float  # how far the confidence of the answer falls when recalibrated

    def __str__(self):
        return "\n".join(
            [
                f"log-loss {self.log_loss:.4f} = calibration {self.calibration_log_loss:+.4f} + refinement "
                f"{self.refinement_log_loss:.4f}",
                f"Brier    {self.brier:.4f} = calibration {self.calibration_brier:+.4f} + refinement "
                f"{self.refinement_brier:.4f}",
                f"calibration error: L1 {self.l1:+.4f}, L2 {self.l2:+.4f}; over-confidence {self.overconfidence:+.4f}",
            ]
        )

    def _repr_html_(self):
        return html_text(self)


def refit_decomposition(
    y_true: ArrayLike, proba: ArrayLike, *, classes: ArrayLike | None = None, calibrator: Any = None, cv: Any = 5,
    groups: ArrayLike | None = None, random_state: Seed = None,
) -> Decomposition:  # fmt: skip
    r"""Calibration errors by a second calibrator that is fitted and asked on different samples.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels.
    proba : array-like of shape (n, n_classes)
        Probabilities.
    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; None is 0, 1, ...
    calibrator : calibrator, default=None
        The second calibrator. None is `VectorScaling`.
    cv : int, splitter or iterable, default=5
        Folds.
    groups : array-like of shape (n,), default=None
        Groups that no fold divides.
    random_state : int, RandomState or None, default=None
        Seed of the folds.

    Returns
    -------
    decomposition : Decomposition
        Losses with their parts, and calibration errors.

    Raises
    ------
    ValueError
        If rows do not sum to one, or a label is none of the classes.

    Notes
    -----
    With p the probabilities, q those of the second calibrator on samples that it has not seen, and y the label as a
    vector, the errors are the means of :math:`\langle \mathrm{sign}(q - p), y - p \rangle` and of
    :math:`\langle (q - p) / \|q - p\|, y - p \rangle`. In expectation no q makes them larger than the true L1 and L2
    errors, so that, unlike bins, they do not grow by chance; a better calibrator comes closer.

    References
    ----------
    E. Berta, D. Holzmüller, M. I. Jordan, F. Bach, "Variational Estimators of Calibration Errors", arXiv 2602.24230,
    2026.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import refit_decomposition
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(2000)
    >>> found = refit_decomposition(rng.random(2000) < p, np.column_stack([1 - p, p]), random_state=0)
    >>> abs(found.l1) < 0.05
    True
    """
    data = labelled(y_true, proba, classes)
    calibrator = VectorScaling() if calibrator is None else calibrator
    check_calibrator(calibrator, "calibrator")
    outputs, seed = ClassOutputs(data.proba), check_seed(random_state).randint(2**31)
    folds = make_folds(cv, data.proba, data.codes, groups=groups, seed=seed)
    moved = held_out(
        folds,
        lambda train: clone(calibrator).fit_outputs(outputs[train], data.codes[train]),
        lambda model, test: model.transform_outputs(outputs[test]).proba,
    )
    rows = folds.tested
    return _decomposed(data[rows], data.proba[rows], moved[rows])


def _decomposed(data, proba, moved):
    after = type(data)(moved, data.codes, data.classes, data.weight)
    log, brier = data.mean(data.log_losses), data.mean(data.brier_scores)
    log_after, brier_after = data.mean(after.log_losses), data.mean(after.brier_scores)
    shift, residual = moved - proba, np.eye(proba.shape[1])[data.codes] - proba
    length = np.linalg.norm(shift, axis=1, keepdims=True)
    direction = np.divide(shift, length, out=np.zeros_like(shift), where=length > 0)
    at = np.arange(len(proba)), proba.argmax(axis=1)
    return Decomposition(
        log, log - log_after, log_after, brier, brier - brier_after, brier_after,
        float(np.mean(np.sum(np.sign(shift) * residual, axis=1))), float(np.mean(np.sum(direction * residual, axis=1))),
        float(-np.mean(shift[at])),
    )  # fmt: skip
