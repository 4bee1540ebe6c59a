"""Weights of networks leave an estimator while it is saved, and come back while it is loaded."""

from contextlib import contextmanager
from contextvars import ContextVar

import joblib

_CARGO: ContextVar[dict | None] = ContextVar("cargo", default=None)


@contextmanager
def cargo(weights):
    """Let networks put their weights into a dictionary, or take them from it, in this context.

    Parameters
    ----------
    weights : dict of str to dict of str to ndarray
        Weights by what identifies them; the same weights are kept once.
    """
    token = _CARGO.set(weights)
    try:
        yield weights
    finally:
        _CARGO.reset(token)


def is_shipping():
    """Whether weights leave and come back apart from what they belong to."""
    return _CARGO.get() is not None


def packed(weights):
    """Put weights aside; return what identifies them, or themselves where nothing is shipped."""
    hold = _CARGO.get()
    if hold is None:
        return weights
    key = joblib.hash(weights)
    hold[key] = weights
    return key


def unpacked(weights):
    """Return the weights of an identification; weights themselves stay as they are."""
    hold = _CARGO.get()
    return hold[weights] if hold is not None and isinstance(weights, str) else weights
