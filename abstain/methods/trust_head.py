"""The trust head: a small model that learns, from held-out outcomes, which predictions are right."""

from numbers import Real

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from abstain.losses import CrossEntropyLoss
from abstain.scores.inputs import as_inputs, unit_target
from abstain.solvers import forward, linear
from abstain.solvers.design import Design
from abstain.solvers.training import Training
from abstain.utils.validation import check_choice, check_hidden
from abstain.warnings import ConvergenceWarning, warn

_PATH = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
_CLIP = 1e-15


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
    training : Training, default=None
        Knobs of the network; unused by linear heads on a CPU.
    random_state : int, RandomState or None, default=None
        Seed of starts, folds and networks.

    Attributes
    ----------
    layers_ : list
        Weights as arrays, on standardised columns.
    l2_ : float or None
        The penalty in force.
    calibration_ : tuple of float
        Slope and intercept on the log-odds of the inverse link; (1, 0) before `recalibrate`.
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
        self, loss=None, *, target="correct", head_inputs="both", hidden=(), l2="auto", unit_norm=False, restarts=2,
        calibrate=True, training=None, random_state=None,
    ):  # fmt: skip
        self.loss = loss
        self.target = target
        self.head_inputs = head_inputs
        self.hidden = hidden
        self.l2 = l2
        self.unit_norm = unit_norm
        self.restarts = restarts
        self.calibrate = calibrate
        self.training = training
        self.random_state = random_state

    @property
    def sees(self):
        """What a selective classifier shows this scorer."""
        return self.head_inputs

    def fit(self, X, y):
        """Fit the head, choosing and calibrating on internal folds.

        Parameters
        ----------
        X : array-like of shape (n, d), or head inputs
            Features; a selective classifier adds the class probabilities.
        y : array-like of shape (n,)
            Target: correctness, or a probability in [0, 1]. Other scales are mapped to it, with a warning.

        Returns
        -------
        self : object
            Fitted head.
        """
        n = len(np.asarray(y))
        seed = check_random_state(self.random_state).randint(2**31)
        folds = list(KFold(min(5, n), shuffle=True, random_state=seed).split(np.zeros(n))) if n > 1 else []
        score = self.fit_held_out(X, y, folds)
        target = unit_target(y)
        if folds and np.isin(target, (0, 1)).all():
            self.recalibrate(score, target.astype(bool))
        return self

    def fit_held_out(self, X, y, folds):
        """Fit on all rows and return scores by heads that have not seen the row, all in shared passes.

        Parameters
        ----------
        X : array-like of shape (n, d), or head inputs
            Inputs.
        y : array-like of shape (n,)
            Target in [0, 1].
        folds : list of (train, test)
            Index arrays.

        Returns
        -------
        score : ndarray of shape (n,)
            Held-out scores before recalibration.
        """
        check_choice(self.target, "target", ("correct", "tcp", "tcp_ratio"))
        check_choice(self.head_inputs, "head_inputs", ("both", "features", "confidence"))
        self._check_parameters()
        design = self._design(X, reset=True)
        target = unit_target(y, n=design.n)
        self.mean_, self.scale_ = design.mean, design.scale
        self.calibration_, self.history_, self.l2_ = (1.0, 0.0), [], None
        loss = CrossEntropyLoss() if self.loss is None else self.loss
        if np.size(self.hidden) or (self.training and self.training.device not in ("auto", "cpu")):
            z = self._fit_network(loss, design, target, folds)
        else:
            z = self._fit_linear(loss, design, target, folds)
        return loss.inverse_link(z)

    def recalibrate(self, score, correct):
        """Learn P(correct) from held-out scores, keeping their order.

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
            self.calibration_ = _fit_platt(_log_odds(score), np.asarray(correct, dtype=bool))
        return self._calibrated(score)

    def score_samples(self, X):
        """Estimated target of every sample: P(correct), or the expected true class probability.

        Parameters
        ----------
        X : array-like of shape (n, d), or head inputs
            Inputs, as in `fit`.

        Returns
        -------
        score : ndarray of shape (n,)
            In [0, 1], larger is safer.
        """
        check_is_fitted(self)
        design = self._design(X, reset=False)
        loss = CrossEntropyLoss() if self.loss is None else self.loss
        return self._calibrated(loss.inverse_link(forward.outputs(design, self.layers_)[:, 0]))

    def _check_parameters(self):
        if isinstance(self.loss, type):
            raise TypeError(f"loss must be an instance, {self.loss.__name__}(); got the class.")
        check_hidden(self.hidden)
        if self.l2 != "auto" and not (isinstance(self.l2, Real) and float(self.l2) >= 0):
            raise ValueError(f'l2 must be "auto" or a non-negative number; got {self.l2!r}.')
        if not (isinstance(self.restarts, int | np.integer) and self.restarts >= 1):
            raise ValueError(f"restarts must be at least 1; got {self.restarts!r}.")

    def _calibrated(self, score):
        if not self.calibrate:
            return score
        slope, intercept = self.calibration_
        return expit(slope * _log_odds(score) + intercept)

    def _design(self, X, reset):
        inputs = as_inputs(X)
        main = inputs.confidence if inputs.features is None else inputs.features
        checked = validate_data(self, main, reset=reset, dtype="numeric")
        features = None if inputs.features is None else checked
        n_codes = 0 if inputs.log_proba is None else inputs.log_proba.shape[1]
        moments = {} if reset else {"mean": self.mean_, "scale": self.scale_}
        return Design(features, inputs.confidence, inputs.predicted, n_codes, **moments)

    def _fit_network(self, loss, design, target, folds):
        from abstain.utils.optional import import_extra

        import_extra("torch", "torch")
        from abstain.solvers import network

        rng = check_random_state(self.random_state)
        knobs = {
            "hidden": check_hidden(self.hidden),
            "unit_norm": self.unit_norm,
            "training": self.training or Training(),
        }
        z = np.full(design.n, np.nan)
        for train, test in folds:
            layers, _ = network.train(loss, design, target, train, seed=rng.randint(2**31), **knobs)
            z[test] = forward.outputs(design, layers)[test, 0]
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
        path = path if folds and not self.unit_norm else path[:1]
        solved, converged = self._solve(loss, design, target, np.repeat(path, seen.shape[1]), np.tile(seen, len(path)))
        by_penalty = solved.reshape(design.size, len(path), seen.shape[1])
        tested = [_held_out(design, by_penalty[:, i, 1:], folds) for i in range(len(path))]
        known = np.unique(np.concatenate([test for _, test in folds])) if folds else np.empty(0, dtype=int)
        risks = [loss.value(z[known], target[known]).mean() if known.size else 0.0 for z in tested]
        best = int(np.argmin(risks))
        self.layers_ = [by_penalty[:, best, :1].copy()]
        self.l2_ = None if self.unit_norm else float(path[best])
        if not converged[best * seen.shape[1]]:
            warn(
                "the linear head stopped before it converged: rescale the features or raise l2.",
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
            unit_norm=self.unit_norm,
        )  # fmt: skip
        best = fit.value.reshape(repeats, m).argmin(axis=0) * m + np.arange(m)
        parameters = fit.parameters[:, best]
        scale = linear.weight_norm(design, parameters) if self.unit_norm else 1.0
        return parameters / scale, fit.converged[best]

    def _starts(self, loss, design, target, l2, seen):
        """Zero (for a distance: down the gradient at zero), then small random weights."""
        zero = np.zeros_like(l2)
        if self.unit_norm:
            zero = -linear.gradient_at(loss, design, target, zero, seen)
            zero /= np.maximum(np.linalg.norm(zero, axis=0), 1e-300)
        if loss.convex and not self.unit_norm:
            return zero
        rng = check_random_state(self.random_state)
        others = [rng.normal(scale=design.size**-0.5, size=(design.size, 1)) for _ in range(self.restarts - 1)]
        return np.concatenate([zero, *(np.tile(start, l2.shape[1]) for start in others)], axis=1)


def _held_out(design, parameters, folds):
    """Output of every row by the column of its fold, from one pass."""
    columns = forward.outputs(design, [parameters])
    z = np.full(design.n, np.nan)
    for j, (_, test) in enumerate(folds):
        z[test] = columns[test, j]
    return z


def _log_odds(score):
    return logit(np.clip(score, _CLIP, 1 - _CLIP))


def _fit_platt(odds, correct):
    """Slope (positive) and intercept of a logistic regression on log-odds, with Platt's (1999) smoothed targets."""
    right, wrong = correct.sum(), (~correct).sum()
    target = np.where(correct, (right + 1) / (right + 2), 1 / (wrong + 2))
    scale = odds.std() if odds.std() > 1e-9 else 1.0
    loss = CrossEntropyLoss()

    def objective(parameters):
        z = parameters[0] * odds / scale + parameters[1]
        slope = loss.derivative(z, target)
        return loss.value(z, target).mean(), np.array([(slope * odds).mean() / scale, slope.mean()])

    fit = minimize(objective, [scale, 0.0], jac=True, method="L-BFGS-B", bounds=[(1e-6, None), (None, None)])
    return float(fit.x[0] / scale), float(fit.x[1])
