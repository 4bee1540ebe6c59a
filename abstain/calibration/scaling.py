"""Vector, matrix and Dirichlet scaling: linear maps of log-probabilities, close to the identity."""

from __future__ import annotations

from typing import Any

from abstain.calibration.base import BaseCalibrator
from abstain.calibration.floor import floored, lowest_logit, mixed
from abstain.calibration.temperature import BaseTemperature
from abstain.outputs import log_softmax
from abstain.solvers.directions import fit_directions
from abstain.solvers.scaling import Ridge, fit_scaling
from abstain.utils.annotations import Seed
from abstain.utils.validation import check_number

_DENSE = 128  # classes up to which a matrix has all its entries
_RANK = 64


class _Scaling(BaseTemperature):
    """Temperature first, and then a map that a ridge keeps close to the identity."""

    def __init__(
        self, estimator: Any = None, *, kind: str | None = None, cv: Any = 5, n_jobs: int | None = None,
        random_state: Seed = None, temperature_l2: float = 0.0, l2: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(
            estimator, kind=kind, cv=cv, n_jobs=n_jobs, random_state=random_state, temperature_l2=temperature_l2
        )
        self.l2 = l2

    def _check_parameters(self):
        super()._check_parameters()
        check_number(self.l2, "l2", above=0)

    def _learn_from(self, labelled, start):
        self._learn_temperature(labelled, start)
        ridge = self._ridge(len(labelled.outputs.classes), labelled.size)
        x = self._prepare(self._tempered(labelled.outputs), labelled)
        options = {} if start is None else {"start": start.scaling_, "tol": 1e-4}
        self.scaling_ = fit_scaling(x, labelled.codes, labelled.weight, ridge, **options)

    def _prepare(self, x, labelled):
        return x

    def _directed(self, x):
        return x

    def _map(self, outputs):
        return log_softmax(self.scaling_(self._directed(self._tempered(outputs))))


class VectorScaling(_Scaling):
    r"""A factor and an intercept for each class, kept small by a ridge (structured vector scaling).

    Parameters
    ----------
    {shared}
    temperature_l2 : float, default=0.0
        Weight of the squared logarithm of T against the summed log-loss.
    l2 : float, default=1.0
        Factor of the ridge; see below.

    Attributes
    ----------
    temperature_ : float
        Temperature of the first step.
    scaling_ : Scaling
        ``own`` (v) and ``intercept`` (b).
    accuracy_change_ : float
        What the map does to the accuracy on the samples of `fit`.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    Notes
    -----
    With :math:`x = \ln q_T`, the log-probabilities of `Temperature`, it is
    :math:`\mathrm{softmax}((1 + v) \odot x + b)` of least mean log-loss plus
    :math:`\lambda \tfrac{K}{n} (\|v\|^2 + \|b\|^2)`.

    References
    ----------
    E. Berta, D. Holzmüller, M. I. Jordan, F. Bach, "Structured Matrix Scaling for Multi-Class Calibration", AISTATS
    2026.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import VectorScaling
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(5000, 3))
    >>> y = (logits + [0, 0, 1] + rng.gumbel(size=logits.shape)).argmax(axis=1)
    >>> calibrator = VectorScaling().fit(logits, y)
    >>> calibrator.accuracy_change_ > 0
    True
    """

    def _ridge(self, k, n):
        return Ridge(self.l2 * k / n, self.l2 * k / n)


class MatrixScaling(_Scaling):
    r"""A linear map of the log-probabilities, kept close to a temperature by a ridge (structured matrix scaling).

    Parameters
    ----------
    {shared}
    temperature_l2 : float, default=0.0
        Weight of the squared logarithm of T against the summed log-loss.
    l2 : float, default=1.0
        Factor of the ridge; see below.

    Attributes
    ----------
    temperature_ : float
        Temperature of the first step.
    scaling_ : Scaling
        ``own`` (v), ``others`` (M) and ``intercept`` (b).
    directions_ : Directions or None
        Of more than 128 classes: ``basis`` (V) and ``factors`` (d), in place of ``others``.
    accuracy_change_ : float
        What the map does to the accuracy on the samples of `fit`.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    Notes
    -----
    With :math:`x = \ln q_T`, the log-probabilities of `Temperature`, it is
    :math:`\mathrm{softmax}((I + \mathrm{diag}(v) + M) x + b)` of least mean log-loss plus
    :math:`\lambda (\tfrac{K}{n} (\|v\|^2 + \|b\|^2) + \tfrac{K (K - 1)}{n} \|M\|^2)`, where M has no diagonal.

    A matrix of more than 128 classes has more entries than there will be samples. There it is
    :math:`M = V \mathrm{diag}(d) V^\top`, with V up to 64 strongest directions of x, centred, and d equal within groups
    of 1, 2, 4, ... directions, besides a factor of x: a handful of numbers says how far the classifier overstates what
    its classes share. They are kept where they gain more than they cost. This form is ours.

    References
    ----------
    E. Berta, D. Holzmüller, M. I. Jordan, F. Bach, "Structured Matrix Scaling for Multi-Class Calibration", AISTATS
    2026.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import MatrixScaling
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(5000, 3))
    >>> y = (logits @ [[1, 0, 0], [1, 1, 0], [0, 0, 1]] + rng.gumbel(size=logits.shape)).argmax(axis=1)
    >>> float(MatrixScaling().fit(logits, y).scaling_.others.max()) > 0.4
    True
    """

    def _ridge(self, k, n):
        others = self.l2 * k * (k - 1) / n if k <= _DENSE else None
        return Ridge(self.l2 * k / n, self.l2 * k / n, others)

    def _prepare(self, x, labelled):
        self.directions_ = None
        if x.shape[1] > _DENSE:
            self.directions_ = fit_directions(x, labelled.codes, labelled.weight, _RANK)
        return self._directed(x)

    def _directed(self, x):
        return x if self.directions_ is None else self.directions_(x)


class Dirichlet(BaseCalibrator):
    r"""Dirichlet calibration: a matrix for the log-probabilities, with off-diagonal and intercept regularised (ODIR).

    Parameters
    ----------
    {shared}
    off_diagonal : float, default=0.01
        Weight of the mean square of the entries beside the diagonal.
    intercept : float, default=0.01
        Weight of the mean square of the intercepts.

    Attributes
    ----------
    scaling_ : Scaling
        ``own`` (v), ``others`` (M) and ``intercept`` (b).
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    Notes
    -----
    :math:`\mathrm{softmax}((I + \mathrm{diag}(v) + M) \ln p + b)` of least mean log-loss plus the two penalties. The
    paper chooses them by cross-validation; `MatrixScaling` needs none, and is better on average.

    References
    ----------
    M. Kull et al., "Beyond Temperature Scaling: Obtaining Well-Calibrated Multiclass Probabilities with Dirichlet
    Calibration", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import Dirichlet
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(5000, 3))
    >>> y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    >>> np.abs(Dirichlet().fit(logits, y).scaling_.own).max() < 0.2
    np.True_
    """

    def __init__(
        self, estimator: Any = None, *, kind: str | None = None, cv: Any = 5, n_jobs: int | None = None,
        random_state: Seed = None, off_diagonal: float = 0.01, intercept: float = 0.01,
    ) -> None:  # fmt: skip
        super().__init__(estimator, kind=kind, cv=cv, n_jobs=n_jobs, random_state=random_state)
        self.off_diagonal = off_diagonal
        self.intercept = intercept

    def _check_parameters(self):
        super()._check_parameters()
        check_number(self.off_diagonal, "off_diagonal", above=0)
        check_number(self.intercept, "intercept", above=0)

    def _learn(self, labelled):
        self.lowest_ = lowest_logit(labelled.outputs)
        self.uniform_ = 1.0 / (labelled.size + 1.0)
        k = len(labelled.outputs.classes)
        # a trace of a ridge on the diagonal, without which separable samples have no optimum
        ridge = Ridge(1e-6, self.intercept / k, self.off_diagonal / (k * (k - 1)))
        x = log_softmax(floored(labelled.outputs, self.lowest_))
        self.scaling_ = fit_scaling(x, labelled.codes, labelled.weight, ridge)

    def _map(self, outputs):
        x = log_softmax(floored(outputs, self.lowest_))
        return mixed(log_softmax(self.scaling_(x)), self.uniform_)
