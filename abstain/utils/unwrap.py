"""Find what is inside pipelines and searches."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike
from sklearn.utils.validation import _num_samples


def steps_of(model):
    """The (name, step) pairs of a pipeline, whatever library it comes from; None for any other.

    A number of steps to train for is none of them.
    """
    steps: Any = getattr(model, "steps", None)
    pairs = isinstance(steps, list | tuple) and all(
        isinstance(step, list | tuple) and len(step) == 2 and isinstance(step[0], str) for step in steps
    )
    return steps if pairs and steps else None


def through(steps, X):
    """Data after the transformers among some steps; those that only resample training data are passed by."""
    n = _num_samples(X)
    for step in steps:
        if hasattr(step, "transform"):
            X = step.transform(X)
    if _num_samples(X) != n:
        raise ValueError(
            f"X has {n} rows, of which the transformers of the pipeline made {_num_samples(X)}. Does a transformer of "
            'texts get a frame? Pass the column itself: frame["text"].'
        )
    return X


def unwrap(model: Any, X: Any) -> tuple[Any, ArrayLike]:
    """Find the selective classifier inside pipelines and searches, and the data as it sees them.

    Parameters
    ----------
    model : estimator
        A fitted selective classifier, or a fitted Pipeline or search around one, nested as you like.
    X : array-like
        Data, as ``model`` takes them.

    Returns
    -------
    classifier : BaseSelectiveClassifier
        The classifier.
    X : array-like
        The data after the transformers. Steps that only resample training data, as in imbalanced-learn, are passed by.

    Raises
    ------
    TypeError
        If there is no selective classifier inside.
    """
    if hasattr(model, "decide"):
        return model, X
    if hasattr(model, "best_estimator_"):
        return unwrap(model.best_estimator_, X)
    if steps := steps_of(model):
        return unwrap(steps[-1][1], through((step for _, step in steps[:-1]), X))
    raise TypeError(
        f"{type(model).__name__} has no decide, and is no fitted Pipeline or search around a selective classifier. "
        "Wrap the classifier: SelectiveClassifier(estimator)."
    )
