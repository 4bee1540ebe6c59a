"""What an abstention looks like among labels of a given kind."""

import numpy as np

from abstain.warnings import ColumnsWarning, warn


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
        If the label asked for, or the only choice for this kind, is a class, or it is no single label.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.utils.labels import abstain_label
    >>> abstain_label(np.array([-1, 1])), abstain_label(np.array(["cat", "dog"]))
    (-2, 'abstain')
    """
    if np.ndim(requested):
        raise ValueError(f"abstain_label must be one label; got {requested!r}.")
    label = _default(classes) if requested is None else requested
    if any(label is c or _equal(label, c) for c in classes.tolist()):
        raise ValueError(
            f"abstain_label={label!r} is one of the classes, so an abstention could not be told from an answer. "
            "Pass abstain_label= with a value that is not a class."
        )
    return label


def _equal(one, other):
    """Whether two labels are equal; what pandas calls missing says neither."""
    same = one == other
    return isinstance(same, bool | np.bool_) and bool(same)


def label_codes(y, *, least=2, name="y"):
    """Classes among labels, sorted, and the index of each label in them.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Labels.
    least : int, default=2
        Classes that there must be.
    name : str, default="y"
        What errors call them.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The classes.
    codes : ndarray of shape (n,)
        Indices into them.

    Raises
    ------
    ValueError
        If labels are infinite, continuous or of several kinds, or there is one class only.
    """
    y = np.asarray(y)
    if y.dtype.kind == "f":
        if np.isinf(y).any():
            raise ValueError(f"{name} has infinite labels: drop those samples.")
        if (y != np.floor(y)).any():
            raise ValueError(
                f"Unknown label type: continuous. {name} must hold labels; cut numbers into classes first."
            )
    try:
        classes, codes = np.unique(y, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"Unknown label type: unknown. {name} must hold labels of one kind ({error}).") from error
    if y.dtype.kind == "O" and not all(isinstance(label, str | bytes | int | float | np.generic) for label in classes):
        raise ValueError(f"Unknown label type: unknown. {name} must hold strings or numbers.")
    if len(classes) < least:
        raise ValueError(f"{name} holds 1 class, {classes.tolist()}; a classifier needs at least {least} classes.")
    return classes, codes.ravel()


def classes_of_columns(n_classes, y):
    """Labels of the columns of saved outputs.

    Parameters
    ----------
    n_classes : int
        Columns of the array.
    y : ndarray of shape (n,)
        Labels: one for each column, sorted; or the numbers of columns, which may be missing some.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Labels.

    Raises
    ------
    ValueError
        If the labels do not say which column is whose.
    """
    found = label_codes(y, least=1)[0]
    numbers = np.arange(n_classes)
    if found.dtype.kind in "iuf" and np.isin(found, numbers).all():
        if found[0] > 0 and len(found) < n_classes:
            warn(
                f"y holds no 0, and labels are taken for the numbers of {n_classes} columns, from 0. If yours begin at "
                "1, pass ClassOutputs(values, kind, classes), which names the columns.",
                ColumnsWarning,
            )
        return numbers if found.dtype.kind in "iu" else numbers.astype(np.float64)
    if found.dtype.kind == "b" and n_classes == 2:
        return np.array([False, True])
    if len(found) != n_classes:
        raise ValueError(
            f"y holds {len(found)} labels, {found[:5].tolist()}, for {n_classes} columns, and they are not the numbers "
            f"of columns, 0 to {n_classes - 1}. Pass those; or ClassOutputs(values, kind, classes), which names them."
        )
    return found


def strangers(labels, known):
    """Distinct labels that are not among the known ones; a table, which NumPy may use, has no room for huge ones."""
    distinct = np.unique(labels)
    return distinct[~np.isin(distinct, known, kind="sort")]


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
    sentinel = np.asarray(label)
    if labels.dtype.kind in "bu" and sentinel.dtype.kind == "i" and (labels.dtype.kind == "b" or _fits(labels)):
        labels = labels.astype(np.int64)
    # a float sentinel among integers takes them through floats, which hold 53 bits
    exact = sentinel.dtype.kind != "f" or labels.dtype.kind == "f" or _fits(labels, 2**53)
    numeric = labels.dtype.kind in "bif" and sentinel.dtype.kind in "if" and exact
    if not (numeric or labels.dtype.kind == sentinel.dtype.kind):
        labels, sentinel = labels.astype(object), np.asarray(label, dtype=object)
    return np.where(accept, labels, sentinel)


def _fits(labels, limit=2**63 - 1):
    """Whether no label is larger than a number of another kind can be."""
    if labels.dtype.kind not in "iu" or not labels.size:
        return True
    return max(abs(int(labels.min())), abs(int(labels.max()))) <= limit
