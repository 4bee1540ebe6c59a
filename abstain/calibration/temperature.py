"""Temperature scaling, alone and in an ensemble: maps that keep every answer."""

from __future__ import annotations

from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.metaestimators import available_if

from abstain.calibration.base import BaseCalibrator, on_outputs
from abstain.calibration.floor import floored, lowest_logit, mixed
from abstain.calibration.labelled import codes_among
from abstain.outputs import log_softmax
from abstain.solvers.mixture import fit_mixture
from abstain.solvers.temperature import LossSums, fit_inverse_temperature
from abstain.utils.annotations import Seed
from abstain.utils.borders import label_column
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import check_number, check_vector, check_weight, row_blocks


class BaseTemperature(BaseCalibrator):
    """Base of the calibrators that begin with a temperature.

    Parameters
    ----------
    {shared}
    temperature_l2 : float, default=0.0
        Weight of the squared logarithm of T against the summed log-loss.
    """

    def __init__(
        self, estimator: Any = None, *, kind: str | None = None, cv: Any = 5, n_jobs: int | None = None,
        random_state: Seed = None, temperature_l2: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(estimator, kind=kind, cv=cv, n_jobs=n_jobs, random_state=random_state)
        self.temperature_l2 = temperature_l2

    def _check_parameters(self):
        super()._check_parameters()
        check_number(self.temperature_l2, "temperature_l2", least=0)

    def _learn_temperature(self, labelled, start):
        """Learn T, and return the finite logits."""
        self.lowest_ = lowest_logit(labelled.outputs)
        self.uniform_ = 1.0 / (labelled.size + 1.0)
        logits = floored(labelled.outputs, self.lowest_)
        ridge = self.temperature_l2 / labelled.size
        begin = None if start is None else 1.0 / start.temperature_
        self.temperature_ = 1.0 / fit_inverse_temperature(
            logits, labelled.codes, labelled.weight, ridge=ridge, start=begin
        )
        return logits

    def _tempered(self, outputs):
        """Log-probabilities at the temperature, with the uniform share."""
        logits = floored(outputs, self.lowest_)
        out = np.empty_like(logits)
        for rows in row_blocks(len(logits), logits.shape[1]):
            out[rows] = log_softmax(logits[rows] / self.temperature_)
        return mixed(out, self.uniform_)


class Temperature(BaseTemperature):
    r"""Divide the logits by one number: confidence changes, no answer does.

    Parameters
    ----------
    {shared}
    temperature_l2 : float, default=0.0
        Weight of the squared logarithm of T against the summed log-loss. 0 is the paper's; 1 keeps T finite where few
        samples have no error among them.

    Attributes
    ----------
    temperature_ : float
        Above 1 where the classifier was over-confident.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    Notes
    -----
    .. math:: q = \left(1 - \tfrac{1}{n + 1}\right)\, \mathrm{softmax}(z / T) + \tfrac{1}{(n + 1) K}

    with T of least log-loss. The uniform share bounds the loss of what n samples cannot have seen.

    References
    ----------
    C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import Temperature
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(5000, 4))
    >>> y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    >>> round(Temperature().fit(3 * logits, y).temperature_)
    3
    """

    keeps_answer = True

    @available_if(on_outputs)
    def partial_fit(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> Self:
        """Learn from more samples, which need not be kept: for outputs that do not fit into memory, or lie elsewhere.

        Parameters
        ----------
        X : array-like of shape (n, n_classes)
            Outputs that were saved, as in `fit`.
        y : array-like of shape (n,)
            Labels, to which X gives some probability.
        sample_weight : array-like of shape (n,), default=None
            Weights, whose sizes matter here: those of all calls together.
        classes : array-like of shape (n_classes,), default=None
            Labels of the columns, sorted. None is as in `fit`: y has a value for each of them, or holds their numbers.

        Returns
        -------
        self : object
            With the temperature of all samples so far, to four digits that of one `fit`, between exp(-6) and exp(6).

        Raises
        ------
        ValueError
            If the columns are others than those of an earlier call, or `fit` came before, which keeps no sums; or if
            the probability of a label is 0.
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            y, known = label_column(y), getattr(self, "sums_", None)
            if known is None and hasattr(self, "temperature_"):
                raise ValueError(
                    "partial_fit cannot go on from fit, which keeps no sums: begin with clone(calibrator)."
                )
            named = y if classes is None else label_column(classes, "classes")
            outputs = self._given(X, named, reset=known is None)
            if known is not None:
                self._check_classes(outputs)
            if classes is not None and not np.array_equal(named, outputs.classes):
                raise ValueError(
                    f"classes must be the sorted labels of the {len(outputs.classes)} columns of X, each once; got "
                    f"{named[:8].tolist()}."
                )
            if len(y) != len(outputs):
                raise ValueError(f"y must hold a label for each of the {len(outputs)} rows of X; got {len(y)}.")
            weight = _sized(sample_weight, len(y))
            codes = codes_among(y, outputs.classes)
            if not weight.all():
                outputs, codes, weight = outputs[weight > 0], codes[weight > 0], weight[weight > 0]
            lowest, own = lowest_logit(outputs), LossSums.over(_without_impossible(outputs, codes), codes, weight)
            self.lowest_ = lowest if known is None else min(lowest, self.lowest_)
            self.rounding_ = max(outputs.rounding, getattr(self, "rounding_", 0.0))
            self._take(own if known is None else known.merge(own), outputs.classes)
        return self

    def merge(self, other: Temperature) -> Temperature:
        """Return the calibrator of the samples of two, each of which has learnt by `partial_fit`.

        Parameters
        ----------
        other : Temperature
            Of the same columns.

        Returns
        -------
        merged : Temperature
            Both stay as they are.

        Raises
        ------
        ValueError
            If one of them was not fitted by `partial_fit`, or columns or parameters differ.
        """
        if not (isinstance(other, Temperature) and hasattr(self, "sums_") and hasattr(other, "sums_")):
            raise ValueError("merge needs two Temperature() that learnt by partial_fit.")
        if not np.array_equal(self.classes_, other.classes_):
            raise ValueError(f"merge needs the same classes; got {self.classes_[:5]} and {other.classes_[:5]}.")
        mine, yours = ([part.kind, part.temperature_l2, *_columns(part)] for part in (self, other))
        if mine != yours:
            raise ValueError(f"merge needs the same kind, temperature_l2 and columns; got {mine} and {yours}.")
        merged = copy(self)
        merged.lowest_ = min(self.lowest_, other.lowest_)
        merged.rounding_ = max(self.rounding_, other.rounding_)
        merged._take(self.sums_.merge(other.sums_), self.classes_)
        return merged

    def _take(self, sums, classes):
        self.sums_, self.classes_, self.answers_by_argmax_ = sums, classes, True
        self.uniform_ = 1.0 / (sums.size + 1.0)
        self.temperature_ = 1.0 / sums.inverse_temperature(self.temperature_l2 / sums.size)

    def _learn_from(self, labelled, start):
        if hasattr(self, "sums_"):
            del self.sums_
        self._learn_temperature(labelled, start)

    def _map(self, outputs):
        return self._tempered(outputs)


def _columns(calibrator):
    """Names of the columns, where they have any."""
    return getattr(calibrator, "feature_names_in_", np.empty(0)).tolist()


def _sized(sample_weight, n):
    """Weights of some samples, not all of them 0, whose squares are numbers."""
    if sample_weight is None:
        return np.ones(n)
    weight = check_vector(sample_weight, "sample_weight", n=n)
    check_weight(weight, n)
    if weight.max() > 1e100 or weight.max() < 1e-100:
        raise ValueError(f"sample_weight must be 0 or between 1e-100 and 1e100; got {weight.max():g} at most.")
    return weight


def _without_impossible(outputs, codes):
    """Logits in which a class that cannot be is so far below that it adds nothing, at any temperature."""
    logits = outputs.logits
    if not np.isfinite(logits[np.arange(len(codes)), codes]).all():
        raise ValueError(
            "X gives some labels the probability 0, of which one sum cannot speak: use fit, or leave them out."
        )
    finite = np.isfinite(logits)
    top = np.where(finite, logits, -np.inf).max(axis=1, keepdims=True)
    return logits if finite.all() else np.where(finite, logits, top - 1e6)


class EnsembleTemperature(BaseTemperature):
    r"""Mix probabilities at a temperature, as they came, and uniform ones; no answer changes.

    Parameters
    ----------
    {shared}
    temperature_l2 : float, default=0.0
        Weight of the squared logarithm of T against the summed log-loss. 0 is the paper's; 1 keeps T finite where few
        samples have no error among them.

    Attributes
    ----------
    temperature_ : float
        Temperature.
    weights_ : ndarray of shape (3,)
        Shares of the probabilities at that temperature, of those that came, and of the uniform ones. They sum to one.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    Notes
    -----
    .. math:: q = w_1\, \mathrm{softmax}(z / T) + w_2\, \mathrm{softmax}(z) + w_3 / K

    T and then w are those of least log-loss (the paper takes squared error for w); the uniform share is at least
    :math:`1 / (n + 1)`.

    References
    ----------
    J. Zhang, B. Kailkhura, T. Y. Han, "Mix-n-Match: Ensemble and Compositional Methods for Uncertainty Calibration in
    Deep Learning", ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import EnsembleTemperature
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(5000, 4))
    >>> y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    >>> float(EnsembleTemperature().fit(3 * logits, y).weights_.sum().round(9))
    1.0
    """

    keeps_answer = True

    def _learn_from(self, labelled, start):
        logits = self._learn_temperature(labelled, start)
        own = np.stack([np.exp(part[np.arange(len(part)), labelled.codes]) for part in self._parts(logits)], axis=1)
        self.weights_ = fit_mixture(own, labelled.weight)

    def _parts(self, logits):
        uniform = np.full_like(logits, -np.log(logits.shape[1]))
        return log_softmax(logits / self.temperature_), log_softmax(logits), uniform

    def _map(self, outputs):
        parts = self._parts(floored(outputs, self.lowest_))
        with np.errstate(divide="ignore"):
            weights = np.log(self.weights_)
        total = np.logaddexp.reduce([part + weight for part, weight in zip(parts, weights, strict=True)])
        return mixed(total, self.uniform_)
