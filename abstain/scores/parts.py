"""Fits of models that are sums over samples, in parts that workers read for themselves, on one machine or on many."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import ArrayLike
from sklearn.base import clone

from abstain.utils.borders import label_column
from abstain.utils.slices import place_of, read
from abstain.utils.validation import check_count, check_jobs


def fit_in_parts(estimator: Any, X: Any, y: ArrayLike, *, n_parts: int | None = None, n_jobs: int | None = None) -> Any:
    """Fit parts of the data by workers, and merge them.

    Parameters
    ----------
    estimator : estimator
        With ``partial_fit`` and ``merge``: `Mahalanobis`, `RelativeMahalanobis`, `abstain.calibration.Temperature`.
    X : str, Path or array-like of shape (n, d)
        Features, or logits of a `Temperature`. A path is a ``.npy`` file; of that, and of a whole memory map, workers
        are given the place and read their rows themselves. Other arrays are sent to workers that are other processes.
    y : array-like of shape (n,)
        Labels; of logits they are numbers of columns, or have a value for each of them.
    n_parts : int, default=None
        Number of parts; None is one a worker.
    n_jobs : int, default=None
        Workers of joblib. With ``joblib.parallel_config(backend="dask")`` they are those of a cluster, which must see
        the file by the same path.

    Returns
    -------
    fitted : estimator
        As if fitted on all samples; ``estimator`` stays as it is.

    Raises
    ------
    TypeError
        If the estimator cannot be merged.
    ValueError
        If labels and rows are not as many.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain import RelativeMahalanobis
    >>> from abstain.scores import fit_in_parts
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> scorer = RelativeMahalanobis()
    >>> parts = fit_in_parts(scorer, X, y, n_parts=4)
    >>> bool(np.allclose(parts.score_samples(X), scorer.fit(X, y).score_samples(X)))
    True
    """
    for method in ("partial_fit", "merge"):
        if isinstance(estimator, type) or not hasattr(estimator, method):
            raise TypeError(f"estimator must have partial_fit and merge, to be fitted in parts; got {estimator!r}.")
    check_jobs(n_jobs)
    X, y = np.load(X, mmap_mode="r") if isinstance(X, str | Path) else np.asanyarray(X), label_column(y)
    if len(X) != len(y):
        raise ValueError(f"y must have a label for each row of X, {len(X)}; got {len(y)}.")
    count = effective_n_jobs(n_jobs) if n_parts is None else check_count(n_parts, "n_parts")
    edges = np.linspace(0, len(y), min(count, len(y)) + 1).astype(int).tolist()
    slices = [slice(a, b) for a, b in pairwise(edges)]
    # numbers of columns speak for themselves, other labels by the company of all
    known = {} if y.dtype.kind in "iu" else {"classes": np.unique(y)}
    fitted = Parallel(n_jobs=n_jobs)(
        delayed(_fitted)(clone(estimator), place_of(X, rows), y[rows], known) for rows in slices
    )
    total = fitted[0]
    for part in fitted[1:]:
        total = total.merge(part)
    return total


def _fitted(estimator, part, y, known):
    return estimator.partial_fit(read(part), y, **known)
