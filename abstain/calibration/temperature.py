"""Temperature scaling, alone and in an ensemble: maps that keep every answer."""

import numpy as np
from sklearn.base import clone

from abstain.calibration.base import BaseCalibrator
from abstain.calibration.floor import floored, lowest_logit, mixed
from abstain.outputs import log_softmax
from abstain.solvers.mixture import fit_mixture
from abstain.solvers.temperature import fit_inverse_temperature
from abstain.utils.validation import check_number, row_blocks


class BaseTemperature(BaseCalibrator):
    """Base of the calibrators that begin with a temperature.

    Parameters
    ----------
    {shared}
    temperature_l2 : float, default=0.0
        Weight of the squared logarithm of T against the summed log-loss.
    """

    def __init__(self, estimator=None, *, kind=None, cv=5, n_jobs=None, random_state=None, temperature_l2=0.0):
        super().__init__(estimator, kind=kind, cv=cv, n_jobs=n_jobs, random_state=random_state)
        self.temperature_l2 = temperature_l2

    def _check_parameters(self):
        super()._check_parameters()
        check_number(self.temperature_l2, "temperature_l2", least=0)

    def refit_labelled(self, labelled):
        """Learn the map anew, from where it is."""
        new = clone(self)
        new.start_ = self
        new.fit_labelled(labelled)
        del new.start_
        return new

    def _learn_temperature(self, labelled):
        """Learn T, and return the finite logits."""
        self.lowest_ = lowest_logit(labelled.outputs)
        self.uniform_ = 1.0 / (labelled.size + 1.0)
        logits = floored(labelled.outputs, self.lowest_)
        ridge = self.temperature_l2 / labelled.size
        start = 1.0 / self.start_.temperature_ if hasattr(self, "start_") else None
        self.temperature_ = 1.0 / fit_inverse_temperature(
            logits, labelled.codes, labelled.weight, ridge=ridge, start=start
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

    def _learn(self, labelled):
        self._learn_temperature(labelled)

    def _map(self, outputs):
        return self._tempered(outputs)


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

    def _learn(self, labelled):
        logits = self._learn_temperature(labelled)
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
