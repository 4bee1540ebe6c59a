"""What an abstention looks like among labels of a given kind."""

import numpy as np


def abstain_label(classes, requested=None):
    """Choose the label that stands for "no answer".

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The labels that are answers.
    requested : object, default=None
        The label asked for. None chooses by kind: -1 for integers and booleans (one below the smallest
        class where -1 is one), ``"abstain"`` for strings, ``nan`` for floats.

    Returns
    -------
    label : object
        A label that is not a class.

    Raises
    ------
    ValueError
        If the label asked for, or the only choice for this kind, is a class.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.utils.labels import abstain_label
    >>> abstain_label(np.array([-1, 1])), abstain_label(np.array(["cat", "dog"]))
    (-2, 'abstain')
    """
    label = _default(classes) if requested is None else requested
    if any(label is c or label == c for c in classes.tolist()):
        raise ValueError(
            f"abstain_label={label!r} is one of the classes, so an abstention could not be told from an answer. "
            "Pass abstain_label= with a value that is not a class."
        )
    return label


def _default(classes):
    kind = classes.dtype.kind
    if kind == "b":
        return -1
    if kind in "iu":
        smallest = int(classes.min())
        return -1 if -1 not in classes.tolist() else smallest - 1
    if kind == "f":
        return float("nan")
    return "abstain"


def fill_abstentions(labels, accept, label):
    """Replace the labels that are not accepted, widening the dtype where the sentinel needs it.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Predicted labels.
    accept : ndarray of shape (n,) of bool
        True keeps the label.
    label : object
        The sentinel.

    Returns
    -------
    decided : ndarray of shape (n,)
        Labels, with the sentinel where the verdict is to abstain.
    """
    if labels.dtype.kind in "bu" and isinstance(label, int | np.integer):
        labels = labels.astype(np.int64)
    sentinel = np.asarray(label)
    numeric = labels.dtype.kind in "bif" and sentinel.dtype.kind in "if"
    if not (numeric or labels.dtype.kind == sentinel.dtype.kind):
        labels, sentinel = labels.astype(object), np.asarray(label, dtype=object)
    return np.where(accept, labels, sentinel)
