"""Maps of the probability of one class against the rest: what two classes need, and many by one against the rest."""

import numpy as np
from scipy.special import log_expit

from abstain.calibration.base import BaseCalibrator
from abstain.calibration.floor import floored, lowest_logit, mixed
from abstain.outputs import ClassOutputs, log_softmax, log_total, split_at
from abstain.solvers.logistic import fit_logistic, platt_targets

_FAR = 1e6  # log-odds whose squares are of no use


class BaseBinaryCalibrator(BaseCalibrator):
    """Base of the maps of one probability: that of the second of two classes, or of each class against the rest.

    A subclass writes ``_fit_map(odds, true, weight)``, which returns a map as data, and ``_apply(map, odds)``, the
    log-odds after it. With three or more classes there is a map for each, and rows are made to sum to one.

    Parameters
    ----------
    {shared}
    """

    def _learn_from(self, labelled, start):
        self.lowest_ = lowest_logit(labelled.outputs)
        logits = floored(labelled.outputs, self.lowest_)
        self.uniform_ = 1.0 / (labelled.size + 1.0)
        classes = _mapped_classes(logits)
        begun = [None] * len(classes) if start is None else start.maps_
        self.maps_ = [
            self._fit_map_from(first, log_odds_against(logits, k), labelled.codes == k, labelled.weight)
            for first, k in zip(begun, classes, strict=True)
        ]

    def _fit_map_from(self, start, odds, true, weight):
        """Fit a map; solvers that walk begin at ``start``, the map of other samples, or None."""
        return self._fit_map(odds, true, weight)

    def _map(self, outputs):
        logits = floored(outputs, self.lowest_)
        odds = np.column_stack(
            [
                self._apply(found, log_odds_against(logits, k))
                for found, k in zip(self.maps_, _mapped_classes(logits), strict=True)
            ]
        )
        if odds.shape[1] == 1:
            return mixed(log_expit(np.column_stack([-odds, odds])), self.uniform_)
        log_proba = log_expit(odds)
        nowhere = np.isneginf(log_proba).all(axis=1)  # no map thinks its class possible
        log_proba[nowhere] = 0.0
        return mixed(log_softmax(log_proba), self.uniform_)


def _mapped_classes(logits):
    return [1] if logits.shape[1] == 2 else range(logits.shape[1])


def log_odds_against(logits, k):
    """Log-odds of one class against all others, (n,)."""
    if logits.shape[1] == 2:
        return logits[:, k] - logits[:, 1 - k]
    own, others = split_at(log_softmax(logits), np.full(len(logits), k))
    return own - log_total(others)


def pair(odds):
    """Outputs of two classes of which the second has these log-odds."""
    return ClassOutputs(np.column_stack([-odds / 2, odds / 2]), "logits")


class _LogisticCalibrator(BaseBinaryCalibrator):
    """A logistic function of columns that are made of the log-odds."""

    rising = True

    def _fit_map_from(self, start, odds, true, weight):
        options = {"l2": self._l2, "rising": self.rising, "start": start}
        return np.append(*fit_logistic(self._columns(odds), platt_targets(true, weight), weight, **options))

    def _apply(self, found, odds):
        return self._columns(odds) @ found[:-1] + found[-1]

    _l2 = 0.0


class Affine(_LogisticCalibrator):
    r"""Platt scaling: a slope and an intercept for the log-odds.

    Parameters
    ----------
    {shared}

    Attributes
    ----------
    maps_ : list of ndarray of shape (2,)
        Slope and intercept, of the second of two classes, or of each class.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    Notes
    -----
    .. math:: q = \sigma(a \ln \tfrac{p}{1 - p} + b), \qquad a > 0

    of least log-loss, with targets short of 0 and 1 as Platt has them. The log-odds are those of the probability; a
    sigmoid of the probability itself, which is often meant by the name, cannot leave a true one as it is.

    References
    ----------
    J. Platt, "Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized Likelihood Methods",
    Advances in Large Margin Classifiers, 1999.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import Affine
    >>> rng = np.random.default_rng(0)
    >>> odds = rng.normal(size=20_000)
    >>> y = rng.logistic(size=20_000) < 2 * odds + 1
    >>> Affine().fit(np.column_stack([-odds / 2, odds / 2]), y).maps_[0].round(1)
    array([2., 1.])
    """

    @staticmethod
    def _columns(odds):
        return odds[:, None]


class Beta(_LogisticCalibrator):
    r"""Beta calibration: a slope for each end of the unit interval.

    Parameters
    ----------
    {shared}

    Attributes
    ----------
    maps_ : list of ndarray of shape (3,)
        a, b and c below, of the second of two classes, or of each class.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    Notes
    -----
    .. math:: q = \sigma(a \ln p - b \ln(1 - p) + c), \qquad a, b \ge 0

    References
    ----------
    M. Kull, T. Silva Filho, P. Flach, "Beta Calibration: A Well-founded and Easily Implemented Improvement on Logistic
    Calibration for Binary Classifiers", AISTATS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import Beta
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(20_000)
    >>> y = rng.random(20_000) < p**2 / (p**2 + (1 - p))
    >>> Beta(kind="proba").fit(np.column_stack([1 - p, p]), y).maps_[0].round()[:2]
    array([2., 1.])
    """

    @staticmethod
    def _columns(odds):
        return np.column_stack([log_expit(odds), -log_expit(-odds)])


class Quadratic(_LogisticCalibrator):
    r"""A parabola of the log-odds: the optimum where both classes have normal log-odds of different widths.

    Parameters
    ----------
    {shared}

    Attributes
    ----------
    maps_ : list of ndarray of shape (3,)
        a, b and c below, of the second of two classes, or of each class.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    Notes
    -----
    .. math:: q = \sigma(a l + b l^2 + c), \qquad l = \ln \tfrac{p}{1 - p}

    Far out a parabola turns back, so that it does not keep the order of what is rarer than the samples it has seen.

    References
    ----------
    E. Berta, D. Holzmüller, M. I. Jordan, F. Bach, "Structured Matrix Scaling for Multi-Class Calibration", AISTATS
    2026.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import Quadratic
    >>> rng = np.random.default_rng(0)
    >>> odds = rng.normal(size=20_000)
    >>> y = rng.logistic(size=20_000) < odds + 0.5 * odds**2
    >>> Quadratic().fit(np.column_stack([-odds / 2, odds / 2]), y).maps_[0].round(1)[:2]
    array([1. , 0.5])
    """

    rising = False
    _l2 = 1.0

    @staticmethod
    def _columns(odds):
        odds = np.clip(odds, -_FAR, _FAR)
        return np.column_stack([odds, odds**2])
