"""Scorers whose model follows from sums over samples of known class: blockwise fits that add up."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from abstain.scores._gaussian import ClassStatistics
from abstain.scores.inputs import as_inputs
from abstain.utils.validation import row_blocks

_ELEMENTS = 1 << 22


class ClassSums(BaseEstimator):
    """Base of the scorers that learn from `ClassStatistics` alone.

    A subclass has the parameters ``precision`` and ``normalize``, writes ``_check_parameters()``, and forgets what it
    has solved in ``_forget()``. ``_one_pass`` is False where the statistics are not all it needs.
    """

    target = "label"
    _one_pass = True

    def partial_fit(self, X, y, classes=None):
        """Add a block of samples.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.
        y : array-like of shape (n,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that there will be; None takes those that have come.

        Returns
        -------
        self : object
            The scorer; its model is solved when it is first asked.
        """
        self._refuse_two_passes("partial_fit")
        self._accumulate(X, y, classes)
        return self

    def merge(self, other):
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
        for part in (self, other):
            check_is_fitted(part, "statistics_")
        if other.n_features_in_ != self.n_features_in_:
            raise ValueError(f"other was fitted on {other.n_features_in_} features, not on {self.n_features_in_}.")
        merged = type(self)(**self.get_params())
        merged.__dict__.update(vars(self))
        merged._add(other.statistics_, other.classes_)
        return merged

    def _refuse_two_passes(self, method):
        if not self._one_pass:
            raise ValueError(
                f"{method} sees the data once, and shrinkage={self.shrinkage!r} needs them twice: use fit."
            )

    def _start(self):
        for name in ("statistics_", "classes_"):
            self.__dict__.pop(name, None)

    def _accumulate(self, X, y, classes):
        """Add all blocks of ``X``; return the checked features and labels."""
        self._check_parameters()
        known = getattr(self, "statistics_", None)
        features = self._check(as_inputs(X).features, reset=known is None)
        y = column_or_1d(y, warn=True)
        check_consistent_length(features, y)
        names = np.unique(y) if classes is None else np.unique(classes)
        if not np.isin(y, names).all():
            raise ValueError(f"y holds labels that are not in classes: {np.setdiff1d(y, names)[:5].tolist()}.")
        codes, shift, precision = np.searchsorted(names, y), known and known.shift, np.dtype(self.precision)
        for rows in row_blocks(len(features), features.shape[1], _ELEMENTS):
            block = self._block(features, rows, precision)
            part = ClassStatistics.of(block, codes[rows], len(names), shift=shift, precision=precision)
            shift = part.shift
            self._add(part, names)
        return features, y

    def _add(self, part, names):
        self._forget()
        if not hasattr(self, "statistics_"):
            self.statistics_, self.classes_ = part, names
            return
        if not np.array_equal(names, self.classes_):
            union = np.union1d(self.classes_, names)
            self.statistics_ = self.statistics_.among(np.searchsorted(union, self.classes_), len(union))
            part, self.classes_ = part.among(np.searchsorted(union, names), len(union)), union
        self.statistics_ = self.statistics_.merge(part)

    def _check(self, X, reset):
        """Features as they are stored; finiteness is checked block by block, where it costs no copy."""
        features = validate_data(self, X, reset=reset, dtype="numeric", ensure_all_finite=False)
        return features if features.dtype.kind == "f" else features.astype(np.float64)

    def _block(self, features, rows, dtype):
        block = features[rows]
        assert_all_finite(block, input_name="X")
        if self.normalize:
            block = block.astype(dtype)
            block /= np.maximum(np.linalg.norm(block, axis=1, keepdims=True), np.finfo(dtype).tiny)
        return block
