"""What the displays share; matplotlib is imported on use."""

import numpy as np

from abstain.utils.optional import import_extra


def new_axes(ax):
    """The axes given, or new ones."""
    if ax is None:
        _, ax = import_extra("matplotlib.pyplot", "plot").subplots()
    return ax


def held_out(estimator, X, y):
    """Correctness, score and probabilities of a fitted estimator on labelled data."""
    proba = estimator.predict_proba(X)
    correct = estimator.classes_[proba.argmax(axis=1)] == np.asarray(y)
    return correct, estimator.score_samples(X), proba
