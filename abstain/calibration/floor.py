"""Where a classifier says that a class cannot be: a logit that n samples can speak of, in place of minus infinity."""

import numpy as np

from abstain.utils.validation import row_blocks


def lowest_logit(outputs):
    """Lowest finite logit of the samples to learn from, relative to the largest of its row; not positive."""
    lowest = 0.0
    for rows in row_blocks(*outputs.values.shape):
        logits = outputs.logits[rows]
        relative = logits - logits.max(axis=1, keepdims=True)
        lowest = min(lowest, relative.min(initial=0.0, where=np.isfinite(relative)))
    return float(lowest)


def floored(outputs, lowest):
    """Finite logits: the values, or log-probabilities where probabilities came.

    A class that cannot be is one nat below ``lowest``, since what is rounded to zero is less than what is not. Between
    both lie probabilities that are smaller than any that was seen, in their order: there are no ties. Logits that are
    finite stay as they are.
    """
    logits = outputs.logits
    below = np.isneginf(logits) if outputs.kind == "logits" else logits < logits.max(axis=1, keepdims=True) + lowest
    if not below.any():
        return logits
    top = np.broadcast_to(logits.max(axis=1, keepdims=True), logits.shape)[below]
    logits = logits.copy()
    logits[below] = top + lowest - 1.0 + np.exp(logits[below] - top - lowest)
    return logits


def mixed(log_proba, share):
    """Log-probabilities with a share of the uniform distribution mixed in, so that none is below ``share / K``."""
    out = np.empty_like(log_proba)
    for rows in row_blocks(len(log_proba), log_proba.shape[1], 1 << 16):
        proba = np.exp(log_proba[rows])
        proba *= 1.0 - share
        proba += share / log_proba.shape[1]
        np.log(proba, out=out[rows])
    return out
