"""Folds: which rows are held out from which, and the one loop that fits and asks over them."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.model_selection import (
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    check_cv,
)

from abstain.utils.validation import check_count, check_groups
from abstain.warnings import RareClassWarning, warn

# splitters that draw rows at random, whatever the rows are, so that others may be drawn beside theirs
_RANDOM = (ShuffleSplit, StratifiedShuffleSplit)
_N_SPLITS = 5


class Folds:
    """Splits of n rows, each a pair of rows to learn from and rows held out.

    Parameters
    ----------
    splits : list of (ndarray, ndarray)
        Row indices, or masks.
    n : int
        Number of rows.
    groups : ndarray of shape (n,), default=None
        Rows of one group are never on both sides of a split.
    redraw : bool, default=False
        Whether rows may be split anew at random.

    Raises
    ------
    ValueError
        If a split holds out rows that it learns from, or divides a group.
    """

    def __init__(self, splits: list, n: int, groups: np.ndarray | None = None, *, redraw: bool = False) -> None:
        self.splits = [_positions(split, n) for split in splits]
        self.n, self.groups, self.redraw = n, groups, redraw
        for train, test in self.splits:
            self._check(train, test)

    def __iter__(self):
        return iter(self.splits)

    def __len__(self):
        return len(self.splits)

    def _check(self, train, test):
        learnt = np.zeros(self.n, dtype=bool)
        learnt[train] = True
        shared = int(learnt[test].sum())
        if shared:
            raise ValueError(
                f"cv holds out {shared} rows that it also trains on, so that nothing is held out. Pass a splitter or "
                "splits whose two sides differ."
            )
        if self.groups is None:
            return
        divided = np.intersect1d(self.groups[train], self.groups[test])
        if divided.size:
            raise ValueError(
                f"cv divides {divided.size} of the groups, {divided[:3].tolist()} among them, between training and "
                "held-out rows. Use GroupKFold, StratifiedGroupKFold or a number as cv."
            )

    @property
    def tested(self) -> np.ndarray:
        """Rows that are held out by some split, in order."""
        return np.unique(np.concatenate([test for _, test in self.splits])) if self.splits else np.empty(0, dtype=int)

    @property
    def scored_by(self) -> np.ndarray:
        """Which split tested each row last, (n,); -1 for none. Where splits overlap the last one has scored."""
        last = np.full(self.n, -1)
        for i, (_, test) in enumerate(self.splits):
            last[test] = i
        return last

    def among(self, rows: np.ndarray, strata: np.ndarray, seed: int) -> "Folds":
        """Folds of some of the rows, by which something can be learnt from what is known of those alone.

        They are the same splits where these hold out every row. Else rows are split anew, by their groups or, where the
        splitter was random, at random; without either, the same splits serve as far as they hold those rows.

        Parameters
        ----------
        rows : ndarray of int
            The rows, in order.
        strata : ndarray
            Kind of each of them, spread evenly over new folds.
        seed : int
            Seed of new folds.

        Returns
        -------
        folds : Folds
            Of ``len(rows)`` rows, numbered in their order.

        Raises
        ------
        ValueError
            If rows would have to be split anew and nothing says which belong together.
        """
        if self.tested.size == self.n == len(rows):
            return self
        groups = None if self.groups is None else self.groups[rows]
        if groups is not None or self.redraw:
            return _drawn(_N_SPLITS, strata, groups, seed)
        restricted = [tuple(np.flatnonzero(np.isin(rows, part)) for part in split) for split in self.splits]
        usable = [split for split in restricted if split[0].size and split[1].size]
        if len(usable) > len(self) // 2:
            return Folds(usable, len(rows))
        raise ValueError(
            f"cv gives {len(self)} split{'' if len(self) == 1 else 's'}, so that what learns from the held-out "
            f"predictions of {len(rows)} rows must split these anew, and nothing says which rows belong together. "
            "Pass groups= to fit, or splits that hold out every row once."
        )


def make_folds(cv, X, strata, *, groups=None, seed=0) -> Folds:
    """Make folds from what the user gave as ``cv``.

    Parameters
    ----------
    cv : int, splitter or iterable
        A number of folds, stratified and shuffled, and by groups where there are any; or as in scikit-learn.
    X : array-like of shape (n, ...)
        The data, for splitters that look at them.
    strata : ndarray of shape (n,)
        Class of each row, or whatever folds shall hold in equal shares.
    groups : array-like of shape (n,), default=None
        Groups that no split may divide.
    seed : int, default=0
        Seed of the folds of a number.

    Returns
    -------
    folds : Folds
        As many as the strata and groups allow.
    """
    groups = None if groups is None else check_groups(groups, len(strata))
    if isinstance(cv, int | np.integer) or cv is None:
        return _drawn(check_count(cv, "cv", least=2), strata, groups, seed)
    if isinstance(cv, str | float):
        raise ValueError(f"cv must be a number of folds of at least 2, a splitter or a list of splits; got {cv!r}.")
    splitter = check_cv(cv, strata, classifier=True)
    options = {"groups": groups} if groups is not None and _takes_groups(splitter) else {}
    # scikit-learn unpacks the splits of a list unseen
    splits = list(splitter.split(X, strata, **options) if hasattr(cv, "split") else splitter.cv)
    if not splits:
        raise ValueError("cv gave no splits: an iterator serves one fit only. Pass a list, a splitter or a number.")
    folds = Folds(splits, len(strata), groups, redraw=isinstance(splitter, _RANDOM))
    if not all(len(train) for train, _ in folds):
        raise ValueError("cv gives a split without training rows, by which nothing can be held out.")
    if not folds.tested.size:
        raise ValueError("cv holds out no rows: no split has any to test.")
    return folds


def _takes_groups(splitter):
    if hasattr(splitter, "get_metadata_routing"):
        return splitter.get_metadata_routing().split.requests.get("groups") is True
    return "groups" in inspect.signature(splitter.split).parameters


def _drawn(n_splits, strata, groups, seed):
    """Shuffled folds with even shares of the strata; rows of one group stay together."""
    codes, counts = np.unique(strata, return_inverse=True, return_counts=True)[1:]
    # rows dealt to more folds would leave the class of each held-out row smaller than the others
    most = int(min(n_splits, counts.max()))
    if most < 2:
        raise ValueError(
            f"cv={n_splits}: cross-fitting needs a class with at least 2 samples; got n_samples={len(strata)} with at "
            "most 1 sample a class. Give more data, or FrozenEstimator(estimator)."
        )
    if groups is None:
        return Folds(_stratified(codes, counts, most, seed), len(strata), redraw=True)
    most = min(most, len(np.unique(groups)))
    if most < 2:
        raise ValueError("groups has 1 group, which no fold may divide: give data of at least 2 groups.")
    # a splitter that warns of strata that are rarer than folds is told of one stratum instead
    spread = codes if counts.min() >= most else np.zeros_like(codes)
    splits = StratifiedGroupKFold(most, shuffle=True, random_state=seed).split(spread, spread, groups)
    return Folds([split for split in splits if len(split[1])], len(strata), groups)


def _stratified(codes, counts, n_splits, seed):
    if counts.min() >= n_splits:
        return list(StratifiedKFold(n_splits, shuffle=True, random_state=seed).split(codes, codes))
    # rows in the order of their strata, shuffled within, dealt out one by one
    rng = np.random.RandomState(seed)
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    fold = np.empty(len(codes), dtype=int)
    fold[order] = np.arange(len(codes)) % n_splits
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(n_splits)]


def warn_missing_classes(folds, codes, classes):
    """Warn of classes that some split has nothing of to learn from: held-out samples of theirs count as errors."""
    missing, lost = set(), 0
    for train, test in folds:
        absent = np.setdiff1d(codes[test], codes[train])
        missing.update(absent.tolist())
        lost += int(np.isin(codes[test], absent).sum())
    if missing:
        names = [str(classes[code]) for code in sorted(missing)[:5]]
        warn(
            f"{len(missing)} classes ({', '.join(names)}{' ...' if len(missing) > 5 else ''}) are missing from a "
            f"training fold, so that {lost} held-out samples of theirs count as errors. Use a smaller, or a "
            "stratified and shuffled cv, merge rare classes, or give more data.",
            RareClassWarning,
        )


def held_out(folds: Folds, fit: Callable, predict: Callable, *, n_jobs: int | None = None) -> Any:
    """Fit on each split, and ask about the rows that it holds out.

    Parameters
    ----------
    folds : Folds
        The splits.
    fit : callable
        ``fit(train) -> model``, of row indices.
    predict : callable
        ``predict(model, test) -> array``, or a tuple of arrays, with one entry for each row.
    n_jobs : int, default=None
        Splits worked on at once; joblib's backends apply.

    Returns
    -------
    out : ndarray or tuple of ndarray
        One entry for each of the ``folds.n`` rows, NaN for rows that no split holds out.
    """
    found = Parallel(n_jobs=n_jobs)(delayed(_held_out)(fit, predict, train, test) for train, test in folds)
    if isinstance(found[0], tuple):
        return tuple(_assembled(folds, parts) for parts in zip(*found, strict=True))
    return _assembled(folds, found)


def _held_out(fit, predict, train, test):
    return predict(fit(train), test)


def _assembled(folds, parts):
    dtype = np.result_type(np.float16, *(part.dtype for part in parts))
    out = np.full((folds.n, *parts[0].shape[1:]), np.nan, dtype=dtype)
    for (_, test), part in zip(folds, parts, strict=True):
        out[test] = part
    return out


def _positions(split, n):
    """Rows of the two parts of a split, which may be masks, or empty."""
    try:
        train, test = (np.asarray(part) for part in split)
    except (TypeError, ValueError) as error:
        raise ValueError(f"cv must give pairs of training and test rows; got {split!r:.80}.") from error
    return _rows(train, n), _rows(test, n)


def _rows(part, n):
    if part.dtype == bool and part.shape == (n,):
        return np.flatnonzero(part)
    if not part.size:
        return np.empty(0, dtype=int)
    if part.ndim != 1 or part.dtype.kind not in "iu" or part.min() < 0 or part.max() >= n:
        raise ValueError(f"cv must give indices of the {n} rows, or masks of them; got {part!r:.80}.")
    return part
