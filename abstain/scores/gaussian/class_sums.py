"""Scorers whose model follows from sums over samples of known class: blockwise fits that add up."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from abstain.scores.gaussian.statistics import ClassStatistics
from abstain.utils.borders import check_table, label_column
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.labels import label_codes, strangers
from abstain.utils.validation import row_blocks
from abstain.views import as_view

_BYTES = 1 << 24


class ClassSums(BaseEstimator):
    """Base of the scorers that learn from `ClassStatistics` alone.

    A subclass has the parameters ``at``, ``precision`` and ``normalize``, writes ``_check_parameters()``, and forgets
    what it has solved in ``_forget()``. ``_one_pass`` is False where the statistics are not all it needs.
    """

    target = "label"
    _one_pass = True

    def partial_fit(self, X: Any, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Add a block of samples.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.
        y : array-like of shape (n,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels, where this block does not hold them all; later blocks may bring more.

        Returns
        -------
        self : object
            The scorer; its model is solved when it is first asked.
        """
        self._refuse_two_passes("partial_fit")
        with unchanged_on_failure(self):
            self._accumulate(X, y, classes, reset=False)
        return self

    def merge(self, other: Any) -> Any:
        """Return a scorer fitted on the samples of both; neither changes.

        Parameters
        ----------
        other : scorer of the same kind
            Fitted on other samples of the same features; its classes may differ.

        Returns
        -------
        merged : scorer
            As if fitted on all samples.
        """
        self._refuse_two_passes("merge")
        if type(other) is not type(self):
            raise TypeError(f"other must be a {type(self).__name__}; got {type(other).__name__}.")
        for part in (self, other):
            check_is_fitted(part, "statistics_")
        if other.n_features_in_ != self.n_features_in_:
            raise ValueError(f"other was fitted on {other.n_features_in_} features, not on {self.n_features_in_}.")
        mine, theirs = (list(getattr(part, "feature_names_in_", [])) for part in (self, other))
        if mine and theirs and mine != theirs:
            raise ValueError(f"other was fitted on features of other names or order: {theirs[:5]}, not {mine[:5]}.")
        if other.normalize_ != self.normalize_:
            raise ValueError(f"other has normalize={other.normalize_}, this scorer normalize={self.normalize_}.")
        merged = type(self)(**self.get_params())
        merged.__dict__.update(vars(self))
        merged._add(other.statistics_, other.classes_)
        return merged

    def _refuse_two_passes(self, method):
        if not self._one_pass:
            raise ValueError(
                f"{method} sees the data once, and shrinkage={self.shrinkage!r} needs them twice: use fit."
            )

    def _accumulate(self, X, y, classes, *, reset):
        """Add all blocks of ``X``, or start anew with them; return the checked features and labels."""
        self._check_parameters()
        known = None if reset else getattr(self, "statistics_", None)
        if known is None:
            self.at_, self.normalize_ = self.at, self.normalize
        features = self._check(as_view(X).features, reset=known is None)
        y = label_column(y)
        check_consistent_length(features, y)
        names, codes = label_codes(y, least=1)
        if classes is not None:
            present, names = names, label_codes(label_column(classes, "classes"), least=1, name="classes")[0]
            if strangers(present, names).size:
                raise ValueError(f"y holds labels that are not in classes: {strangers(y, names)[:5].tolist()}.")
            codes = np.searchsorted(names, present)[codes]
        part = self._sums(features, codes, len(names), known and known.shift)
        if known is None:
            self._forget()
            self.statistics_, self.classes_ = part, names
        else:
            self._add(part, names)
        return features, y

    def _sums(self, features, codes, n_classes, shift):
        precision = np.dtype(self.precision)
        slices = list(row_blocks(len(features), features.shape[1], _BYTES // precision.itemsize))
        blocks = ((self._block(features, rows, precision), codes[rows]) for rows in slices)
        with np.errstate(invalid="ignore", over="ignore"):
            total = ClassStatistics.over(blocks, n_classes, shift=shift, precision=precision)
        if not np.isfinite(np.diag(total.scatter)).all():
            for rows in slices:
                assert_all_finite(features[rows], input_name="X")
            raise ValueError(f"X is too large for its squares to be summed up in {precision}: scale its columns.")
        return total

    def _add(self, part, names):
        self._forget()
        if not np.array_equal(names, self.classes_):
            if (names.dtype.kind in "US") != (self.classes_.dtype.kind in "US"):
                raise ValueError(f"labels are of other kinds: {names[:3].tolist()} and {self.classes_[:3].tolist()}.")
            union = np.union1d(self.classes_, names)
            self.statistics_ = self.statistics_.among(np.searchsorted(union, self.classes_), len(union))
            part, self.classes_ = part.among(np.searchsorted(union, names), len(union)), union
        self.statistics_ = self.statistics_.merge(part)

    def _check(self, X, reset):
        """Features as they are stored; finiteness is checked block by block, where it costs no copy."""
        features = check_table(self, X, reset=reset, dtype="numeric", ensure_all_finite=False)
        return features if features.dtype.kind == "f" else features.astype(np.float64)

    def _block(self, features, rows, dtype):
        block = features[rows]
        if self.normalize_:
            block = block.astype(dtype)
            block /= np.maximum(np.linalg.norm(block, axis=1, keepdims=True), np.finfo(dtype).tiny)
        return block
