"""Gaussian classes for the scorers of features."""

import pytest


@pytest.fixture
def classes():
    """A function that draws features and labels."""
    return _classes


def _classes(rng, n=400, d=6, k=4, spread=2.0, offset=5.0):
    y = rng.integers(0, k, n)
    mixing = rng.normal(size=(d, d))
    return rng.normal(size=(n, d)) @ mixing + spread * rng.normal(size=(k, d))[y] + offset, y
