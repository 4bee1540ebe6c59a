"""Difficulty of samples by Gaussians on features that share one covariance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from abstain.scores.gaussian.class_sums import ClassSums
from abstain.scores.gaussian.leave_one_out import LeftOut
from abstain.scores.gaussian.statistics import SharedGaussian, ledoit_wolf_shrinkage, oas_shrinkage
from abstain.utils.borders import label_column
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.labels import strangers
from abstain.utils.validation import check_choice, check_flag, check_unit, row_blocks, working_dtype
from abstain.views import View, as_view
from abstain.warnings import RareClassWarning, warn

_ELEMENTS = 1 << 21


class Mahalanobis(ClassSums):
    r"""Mahalanobis distance to the class means, under one covariance for all classes.

    Parameters
    ----------
    at : {"nearest", "predicted"}, default="nearest"
        Which class `score_samples` measures to: the nearest one, which tells novelty, or the one that the classifier
        predicts, which needs a classifier in front.
    shrinkage : {"oas", "ledoit_wolf"} or float, default="oas"
        Weight of the diagonal in the covariance; the units of the features do not matter. "ledoit_wolf" reads the
        data a second time. 0 is the maximum likelihood estimate, which fails where the covariance is singular.
    normalize : bool, default=False
        Whether to divide every sample by its norm first; good for novelty.
    loo : bool or "auto", default="auto"
        Whether `training_difficulty` leaves each sample out of the model that measures it. "auto" does with fewer
        than 50 samples a feature or in a class.
    precision : {"float64", "float32"}, default="float64"
        Arithmetic of the products in `fit`; sums are float64 always. "float32" is about twice as fast, and good to
        three digits where the covariance is ill-conditioned.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    statistics_ : ClassStatistics
        Counts, sums and scatter, which `merge` adds up.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    :math:`q(x, k) = (x - \mu_k)^\top \Sigma^{-1} (x - \mu_k)` is the difficulty, and its negative the score. Memory is
    that of the covariance, the class means and a block of rows, for data of any length, memory-mapped or not.

    References
    ----------
    K. Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks",
    NeurIPS 2018. M. Müller, M. Hein, "Mahalanobis++: Improving OOD Detection via Feature Normalization", ICML 2025.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from abstain import Mahalanobis
    >>> X, y = load_iris(return_X_y=True)
    >>> scorer = Mahalanobis(shrinkage=0.0).fit(X, y)
    >>> float(scorer.difficulty(X, y).mean().round(6))
    4.0
    """

    # what `columns` measure, for an explanation
    topics = ("fit", "fit", "fit")

    def __init__(
        self, *, at: str = "nearest", shrinkage: Any = "oas", normalize: bool = False, loo: bool | str = "auto",
        precision: str = "float64",
    ) -> None:  # fmt: skip
        self.at = at
        self.shrinkage = shrinkage
        self.normalize = normalize
        self.loo = loo
        self.precision = precision

    @property
    def sees(self) -> str:
        """What a selective classifier shows this scorer."""
        return "features" if self.at == "nearest" else "both"

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit class means and covariance.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Features; float16, float32 or float64, in memory or memory-mapped.
        y : array-like of shape (n,)
            Labels.

        Returns
        -------
        self : object
            Fitted scorer. The covariance is factorised here, and the directions to measure in are solved when first
            asked for.

        Raises
        ------
        ValueError
            If features are not finite, or the covariance is singular and not shrunk; an earlier fit is kept then.
        """
        with unchanged_on_failure(self):
            features, y = self._accumulate(X, y, None, reset=True)
            if not self._one_pass:
                self._fourth = self._fourth_moment(features, np.searchsorted(self.classes_, y))
            self._gaussian()
        return self

    def difficulty(self, X: Any, y: ArrayLike | None = None) -> np.ndarray:
        """How hard each sample is.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Samples that `fit` has not seen; see `training_difficulty` for those that it has.
        y : array-like of shape (n,), default=None
            Labels at which to measure; None is the class named by ``at``.

        Returns
        -------
        difficulty : ndarray of shape (n,)
            Higher is harder.

        Raises
        ------
        ValueError
            If a label has no training samples, or ``at="predicted"`` and there is no prediction.
        """
        check_is_fitted(self, "statistics_")
        view = as_view(X)
        features = self._check(view.features, reset=False)
        with np.errstate(over="ignore", invalid="ignore"):
            if y is not None:
                return _finite(self._to_class(features, self._codes(y, features)))
            if self.at_ == "nearest":
                return _finite(np.concatenate([self._to_all(p).min(axis=1) for _, p in self._projected(features)]))
            return _finite(self._to_class(features, self._predicted_codes(view)))

    def score_samples(self, X: Any, y: ArrayLike | None = None) -> np.ndarray:
        """Score samples by their negative difficulty.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Features.
        y : array-like of shape (n,), default=None
            Labels at which to measure; None is the class named by ``at``.

        Returns
        -------
        score : ndarray of shape (n,)
            Larger is safer.
        """
        return -self.difficulty(X, y)

    def training_difficulty(self, X: Any, y: ArrayLike) -> np.ndarray:
        """Difficulty of training samples at their own labels, each left out of its model where ``loo`` says so.

        Parameters
        ----------
        X : array-like of shape (n, d)
            The samples of `fit`, or some of them.
        y : array-like of shape (n,)
            Their labels.

        Returns
        -------
        difficulty : ndarray of shape (n,)
            Higher is harder. A class of one sample has no model without it: such a sample gets the largest
            difficulty of the others, with a warning.
        """
        check_is_fitted(self, "statistics_")
        check_choice(self.loo, "loo", (True, False, "auto"))
        features = self._check(X, reset=False)
        codes, counts = self._codes(y, features), self.statistics_.counts
        few = self.statistics_.n < 50 * self.n_features_in_ or counts[counts > 0].min() < 50
        if not (few if self.loo == "auto" else self.loo):
            return self._to_class(features, codes)
        left_out = self._leave_one_out()
        blocks = row_blocks(len(features), features.shape[1], _ELEMENTS)
        out = np.concatenate([left_out(self._block(features, rows, np.float64), codes[rows]) for rows in blocks])
        single = counts[codes] < 2
        if single.any():
            warn(
                f"{single.sum()} samples are alone in their class, so that their difficulty cannot be measured without "
                "them; they get the largest one of the others. Merge rare classes.",
                RareClassWarning,
            )
            out[single] = out[~single].max(initial=0.0)
        return out

    def columns(self, view: View) -> np.ndarray:
        """Easiness at the predicted and at the nearest class, and the lead over the nearest other class.

        Parameters
        ----------
        view : View
            Features and class outputs.

        Returns
        -------
        columns : ndarray of shape (n, 3)
            Larger is safer; NaN where the predicted class, or any other, had no training samples.
        """
        features = self._check(view.features, reset=False)
        codes = self._predicted_codes(view)
        own, nearest, other = np.empty((3, len(codes)))
        with np.errstate(over="ignore", invalid="ignore"):
            for rows, p in self._projected(features):
                distance = self._to_all(p)
                at = np.arange(len(p)), codes[rows]
                nearest[rows] = distance.min(axis=1)
                own[rows] = distance[at]
                distance[at] = np.inf
                other[rows] = distance.min(axis=1)
        known = np.isfinite(own) & np.isfinite(other)
        return np.where(known[:, None], np.column_stack([-own, -nearest, np.where(known, other, 0) - own]), np.nan)

    @property
    def _one_pass(self):
        return self.shrinkage != "ledoit_wolf"

    def _check_parameters(self):
        check_choice(self.at, "at", ("nearest", "predicted"))
        check_choice(self.precision, "precision", ("float64", "float32"))
        check_flag(self.normalize, "normalize")
        check_choice(self.loo, "loo", (True, False, "auto"))
        if self.shrinkage not in ("oas", "ledoit_wolf"):
            check_unit(self.shrinkage, "shrinkage", closed=True)

    def _forget(self):
        for known in ("_factorised", "_solved", "_fourth"):
            self.__dict__.pop(known, None)

    def _fourth_moment(self, features, codes):
        means, total = self.statistics_.mean + self.statistics_.offsets, 0.0
        scale = np.sqrt(self.statistics_.variances)
        for rows in row_blocks(len(features), features.shape[1], _ELEMENTS):
            residual = (self._block(features, rows, np.float64) - means[codes[rows]]) / scale
            total += np.square(np.einsum("ij,ij->i", residual, residual)).sum()
        return total

    def _gaussian(self):
        """The shared covariance, factorised, from the statistics so far."""
        if not hasattr(self, "_factorised"):
            statistics = self.statistics_
            if statistics.n == np.count_nonzero(statistics.counts) > 1:
                warn(
                    "no class has two samples, so that the variance within classes is unknown: distances are "
                    "in units of the variances of all samples.",
                    RareClassWarning,
                )
            factorised = SharedGaussian.fit(statistics, self._weight())
            # the sums alone: what follows from them is as large, and has served
            self.statistics_ = replace(statistics)
            self._factorised = factorised._replace(statistics=self.statistics_)
        return self._factorised

    def _solve(self):
        """A basis (d, r), the class means in it, their squared norms, and the weight of each squared coordinate.

        A last class stands for those without training samples, infinitely far.
        """
        if not hasattr(self, "_solved"):
            statistics = self.statistics_
            basis, weight = self._directions(self._gaussian())
            means = statistics.offsets @ basis
            norms = np.where(statistics.counts > 0, np.square(means).sum(axis=1), np.inf)
            self._solved = basis, np.append(means, 0 * means[:1], axis=0), np.append(norms, np.inf), weight
        return self._solved

    def _weight(self):
        statistics = self.statistics_
        if self.shrinkage == "oas":
            freedom = max(statistics.n - np.count_nonzero(statistics.counts), 1)
            return oas_shrinkage(statistics.correlation, freedom)
        if self.shrinkage == "ledoit_wolf":
            if not hasattr(self, "_fourth"):
                raise ValueError('shrinkage="ledoit_wolf" needs the data twice: use fit, not partial_fit or merge.')
            return ledoit_wolf_shrinkage(statistics.correlation, statistics.n, self._fourth)
        return float(self.shrinkage)

    def _directions(self, gaussian):
        basis = solve_triangular(gaussian.root, np.eye(self.n_features_in_), lower=True).T
        return basis, np.ones(basis.shape[1])

    def _projected(self, features):
        """Yield (rows, coordinates), in the dtype of the features: of centred rows float32 keeps six digits."""
        basis, mean, dtype = self._solve()[0], self.statistics_.mean, working_dtype(features)
        centre = mean.astype(dtype)
        rest = ((mean - centre) @ basis).astype(dtype)  # what rounding takes of the centre
        basis = basis.astype(dtype)
        for rows in row_blocks(len(features), features.shape[1], _ELEMENTS):
            block = self._block(features, rows, dtype)
            p = np.subtract(block, centre, dtype=dtype) @ basis - rest
            if not np.isfinite(p).all():  # which costs less to see than in the features
                assert_all_finite(block, input_name="X")
            yield rows, p

    def _to_all(self, p):
        """Difficulty of projected rows at every class, (b, K + 1)."""
        _, means, norms, weight = self._solve()
        distance = p @ (-2 * means.T).astype(p.dtype)
        distance += norms.astype(p.dtype)
        distance += np.einsum("ij,ij,j->i", p, p, weight.astype(p.dtype))[:, None]
        return distance

    def _to_class(self, features, codes):
        _, means, norms, weight = self._solve()
        out = np.empty(len(codes))
        for rows, p in self._projected(features):
            own = p - means[codes[rows]].astype(p.dtype)
            out[rows] = np.einsum("ij,ij->i", own, own) - np.einsum("ij,ij,j->i", p, p, (1 - weight).astype(p.dtype))
            unknown = np.isinf(norms[codes[rows]])
            if unknown.any():  # a class without training samples is as far as the farthest of the others
                out[rows][unknown] = self._to_all(p[unknown])[:, np.isfinite(norms)].max(axis=1)
        return out

    def _codes(self, y, features):
        y = label_column(y)
        check_consistent_length(features, y)
        unknown = strangers(y, self.classes_[self.statistics_.counts > 0])
        if unknown.size:
            raise ValueError(f"y holds labels without training samples: {unknown[:5].tolist()}. Drop those samples.")
        return np.searchsorted(self.classes_, y)

    def _predicted_codes(self, view):
        if view.answer is None:
            raise ValueError(
                'at="predicted" needs the predictions of a classifier: use SelectiveClassifier(clf, scorer), pass '
                'labels as y, or measure at="nearest".'
            )
        return view.answer_among(self.classes_)

    def _leave_one_out(self):
        """A function of (rows, codes): the difficulty by a model refitted without each row."""
        return LeftOut(self._gaussian()).to_class()


def _finite(difficulty):
    """Distances whose squares overflow are the largest that there are."""
    largest = np.finfo(np.float64).max
    return np.nan_to_num(difficulty.astype(np.float64), nan=largest, posinf=largest, neginf=-largest)
