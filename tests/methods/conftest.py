"""Data that a linear classifier is weak on, and AutoTrust behind one."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from abstain import AutoTrust


@pytest.fixture(scope="session")
def curved():
    """Four rings in the plane and two idle features: a linear classifier is weak, neighbours are not."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1600, 4))
    y = (np.hypot(X[:, 0], X[:, 1]) > 1.2).astype(int) + 2 * (X[:, 0] > 0)
    y = np.where(rng.random(1600) < 0.05, rng.integers(0, 4, 1600), y)
    return X[:800], y[:800], X[800:], y[800:]


@pytest.fixture(scope="session")
def fitted(curved):
    X, y, *_ = curved
    return AutoTrust(LogisticRegression(), cv=3, random_state=0).fit(X, y)
