"""Linear probes on features of any size."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted

from abstain.losses import ClassLoss, SoftmaxLoss
from abstain.solvers import multinomial
from abstain.solvers.lbfgs import End
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_table, label_column
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.labels import label_codes
from abstain.utils.validation import (
    check_count,
    check_flag,
    check_jobs,
    check_l2,
    check_number,
    check_vector,
    row_blocks,
    working_dtype,
)
from abstain.warnings import ConvergenceWarning, warn

# strong to weak, so that each fit starts close to its end
_PATH = (1e3, 1e2, 10.0, 1.0, 0.1)
_SMALL = 1e7  # products of one pass that cost nothing to repeat


class LinearProbe(ClassifierMixin, BaseEstimator):
    r"""Multinomial logistic regression, for features that are many, wide, or on disk.

    The optimum is that of `sklearn.linear_model.LogisticRegression` on standardised features, in a fraction of its
    passes over the data, which are read in blocks and never copied.

    Parameters
    ----------
    l2 : float or "auto", default=1.0
        Penalty, half the squared weights against the summed loss: scikit-learn's ``1 / C``. "auto" chooses from 0.1 to
        1000 by the loss on a fifth of the data, one fit starting where the last ended, and refits on all.
    standardise : bool, default=True
        Whether the penalty is meant for standardised features. The data are not copied.
    max_iter : int, default=300
        Iterations.
    tol : float, default=None
        Largest entry of the gradient in whitened coordinates, relative to the loss, at which to stop. None is 1e-11, or
        what rounding allows, for float64 features that are few (rows times features times classes up to ten million),
        and 5e-4 for all others.
    n_jobs : int, default=None
        Workers among which the rows are shared: threads, or those of ``joblib.parallel_config``, other processes and
        machines too, where X is a whole memory map, whose rows they read for themselves. BLAS threads serve one machine
        as well.
    device : str, default="cpu"
        "cpu" is NumPy. Anything else is a torch device, such as "cuda", to which the data are moved once.
    loss : ClassLoss, default=None
        Loss of the logits, for example `abstain.losses.DifficultyEntropyLoss`. None is `abstain.losses.SoftmaxLoss`.
    random_state : int, RandomState or None, default=None
        Seed of the split behind ``l2="auto"``.

    Attributes
    ----------
    coef_ : ndarray of shape (n_classes, n_features)
        Weights of the features as given.
    intercept_ : ndarray of shape (n_classes,)
        Intercepts.
    l2_ : float
        The penalty in force.
    loss_ : float
        The penalised mean loss at the end.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Number of features.
    n_iter_ : int
        Passes over the data.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from abstain import LinearProbe
    >>> X, y = load_iris(return_X_y=True)
    >>> LinearProbe().fit(X, y).score(X, y) > 0.95
    True
    """

    def __init__(
        self, l2: float | str = 1.0, *, standardise: bool = True, max_iter: int = 300, tol: float | None = None,
        n_jobs: int | None = None, device: str = "cpu", loss: ClassLoss | None = None, random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.l2 = l2
        self.standardise = standardise
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.device = device
        self.loss = loss
        self.random_state = random_state

    def fit(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None, *, strength: ArrayLike | None = None
    ) -> Self:
        """Fit the probe.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features; float16, float32 or float64, in memory or memory-mapped. Products are in float32 unless the
            features are float64.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), default=None
            Weight of the loss of each sample, not negative; a weight of 2 is a row given twice, and one of 0 is none.
        strength : array-like of shape (n,), default=None
            How much of a term of its own the loss applies to each sample; see `abstain.losses.ClassLoss`.

        Returns
        -------
        self : object
            Fitted probe.

        Raises
        ------
        ValueError
            If the features are not finite, or there is one class only.
        """
        with unchanged_on_failure(self):
            return self._fit(X, y, sample_weight, strength)

    def _fit(self, X, y, sample_weight, strength):
        if self.l2 != "auto":
            check_l2(self.l2, '"auto" or ')
        check_count(self.max_iter, "max_iter")
        check_flag(self.standardise, "standardise")
        check_jobs(self.n_jobs)
        if self.tol is not None:
            check_number(self.tol, "tol", above=0)
        X, y = check_table(self, X, y=label_column(y), dtype="numeric")
        X = X if X.dtype.kind == "f" else X.astype(np.float64)
        weight = np.ones(len(X)) if sample_weight is None else check_vector(sample_weight, "sample_weight", n=len(X))
        if weight.min() < 0 or weight.max() == 0:
            raise ValueError("sample_weight must be non-negative and not all zero.")
        if strength is not None:
            strength = check_vector(strength, "strength", n=len(X))
        if not weight.all():  # a row of weight 0 is not there
            there = weight > 0
            X, y, weight = X[there], y[there], weight[there]
            strength = None if strength is None else strength[there]
        self.classes_, codes = label_codes(y, least=1)
        if len(self.classes_) < 2:
            rest = "" if sample_weight is None else " left where sample_weight is positive"
            raise ValueError(f"y holds 1 class{rest}, {self.classes_.tolist()}; a classifier needs at least 2 classes.")
        data = X, codes, weight, strength
        self.l2_ = self._chosen(*data) if self.l2 == "auto" else float(self.l2)
        fit = self._solve(self._problem(*data), self.l2_)
        if fit.end is not End.SMALL_GRADIENT and not (self.tol is None and fit.end is End.STALLED):
            warn(f"the probe did not converge: {fit.end.words}. Raise max_iter or l2.", ConvergenceWarning)
        self.coef_, self.intercept_ = fit.weights.T, fit.intercept
        self.loss_, self.n_iter_ = fit.value, fit.evaluations
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.

        Returns
        -------
        logits : ndarray of shape (n, n_classes), or (n,) with two classes
            Columns in the order of ``classes_``; with two classes the log-odds of the second.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Columns in the order of ``classes_``.
        """
        return softmax(self._logits(X), axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """Predict labels.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.

        Returns
        -------
        labels : ndarray of shape (n,)
            The class of the largest logit.
        """
        codes = self._logits(X).argmax(axis=1)
        return self.classes_[codes]

    def _logits(self, X):
        check_is_fitted(self)
        X = check_table(self, X, reset=False, dtype="numeric")
        out = np.empty((len(X), len(self.classes_)))
        for rows in row_blocks(len(X), X.shape[1], 1 << 21):
            block = X[rows]
            dtype = working_dtype(block)
            # centred first, so that float32 keeps its digits
            out[rows] = np.subtract(block, self._centre, dtype=dtype, casting="unsafe") @ self.coef_.T.astype(dtype)
        return out + (self.intercept_ + self.coef_ @ self._centre)

    def _loss(self):
        """The loss of the logits, by the classes that there are."""
        return SoftmaxLoss() if self.loss is None else self.loss

    def _problem(self, X, codes, weight, strength):
        problem = multinomial.build_problem(
            self._loss(), X, codes, len(self.classes_), weight=weight, strength=strength, standardise=self.standardise,
            n_jobs=self.n_jobs, device=self.device,
        )  # fmt: skip
        self._centre = problem.shares[0].centre.astype(np.float64)
        return problem

    def _solve(self, problem, l2, start=None):
        small = problem.products <= _SMALL and problem.rounding < 1e-10
        tol = (1e-11 if small else 5e-4) if self.tol is None else self.tol
        return problem.solve(binary_l2(l2, len(self.classes_)), start, max_iter=self.max_iter, tol=tol)

    def _chosen(self, X, codes, weight, strength):
        """The penalty of least held-out loss, along a path of warm starts."""
        counts = np.bincount(codes)
        size = max(len(codes) // 5, len(counts))
        if len(codes) < 5 * len(counts) or counts.min() < 2:
            return 1.0  # too few samples to hold any out
        train, test = train_test_split(
            np.arange(len(codes)), test_size=size, stratify=codes, random_state=self.random_state
        )
        train.sort()
        parts = (None if part is None else part[train] for part in (X, codes, weight, strength))
        problem, fit, losses = self._problem(*parts), None, []
        for l2 in _PATH:
            fit = self._solve(problem, l2, fit)
            self.coef_, self.intercept_ = fit.weights.T, fit.intercept
            held_strength = None if strength is None else strength[test]
            values, _ = self._loss().value_and_derivative(self._logits(X[test]), codes[test], held_strength)
            losses.append(np.average(values, weights=weight[test]))
        return _PATH[int(np.argmin(losses))]


def binary_l2(l2, n_classes):
    """The penalty on each of the weight vectors of the classes; those of two classes share one difference."""
    return 2 * l2 if n_classes == 2 else l2
