"""Where a classifier says that a class cannot be: a logit that n samples can speak of, in place of minus infinity."""

import numpy as np

from abstain.utils.validation import row_blocks

_BEYOND = 1e100  # differences of logits that are none of numbers any more


def lowest_logit(outputs):
    """Lowest finite logit of the samples to learn from, relative to the largest of its row; not positive."""
    lowest = 0.0
    for rows in row_blocks(*outputs.values.shape):
        logits = outputs.logits[rows]
        largest = logits.max(axis=1)
        with np.errstate(over="ignore"):
            relative = logits.min(axis=1) - largest
            if (relative <= -_BEYOND).any():
                relative = logits - largest[:, None]
        lowest = min(lowest, relative.min(initial=0.0, where=relative > -_BEYOND))
    return float(lowest)


def floored(outputs, lowest):
    """Finite logits: the values, or log-probabilities where probabilities came.

    A class that cannot be is one nat below ``lowest``, since what is rounded to zero is less than what is not. Between
    both lie probabilities that are smaller than any that was seen, in their order: there are no ties. Logits that are
    finite stay as they are, above those that are not.
    """
    logits = outputs.logits
    if outputs.kind == "logits" and logits.min() > -_BEYOND / 2 and logits.max() < _BEYOND / 2:
        return logits
    with np.errstate(over="ignore"):
        relative = logits - logits.max(axis=1, keepdims=True)
    below = relative < (-_BEYOND if outputs.kind == "logits" else lowest)
    if not below.any():
        return logits
    if outputs.kind == "logits":
        lowest = np.minimum(lowest, np.min(relative, axis=1, keepdims=True, where=~below, initial=0.0))
    beyond = lowest - 1.0 + np.exp(relative - lowest, where=below, out=np.zeros_like(relative))
    relative[below] = beyond[below]
    return np.where(below.any(axis=1, keepdims=True), relative, logits)  # each row by itself


def mixed(log_proba, share):
    """Mix a share of the uniform distribution in, so that no probability is below ``share / K``; in place."""
    for rows in row_blocks(len(log_proba), log_proba.shape[1], 1 << 16):
        proba = np.exp(log_proba[rows])
        proba *= 1.0 - share
        proba += share / log_proba.shape[1]
        np.log(proba, out=log_proba[rows])
    return log_proba
