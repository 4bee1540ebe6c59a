"""Parts that tests build by hand."""

import numpy as np

from abstain.outputs import ClassOutputs
from abstain.policies.calibration import Events
from abstain.views import View


def made_view(features, log_proba=None, *, classes=None, logits=None, extra=None):
    """A view of features and log-probabilities, or declared logits."""
    values = log_proba if logits is None else logits
    if values is None:
        return View(features, extra=extra)
    if logits is not None:
        return View(features, ClassOutputs(logits, "logits", classes), extra=extra)
    proba = np.exp(log_proba)
    return View(features, ClassOutputs(proba / proba.sum(axis=1, keepdims=True), "proba", classes), extra=extra)


def made_events(loss):
    """One answer to each sample, and what it costs."""
    return Events(None, loss, None, np.arange(loss.size), np.ones(loss.size, dtype=bool))
