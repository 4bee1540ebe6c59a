"""A network's own last layer as a scikit-learn classifier."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from abstain.utils.borders import label_column
from abstain.utils.labels import label_codes
from abstain.utils.validation import check_vector, finite_array


def linear_head(weight: ArrayLike, bias: ArrayLike | None = None, classes: ArrayLike | None = None) -> FrozenEstimator:
    """Wrap the last linear layer of a trained network as a fitted, frozen classifier.

    Parameters
    ----------
    weight : array-like of shape (n_classes, n_features)
        Weights, rows in the order of ``classes``. The identity takes saved logits themselves as features.
    bias : array-like of shape (n_classes,), default=None
        Biases; None is 0.
    classes : array-like of shape (n_classes,), default=None
        Labels, sorted; None is 0, 1, ..., n_classes - 1.

    Returns
    -------
    classifier : FrozenEstimator
        Around a `LogisticRegression`: ``predict_proba`` is the softmax of the layer, ``decision_function`` its logits
        (the log-odds for two classes).

    Raises
    ------
    ValueError
        If shapes disagree, or the labels are not sorted and distinct.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain import linear_head
    >>> head = linear_head(np.eye(3), classes=["cat", "dog", "emu"])
    >>> head.predict([[0.1, 2.0, 0.3]])
    array(['dog'], dtype='<U3')
    """
    table = finite_array(weight, "weight")
    if table.ndim != 2 or table.shape[0] < 2:
        raise ValueError(f"weight must have shape (n_classes, n_features) with 2 classes or more; got {table.shape}.")
    n_classes = table.shape[0]
    bias = check_vector(np.zeros(n_classes) if bias is None else bias, "bias")
    classes = label_column(np.arange(n_classes) if classes is None else classes, "classes")
    if bias.shape != (n_classes,) or classes.shape != (n_classes,):
        raise ValueError(
            f"bias and classes must have one entry a row of weight, ({n_classes},); "
            f"got {bias.shape} and {classes.shape}."
        )
    if not np.array_equal(label_codes(classes, name="classes")[0], classes):
        raise ValueError("classes must be sorted and distinct; sort them, and the rows of weight and bias with them.")
    head = LogisticRegression()
    if n_classes == 2:
        table, bias = table[1:] - table[:1], bias[1:] - bias[:1]
    head.classes_, head.coef_, head.intercept_ = classes, table, bias
    head.n_features_in_, head.n_iter_ = table.shape[1], np.zeros(1, dtype=np.int32)
    return FrozenEstimator(head)
