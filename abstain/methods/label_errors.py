"""Which labels are suspect, by models that have not seen them, and what they should be."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils import check_array
from sklearn.utils.validation import check_consistent_length

from abstain.folds import Folds, held_out, make_folds
from abstain.methods.auto.opinions import KernelOpinion
from abstain.outputs import ClassOutputs
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed, label_column
from abstain.utils.html import html_text
from abstain.utils.labels import label_codes
from abstain.utils.progress import progress
from abstain.views import View

_NEIGHBOURS = 20
_SURELY_WRONG = 0.02  # probability of a label that is not learnt from
_LEAST = -30.0  # log-probability of what a source calls impossible


class LabelErrors(NamedTuple):
    """Labels by suspicion; print it for the most suspect ones."""

    order: np.ndarray  # (n,) indices of the samples, the most suspect first
    p_given: np.ndarray  # (n,) probability of the label that was given; NaN where it cannot be judged
    suggested: np.ndarray  # (n,) the likeliest label
    given: np.ndarray  # (n,)
    weights: dict[str, float]  # how much each source counts

    @property
    def suspects(self) -> Any:
        """Indices, the most suspect first, of samples for which another label is likelier than the given one."""
        return self.order[self.suggested[self.order] != self.given[self.order]]

    def __str__(self):
        lines = [
            f"{len(self.suspects)} of {len(self.order)} labels are less likely than another one; the first of them:",
            f"{'sample':>8}  {'given':>20}  {'suggested':>20}  P(given)",
        ]
        for i in self.suspects[:10]:
            lines.append(f"{i:>8}  {self.given[i]!s:>20.20}  {self.suggested[i]!s:>20.20}  {self.p_given[i]:8.3f}")
        return "\n".join(lines)

    def _repr_html_(self):
        return html_text(self)


def find_label_errors(
    X: Any, y: ArrayLike, *, cv: Any = 5, groups: ArrayLike | None = None, n_jobs: int | None = None,
    random_state: Seed = None,
) -> LabelErrors:  # fmt: skip
    """Rank the samples by how suspect their labels are.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Features, such as those of a frozen network.
    y : array-like of shape (n,)
        Labels.
    cv : int, splitter or iterable, default=5
        Folds: each sample is judged by models that have not seen it.
    groups : array-like of shape (n,), default=None
        Groups that no fold divides, such as the copies of one image, which would vouch for each other.
    n_jobs : int, default=None
        Folds fitted at once.
    random_state : int, RandomState or None, default=None
        Seed.

    Returns
    -------
    errors : LabelErrors
        ``order``, ``suspects``, ``suggested``, ``p_given``. A class with one sample cannot be judged: its P is NaN, and
        it comes last.

    Raises
    ------
    ValueError
        If the data are malformed, or hold one class only.

    Notes
    -----
    Four sources say how likely each label is: a classifier on nearness to some of the samples, linear discriminant
    analysis (the likelihood of which relative Mahalanobis distance is the difference), and the labels of the nearest
    samples by two distances. Their log-probabilities are added up with weights that make the given labels likeliest,
    which is right as long as most of them are true, and the labels are ranked by what comes out. All this is done
    twice: the second time nothing is learnt from labels to which the first gave less than 2 %.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from abstain import find_label_errors
    >>> X, y = load_iris(return_X_y=True)
    >>> y[[3, 60]] = 2, 0  # two that are wrong
    >>> sorted(find_label_errors(X, y, random_state=0).order[:2].tolist())
    [3, 60]
    """
    X, y = check_array(X, dtype=np.float32), label_column(y)
    check_consistent_length(X, y)
    classes, codes = label_codes(y)
    seed = check_seed(random_state).randint(2**31)
    folds = make_folds(cv, X, codes, groups=groups, seed=seed)
    with progress(2, "judging labels") as advance:
        _, log_proba = _judged(X, codes, len(classes), folds, seed, n_jobs)
        advance(1)
        weights, log_proba = _judged(X, codes, len(classes), _cleaned(folds, codes, log_proba), seed, n_jobs)
        advance(1)
    p_given = np.full(len(codes), np.nan)
    judged = np.zeros(len(codes), dtype=bool)
    judged[folds.tested] = True
    judged &= np.bincount(codes)[codes] > 1
    p_given[judged] = np.exp(log_proba[judged, codes[judged]])
    suggested = np.where(judged, classes[log_proba.argmax(axis=1)], y)
    order = np.argsort(np.where(judged, p_given, np.inf), kind="stable")
    return LabelErrors(order, p_given, suggested, y, weights)


def _judged(X, codes, n_classes, folds, seed, n_jobs):
    """Weights of the sources, and the log-probabilities that they give together."""
    sources = {
        "kernel classifier": _kernel(X, codes, n_classes, folds, seed, n_jobs),
        "discriminant analysis": _discriminant(X, codes, n_classes, folds, n_jobs),
        "neighbours": _neighbours(StandardScaler().fit_transform(X), codes, n_classes, folds),
        "neighbours, by angle": _neighbours(normalize(X - X.mean(axis=0)), codes, n_classes, folds),
    }
    weights, log_proba = likeliest_mixture(list(sources.values()), codes, folds.tested)
    return dict(zip(sources, weights.tolist(), strict=True)), log_proba


def _cleaned(folds, codes, log_proba):
    """The same folds without learning from labels that are surely wrong, as long as half of each class stays."""
    doubtful = np.zeros(len(codes), dtype=bool)
    doubtful[folds.tested] = log_proba[folds.tested, codes[folds.tested]] < np.log(_SURELY_WRONG)
    clean = ~doubtful | (np.bincount(codes, doubtful)[codes] > 0.5 * np.bincount(codes)[codes])
    return Folds([(train[clean[train]], test) for train, test in folds], folds.n)


def _kernel(X, codes, n_classes, folds, seed, n_jobs):
    """Log-probabilities by logistic regression on nearness, (n, K)."""
    view = View(X, ClassOutputs(np.full((len(X), n_classes), 1 / n_classes), "proba", np.arange(n_classes)))

    def fit(train):
        return KernelOpinion(np.arange(n_classes), seed, l2=0.02).fit(view[train], codes[train])

    return _bounded(held_out(folds, fit, lambda model, test: model.log_proba(X[test]), n_jobs=n_jobs))


def _discriminant(X, codes, n_classes, folds, n_jobs):
    """Log-probabilities by one Gaussian a class, with a covariance that they share, (n, K)."""

    def fit(train):
        known = train[np.bincount(codes[train])[codes[train]] > 1]  # one sample has no spread
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(X[known], codes[known])

    def said(model, test):
        found = np.full((len(test), n_classes), _LEAST)
        with np.errstate(divide="ignore"):
            found[:, model.classes_] = model.predict_log_proba(X[test])
        return found

    return _bounded(held_out(folds, fit, said, n_jobs=n_jobs))


def _neighbours(Z, codes, n_classes, folds):
    """Log-probabilities by the nearest samples of other folds, nearer ones counting more, (n, K)."""

    def said(train, test):
        k = min(_NEIGHBOURS, len(train))
        apart, nearest = NearestNeighbors(n_neighbors=k).fit(Z[train]).kneighbors(Z[test])
        weight = 1.0 / np.square(apart / max(np.median(apart[:, 0]), 1e-12) + 0.1)
        place = np.arange(len(test))[:, None] * n_classes + codes[train][nearest]
        votes = np.bincount(place.ravel(), weight.ravel(), len(test) * n_classes).reshape(len(test), n_classes)
        votes += 0.3 * weight.mean()
        return np.log(votes / votes.sum(axis=1, keepdims=True))

    return _bounded(held_out(folds, lambda train: train, said))


def _bounded(log_proba):
    return np.maximum(np.nan_to_num(log_proba, nan=0.0), _LEAST)


def likeliest_mixture(sources, codes, rows):
    """Weights, none negative, under which the given labels are likeliest, and the log-probabilities of the mixture."""
    given = [source[rows] for source in sources]
    at = np.arange(len(rows)), codes[rows]

    def loss(weights):
        pooled = log_softmax(sum(w * source for w, source in zip(weights, given, strict=True)), axis=1)
        proba = np.exp(pooled)
        slopes = [np.einsum("ij,ij->i", proba, source).mean() - source[at].mean() for source in given]
        return -pooled[at].mean(), np.array(slopes)

    start = np.full(len(sources), 1 / len(sources))
    weights = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(sources)).x
    return weights, log_softmax(sum(w * source for w, source in zip(weights, sources, strict=True)), axis=1)
