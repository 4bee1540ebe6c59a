"""Linear probes on features of any size."""

from numbers import Real

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from abstain.losses import SoftmaxLoss
from abstain.solvers import multinomial
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import check_number, row_blocks
from abstain.warnings import ConvergenceWarning, warn

# strong to weak, so that each fit starts close to its end
_PATH = (1e3, 1e2, 10.0, 1.0, 0.1)


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
    tol : float, default=5e-4
        Largest entry of the gradient in whitened coordinates, relative to the loss, at which to stop.
    n_jobs : int, default=None
        Workers among which the rows are shared; joblib's backends apply. BLAS threads serve one machine as well.
    device : str, default="cpu"
        "cpu" is NumPy. Anything else is a torch device, such as "cuda", to which the data are moved once.
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
        self, l2=1.0, *, standardise=True, max_iter=300, tol=5e-4, n_jobs=None, device="cpu", random_state=None
    ):
        self.l2 = l2
        self.standardise = standardise
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.device = device
        self.random_state = random_state

    def fit(self, X, y):
        """Fit the probe.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features; float16, float32 or float64, in memory or memory-mapped. Products are in float32 unless the
            features are float64.
        y : array-like of shape (n,)
            Labels.

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
            return self._fit(X, y)

    def _fit(self, X, y):
        if self.l2 != "auto":
            check_l2(self.l2, '"auto" or ')
        check_number(self.max_iter, "max_iter", least=1)
        check_number(self.tol, "tol", above=0)
        X, y = validate_data(self, X, y, dtype="numeric")
        X = X if X.dtype.kind == "f" else X.astype(np.float64)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds 1 class, {self.classes_.tolist()}; a classifier needs at least 2 classes.")
        self.l2_ = self._chosen(X, codes) if self.l2 == "auto" else float(self.l2)
        fit = self._solve(self._problem(X, codes), self.l2_)
        if not fit.converged:
            warn("the probe stopped before it converged: raise max_iter or l2.", ConvergenceWarning)
        self.coef_, self.intercept_ = fit.weights.T, fit.intercept
        self.loss_, self.n_iter_ = fit.value, fit.evaluations
        return self

    def decision_function(self, X):
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

    def predict_proba(self, X):
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

    def predict(self, X):
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
        X = validate_data(self, X, reset=False, dtype="numeric")
        out = np.empty((len(X), len(self.classes_)))
        for rows in row_blocks(len(X), X.shape[1], 1 << 21):
            block = X[rows]
            dtype = np.float32 if block.dtype in (np.float16, np.float32) else np.float64
            # centred first, so that float32 keeps its digits
            out[rows] = np.subtract(block, self._centre, dtype=dtype, casting="unsafe") @ self.coef_.T.astype(dtype)
        return out + (self.intercept_ + self.coef_ @ self._centre)

    def _problem(self, X, codes):
        options = {"standardise": self.standardise, "n_jobs": self.n_jobs, "device": self.device}
        problem = multinomial.build_problem(SoftmaxLoss(), X, codes, len(self.classes_), **options)
        self._centre = problem.shares[0].centre.astype(np.float64)
        return problem

    def _solve(self, problem, l2, start=None):
        return problem.solve(binary_l2(l2, len(self.classes_)), start, max_iter=self.max_iter, tol=self.tol)

    def _chosen(self, X, codes):
        """The penalty of least held-out loss, along a path of warm starts."""
        counts = np.bincount(codes)
        size = max(len(codes) // 5, len(counts))
        if len(codes) < 5 * len(counts) or counts.min() < 2:
            return 1.0  # too few samples to hold any out
        train, test = train_test_split(
            np.arange(len(codes)), test_size=size, stratify=codes, random_state=self.random_state
        )
        train.sort()
        problem, fit, losses = self._problem(X[train], codes[train]), None, []
        for l2 in _PATH:
            fit = self._solve(problem, l2, fit)
            self.coef_, self.intercept_ = fit.weights.T, fit.intercept
            log_proba = np.log(np.maximum(self.predict_proba(X[test]), 1e-300))
            losses.append(-log_proba[np.arange(size), codes[test]].mean())
        return _PATH[int(np.argmin(losses))]


def check_l2(l2, others=""):
    """Refuse a penalty that is not a finite, non-negative number."""
    if isinstance(l2, bool) or not (isinstance(l2, Real) and 0 <= float(l2) < np.inf):
        raise ValueError(f"l2 must be {others}a non-negative number; got {l2!r}.")


def binary_l2(l2, n_classes):
    """The penalty on each of the weight vectors of the classes; those of two classes share one difference."""
    return 2 * l2 if n_classes == 2 else l2
