"""The trust head: a small model that learns, from held-out outcomes, which predictions are right."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from abstain.calibration.binary import Affine, pair
from abstain.calibration.labelled import check_calibrator
from abstain.folds import Folds, held_out
from abstain.losses import CrossEntropyLoss, TrustLoss
from abstain.outputs import log_odds_of
from abstain.solvers import forward, linear
from abstain.solvers.design import Design
from abstain.solvers.lbfgs import End
from abstain.solvers.training import Training
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed, check_table
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import (
    check_choice,
    check_count,
    check_flag,
    check_hidden,
    check_jobs,
    check_l2,
    check_vector,
)
from abstain.views import as_view, unit_target
from abstain.warnings import ConvergenceWarning, warn

_PATH = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)


class TrustHead(BaseEstimator):
    """Linear or deep head for any trust loss; a scorer for `SelectiveClassifier`.

    Parameters
    ----------
    loss : TrustLoss, default=None
        None is `CrossEntropyLoss`.
    target : {"correct", "tcp", "tcp_ratio"}, default="correct"
        What a selective classifier lets it learn from.
    head_inputs : {"both", "features", "confidence"}, default="both"
        "both" is features, confidence features and predicted class; "features" is what the papers use, and worse.
    hidden : tuple of int, default=()
        Widths of hidden layers. () is linear, fitted by L-BFGS in NumPy; anything else needs torch.
    l2 : float or "auto", default="auto"
        Penalty on the weights of the features and of the predicted class, for standardised columns and the summed
        loss; a tenth of it on the confidence features, and none on the log-odds of the maximum probability, so that
        the head fades into maximum probability. "auto" chooses from 1 to 100 000 by held-out loss. Linear heads
        only.
    unit_norm : bool, default=False
        Output the distance to a hyperplane, as the steep slope paper does.
    restarts : int, default=2
        Starts of a loss that is not convex, all in the same passes over the data.
    calibrate : bool, default=True
        Whether `recalibrate` turns scores into P(correct).
    recalibrator : calibrator, default=None
        What does that, from `abstain.calibration`, without an estimator. None is `Affine`, Platt scaling, which keeps
        the order of scores; of others, `Isotonic` makes ties.
    training : Training, default=None
        Knobs of the network; unused by linear heads on a CPU.
    n_jobs : int, default=None
        Workers among which each pass of a linear head over the rows is shared. Memory-mapped features may be read by
        processes, and by those of other machines, as ``joblib.parallel_config`` says; others are shared by threads.
    random_state : int, RandomState or None, default=None
        Seed of starts, folds and networks.

    Attributes
    ----------
    layers_ : list
        Weights as arrays, on standardised columns.
    l2_ : float or None
        The penalty in force.
    loss_ : TrustLoss
        The loss in force.
    recalibrator_ : calibrator or None
        The map from the inverse link to P(correct); None before `recalibrate`, and without it.
    history_ : list of dict
        Losses by epoch of a network.
    n_features_in_ : int
        Number of features (of confidence features where it sees only those).

    Examples
    --------
    >>> import numpy as np
    >>> from abstain import TrustHead
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> head = TrustHead().fit(X, X[:, 0] > -1)
    >>> bool(head.score_samples([[2.0, 0.0]]) > head.score_samples([[-2.0, 0.0]]))
    True
    """

    min_errors = 20

    def __init__(
        self, loss: TrustLoss | None = None, *, target: str = "correct", head_inputs: str = "both",
        hidden: tuple[int, ...] = (), l2: float | str = "auto", unit_norm: bool = False, restarts: int = 2,
        calibrate: bool = True, recalibrator: Any = None, training: Training | None = None, n_jobs: int | None = None,
        random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.loss = loss
        self.target = target
        self.head_inputs = head_inputs
        self.hidden = hidden
        self.l2 = l2
        self.unit_norm = unit_norm
        self.restarts = restarts
        self.calibrate = calibrate
        self.recalibrator = recalibrator
        self.training = training
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def sees(self) -> str:
        """What a selective classifier shows this scorer."""
        return self.head_inputs

    @property
    def means(self) -> str:
        """What the score means."""
        return "P(correct)" if self.calibrate else "order"

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit the head, choosing and calibrating on internal folds.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Features; a selective classifier adds the class probabilities.
        y : array-like of shape (n,)
            Target: correctness, or a probability in [0, 1]. Other scales are mapped to it, with a warning.

        Returns
        -------
        self : object
            Fitted head.
        """
        with unchanged_on_failure(self):
            return self._fit(X, y)

    def _fit(self, X, y):
        n = check_vector(y, "target").size
        seed = check_seed(self.random_state).randint(2**31)
        splits = KFold(min(5, n), shuffle=True, random_state=seed).split(np.zeros(n)) if n > 1 else []
        folds = Folds(splits, n)
        score = self.fit_held_out(X, y, folds)
        target = unit_target(y)
        if len(folds) and np.isin(target, (0, 1)).all():
            self.recalibrate(score, target.astype(bool))
        return self

    def fit_held_out(self, X: Any, y: ArrayLike, folds: Folds) -> np.ndarray:
        """Fit on all rows and return scores by heads that have not seen the row, all in shared passes.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Inputs.
        y : array-like of shape (n,)
            Target in [0, 1].
        folds : Folds
            Rows that are held out from each other.

        Returns
        -------
        score : ndarray of shape (n,)
            Held-out scores before recalibration.
        """
        with unchanged_on_failure(self):
            return self._fit_held_out(X, y, folds)

    def _fit_held_out(self, X, y, folds):
        check_choice(self.target, "target", ("correct", "tcp", "tcp_ratio"))
        check_choice(self.head_inputs, "head_inputs", ("both", "features", "confidence"))
        self._check_parameters()
        design = self._design(X, reset=True)
        target = unit_target(y, n=design.n)
        self.mean_, self.scale_ = design.mean, design.scale
        self.recalibrator_, self.history_, self.l2_ = None, [], None
        loss = self.loss_ = CrossEntropyLoss() if self.loss is None else self.loss
        if np.size(self.hidden):
            z = self._fit_network(loss, design, target, folds)
        else:
            z = self._fit_linear(loss, design, target, folds)
        return loss.inverse_link(z)

    def recalibrate(self, score: np.ndarray, correct: np.ndarray) -> np.ndarray:
        """Learn P(correct) from held-out scores; `Affine` keeps their order.

        Parameters
        ----------
        score : ndarray of shape (n,)
            Held-out scores, as `fit_held_out` returns them.
        correct : ndarray of shape (n,) of bool
            Whether the predictions were right.

        Returns
        -------
        score : ndarray of shape (n,)
            The same scores, recalibrated.
        """
        if self.calibrate:
            recalibrator = Affine() if self.recalibrator is None else clone(self.recalibrator)
            self.recalibrator_ = recalibrator.fit_outputs(pair(log_odds_of(score)), np.asarray(correct, dtype=int))
        return self._calibrated(score)

    def score_samples(self, X: Any) -> np.ndarray:
        """Estimated target of every sample: P(correct), or the expected true class probability.

        Parameters
        ----------
        X : array-like of shape (n, d), or a view
            Inputs, as in `fit`.

        Returns
        -------
        score : ndarray of shape (n,)
            In [0, 1], larger is safer.
        """
        check_is_fitted(self)
        design = self._design(X, reset=False)
        return self._calibrated(self.loss_.inverse_link(forward.outputs(design, self.layers_)[:, 0]))

    def _check_parameters(self):
        if isinstance(self.loss, type):
            raise TypeError(f"loss must be an instance, {self.loss.__name__}(); got the class.")
        if self.loss is not None and not isinstance(self.loss, TrustLoss):
            raise TypeError(f"loss must be a trust loss such as CrossEntropyLoss(), or None; got {self.loss!r}.")
        check_hidden(self.hidden)
        if self.l2 != "auto":
            check_l2(self.l2, '"auto" or ')
            if np.size(self.hidden):
                raise ValueError(
                    f"l2 is the penalty of linear heads, and hidden={self.hidden!r} is none; got l2={self.l2!r}. Use "
                    "weight_decay of training=Training(...)."
                )
        check_count(self.restarts, "restarts")
        check_jobs(self.n_jobs)
        for name in ("unit_norm", "calibrate"):
            check_flag(getattr(self, name), name)
        if self.recalibrator is not None:
            check_calibrator(self.recalibrator, "recalibrator")
        if self.training is not None:
            if not isinstance(self.training, Training):
                raise TypeError(f"training must be a Training, or None; got {self.training!r}.")
            self.training.check()

    def _calibrated(self, score):
        if self.recalibrator_ is None:
            return score
        return self.recalibrator_.transform_outputs(pair(log_odds_of(score))).proba[:, 1]

    def _design(self, X, reset):
        view = as_view(X)
        main = view.confidence if view.features is None else view.features
        checked = check_table(self, main, reset=reset, dtype="numeric")
        features = None if view.features is None else checked
        n_codes = 0 if view.outputs is None else len(view.outputs.classes)
        moments = {} if reset else {"mean": self.mean_, "scale": self.scale_}
        return Design(features, view.confidence, view.answer, n_codes, **moments)

    def _fit_network(self, loss, design, target, folds):
        from abstain.utils.optional import import_extra

        import_extra("torch", "torch")
        from abstain.solvers import network

        rng = check_seed(self.random_state)
        knobs = {
            "hidden": check_hidden(self.hidden),
            "unit_norm": self.unit_norm,
            "training": self.training or Training(),
        }

        def fit(train):
            return network.train(loss, design, target, train, seed=rng.randint(2**31), **knobs)[0]

        z = np.full(design.n, np.nan)
        if len(folds):
            z = held_out(folds, fit, lambda layers, test: forward.outputs(design, layers)[test, 0])
        everything = np.arange(design.n)
        self.layers_, self.history_ = network.train(loss, design, target, everything, seed=rng.randint(2**31), **knobs)
        return z

    def _fit_linear(self, loss, design, target, folds):
        """Fit every penalty, on all rows and on every fold, in the same passes; keep the best penalty."""
        path = np.array(_PATH if self.l2 == "auto" else [self.l2], dtype=float)
        seen = np.ones((design.n, 1 + len(folds)), dtype=bool)
        for j, (train, _) in enumerate(folds, start=1):
            seen[:, j] = False
            seen[train, j] = True
        path = path if len(folds) and not self.unit_norm else path[:1]
        solved, end = self._solve(loss, design, target, np.repeat(path, seen.shape[1]), np.tile(seen, len(path)))
        by_penalty = solved.reshape(design.size, len(path), seen.shape[1])
        tested = [_held_out(design, by_penalty[:, i, 1:], folds) for i in range(len(path))]
        known = folds.tested
        risks = [loss.value(z[known], target[known]).mean() if known.size else 0.0 for z in tested]
        best = int(np.argmin(risks))
        self.layers_ = [by_penalty[:, best, :1].copy()]
        self.l2_ = None if self.unit_norm else float(path[best])
        ended = End(int(end[best * seen.shape[1]]))
        if ended is not End.SMALL_GRADIENT:
            warn(
                f"the linear head did not converge: {ended.words}. Rescale the features, or use head_inputs="
                '"confidence".',
                ConvergenceWarning,
            )
        return tested[best]

    def _solve(self, loss, design, target, penalties, seen):
        l2 = np.tile(penalties, (design.size, 1))
        dense = design.blocks.get("dense", slice(0, 0))
        l2[dense] = np.maximum(0.1 * penalties, 1.0)
        l2[dense][-1:] = 0.01  # the log-odds of the maximum: under a strong penalty they alone are left
        l2[design.blocks["intercept"]] = 0.0
        l2 *= not self.unit_norm  # a distance does not depend on the length of the weights
        starts = self._starts(loss, design, target, l2, seen)
        m, repeats = l2.shape[1], starts.shape[1] // l2.shape[1]
        fit = linear.solve(
            loss, design, target, l2=np.tile(l2, repeats), included=np.tile(seen, repeats), starts=starts,
            unit_norm=self.unit_norm, n_jobs=self.n_jobs,
        )  # fmt: skip
        best = fit.value.reshape(repeats, m).argmin(axis=0) * m + np.arange(m)
        parameters = fit.parameters[:, best]
        scale = linear.weight_norm(design, parameters) if self.unit_norm else 1.0
        return parameters / scale, fit.end[best]

    def _starts(self, loss, design, target, l2, seen):
        """Zero (for a distance: down the gradient at zero), then small random weights."""
        zero = np.zeros_like(l2)
        if self.unit_norm:
            zero = -linear.gradient_at(loss, design, target, zero, seen)
            zero /= np.maximum(np.linalg.norm(zero, axis=0), 1e-300)
        if loss.convex and not self.unit_norm:
            return zero
        rng = check_seed(self.random_state)
        others = [rng.normal(scale=design.size**-0.5, size=(design.size, 1)) for _ in range(self.restarts - 1)]
        return np.concatenate([zero, *(np.tile(start, l2.shape[1]) for start in others)], axis=1)


def _held_out(design, parameters, folds):
    """Output of every row by the column of its fold, from one pass."""
    columns = forward.outputs(design, [parameters])
    z = np.full(design.n, np.nan)
    for j, (_, test) in enumerate(folds):
        z[test] = columns[test, j]
    return z
