"""Small maps of logits that are fitted to a class loss with a strength for each sample."""

from typing import NamedTuple

import numpy as np

from abstain.solvers.lbfgs import minimise

# of the ridge on intercepts, since a common one does nothing
_TRACE = 1e-6


class AffineHead(NamedTuple):
    """Logits are ``slope * x + intercept``; a temperature has no intercept."""

    slope: float
    intercept: np.ndarray | None = None

    def __call__(self, x):
        """Logits, (n, K)."""
        return self.slope * x if self.intercept is None else self.slope * x + self.intercept


class LinearHead(NamedTuple):
    """Logits are ``x @ matrix.T + intercept``."""

    matrix: np.ndarray
    intercept: np.ndarray

    def __call__(self, x):
        """Logits, (n, K)."""
        return x @ self.matrix.T + self.intercept


def fit_temperature_head(loss, x, codes, weight, strength):
    """One factor of least mean loss, as an `AffineHead` without intercept."""
    found = _minimised(loss, np.ones(1), x, codes, weight, strength, _factor)
    return AffineHead(float(found[0]))


def fit_affine_head(loss, x, codes, weight, strength):
    """A factor and intercepts of least mean loss, as an `AffineHead`."""
    start = np.append(1.0, np.zeros(x.shape[1]))
    found = _minimised(loss, start, x, codes, weight, strength, _factor_and_intercepts)
    return AffineHead(float(found[0]), found[1:])


def fit_linear_head(loss, x, codes, weight, strength, l2):
    """A matrix and intercepts of least mean loss plus ``l2 / (2 n)`` times the squared distance to the identity.

    Parameters
    ----------
    loss : ClassLoss
        Loss of logits.
    x : ndarray of shape (n, K)
        Logits.
    codes, weight, strength : ndarray of shape (n,)
        True classes, weights, and what the loss itself asks for.
    l2 : float
        Penalty.

    Returns
    -------
    head : LinearHead
        The minimiser.
    """
    n, k = x.shape
    identity = np.append(np.eye(k).ravel(), np.zeros(k))

    def mapped(parameters):
        matrix, intercept = parameters[: k * k].reshape(k, k), parameters[k * k :]
        away = parameters - identity
        ridge = np.append(np.full(k * k, l2 / n), np.full(k, _TRACE))

        def gradient(by_logit):
            return np.append((by_logit.T @ x).ravel(), by_logit.sum(axis=0)) + ridge * away

        return x @ matrix.T + intercept, gradient, 0.5 * ridge @ away**2

    found = _minimised(loss, identity, x, codes, weight, strength, lambda parameters, _: mapped(parameters))
    return LinearHead(found[: k * k].reshape(k, k), found[k * k :])


def _factor(parameters, x):
    return parameters[0] * x, lambda by_logit: np.array([np.sum(by_logit * x)]), 0.0


def _factor_and_intercepts(parameters, x):
    shift = parameters[1:]

    def gradient(by_logit):
        return np.append(np.sum(by_logit * x), by_logit.sum(axis=0) + _TRACE * shift)

    return parameters[0] * x + shift, gradient, 0.5 * _TRACE * np.sum(shift**2)


def _minimised(loss, start, x, codes, weight, strength, mapped):
    """Parameters of least loss; ``mapped(parameters, x)`` gives logits, their pull-back and a penalty."""
    share = weight / weight.sum()

    def objective(parameters, _):
        logits, gradient, penalty = mapped(parameters[:, 0], x)
        value, by_logit = loss.value_and_derivative(logits, codes, strength)
        return np.array([share @ value + penalty]), gradient(share[:, None] * by_logit)[:, None]

    return minimise(objective, start[:, None], tol=1e-6).x[:, 0]
