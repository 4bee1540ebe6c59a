"""Decisions and their labels as they arrive, checked."""

import numpy as np

from abstain.utils.validation import as_array, check_losses, check_vector


def known_losses(correct, loss, n):
    """Losses of n samples in [0, 1]; NaN where no label is known.

    Parameters
    ----------
    correct : bool or array-like of shape (n,), or None
        Whether each answer is right; NaN or None where that is not known.
    loss : float or array-like of shape (n,), or None
        Losses instead.
    n : int
        Number of samples.

    Returns
    -------
    losses : ndarray of shape (n,)
        Losses.
    """
    if (correct is None) == (loss is None):
        raise ValueError("give either correct, whether each answer was right, or loss=, the loss of each answer.")
    name, given = ("correct", correct) if loss is None else ("loss", loss)
    given = np.atleast_1d(as_array(given, name))
    if given.dtype == object:  # None among booleans
        given = np.array([np.nan if one is None else one for one in given], dtype=np.float64)
    values, found = check_vector(given, name, n=n, allow_nan=True), np.full(n, np.nan)
    there = ~np.isnan(values)
    if there.any():
        known, size = values[there], int(there.sum())
        found[there] = check_losses(known, None, size) if loss is None else check_losses(None, known, size)
    return found


def accepted_mask(accepted):
    """Booleans, one a sample, of one sample or of many; there may be none."""
    mask = np.atleast_1d(as_array(accepted, "accepted"))
    if mask.ndim != 1 or not (mask.dtype == bool or (mask.dtype.kind in "iuf" and np.isin(mask, (0, 1)).all())):
        raise ValueError(
            "accepted must hold booleans, whether each sample was answered, such as est.accept(X); got other values. "
            "Was it swapped with the score?"
        )
    return mask.astype(bool)
