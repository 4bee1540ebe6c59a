"""Small data for examples and tests: embedded real digits made hard, and synthetic data whose risk is known."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed
from abstain.utils.validation import check_count, check_number, check_unit


def load_hard_digits(*, noise: float = 5.0, random_state: Seed = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits with pixel noise, so that a classifier makes errors.

    Parameters
    ----------
    noise : float, default=5.0
        Standard deviation of the noise; pixels range from 0 to 16.
    random_state : int, RandomState or None, default=0
        Seed.

    Returns
    -------
    X : ndarray of shape (1797, 64)
        float32 features.
    y : ndarray of shape (1797,)
        Labels 0 to 9.

    Examples
    --------
    >>> from abstain.datasets import load_hard_digits
    >>> load_hard_digits()[0].shape
    (1797, 64)
    """
    check_number(noise, "noise", least=0)
    X, y = load_digits(return_X_y=True)
    rng = check_seed(random_state)
    return (X + rng.normal(scale=noise, size=X.shape)).astype(np.float32), y


def make_known_risk(
    n_samples: int = 1000, *, scale: float = 0.6, power: float = 2.0, random_state: Seed = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw scores and correctness whose selective risk is known at every coverage.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of samples.
    scale, power : float, default=0.6, 2.0
        P(error | score s) = scale (1 - s) ** power, with s uniform on [0, 1].
    random_state : int, RandomState or None, default=None
        Seed.

    Returns
    -------
    score : ndarray of shape (n_samples,)
        Scores.
    correct : ndarray of shape (n_samples,) of bool
        Whether each prediction is right.

    Notes
    -----
    Accepting ``s >= 1 - c`` has coverage c and risk ``scale * c ** power / (power + 1)``; see `known_risk`.

    Examples
    --------
    >>> from abstain.datasets import make_known_risk
    >>> score, correct = make_known_risk(500, random_state=0)
    >>> score.shape, correct.dtype
    ((500,), dtype('bool'))
    """
    check_count(n_samples, "n_samples")
    check_unit(scale, "scale", closed=True)
    check_number(power, "power", least=0)
    rng = check_seed(random_state)
    score = rng.uniform(size=n_samples)
    return score, rng.uniform(size=n_samples) >= scale * (1 - score) ** power


def known_risk(threshold: float | np.ndarray, *, scale: float = 0.6, power: float = 2.0) -> float | np.ndarray:
    """True selective risk of a threshold on the data of `make_known_risk`.

    Parameters
    ----------
    threshold : float or ndarray
        Accept scores at or above it.
    scale, power : float, default=0.6, 2.0
        As in `make_known_risk`.

    Returns
    -------
    risk : float or ndarray
        Error rate of the accepted; 0 where nothing is accepted.

    Examples
    --------
    >>> from abstain.datasets import known_risk
    >>> float(known_risk(0.5).round(3))
    0.05
    """
    coverage = np.clip(1 - np.asarray(threshold, dtype=float), 0.0, 1.0)
    return (scale * coverage**power / (power + 1))[()]


def make_known_posterior(
    n_samples: int = 1000, *, n_classes: int = 3, separation: float = 1.5, random_state: Seed = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw Gaussian classes together with their true posterior, whose maximum is the best possible score.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of samples.
    n_classes : int, default=3
        Classes, one unit Gaussian each, in as many dimensions.
    separation : float, default=1.5
        Distance of each mean from the origin along its own axis.
    random_state : int, RandomState or None, default=None
        Seed.

    Returns
    -------
    X : ndarray of shape (n_samples, n_classes)
        Features.
    y : ndarray of shape (n_samples,)
        Labels.
    posterior : ndarray of shape (n_samples, n_classes)
        P(y | X).

    Examples
    --------
    >>> from abstain.datasets import make_known_posterior
    >>> X, y, posterior = make_known_posterior(4, random_state=0)
    >>> posterior.sum(axis=1).round(6)
    array([1., 1., 1., 1.])
    """
    check_count(n_samples, "n_samples")
    check_count(n_classes, "n_classes", least=2)
    check_number(separation, "separation")
    rng = check_seed(random_state)
    y = rng.randint(n_classes, size=n_samples)
    X = rng.normal(size=(n_samples, n_classes)) + separation * np.eye(n_classes)[y]
    logits = separation * X
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return X, y, weights / weights.sum(axis=1, keepdims=True)
