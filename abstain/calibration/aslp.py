"""Adaptive label perturbation as a calibrator: training labels are perturbed as far as held-out ones ask."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from sklearn.base import clone
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.utils import _safe_indexing

from abstain.asking.ask import answers_by_argmax, ask, is_frozen, learnt_argmax, said
from abstain.asking.cross_fit import part_of, warn_if_fitted
from abstain.asking.routing import routed
from abstain.calibration.base import BaseCalibrator
from abstain.calibration.floor import floored, lowest_logit, mixed
from abstain.losses.label_perturbation import HIGHEST, LabelPerturbationLoss, adapted, drawn_level, level_margin
from abstain.outputs import log_softmax
from abstain.solvers.perturbed_heads import AffineHead, fit_affine_head, fit_linear_head, fit_temperature_head
from abstain.solvers.temperature import fit_inverse_temperature
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_data, check_seed, label_column
from abstain.utils.labels import label_codes
from abstain.utils.validation import (
    check_choice,
    check_count,
    check_flag,
    check_groups,
    check_mask,
    check_number,
    check_unit,
)

MODES = ("mc", "mei", "gap")
HEADS = ("temperature", "affine", "linear")


class _Rows(NamedTuple):
    """Logits of some samples, with their true classes and weights."""

    x: np.ndarray
    codes: np.ndarray
    weight: np.ndarray

    def accuracy(self, head):
        """Share of samples whose largest logit is the true class's."""
        return float(np.average(head(self.x).argmax(axis=1) == self.codes, weights=self.weight))

    def confidence(self, head):
        """Mean largest probability."""
        return float(np.average(np.exp(log_softmax(head(self.x)).max(axis=1)), weights=self.weight))


class ASLPCalibrator(BaseCalibrator):
    r"""Adaptive stochastic label perturbation (ASLP), after a classifier.

    A small head on the logits is trained on the rows that the classifier has been trained on, where it is too sure,
    with labels that are perturbed at a level of each sample; accuracy on rows that are held out says how far.

    Parameters
    ----------
    {shared}
    mode : {"mc", "mei", "gap"}, default="mc"
        What holds the levels. "mc", model calibration: the expected confidence of a target, 1 - s, is not to fall
        below held-out accuracy. "mei", maximum-entropy inference: levels rise until held-out accuracy falls below its
        best. "gap", ours: one level for all, at which mean held-out confidence equals accuracy.
    head : {"temperature", "affine", "linear"}, default="temperature"
        What is trained: one factor; a factor and intercepts; or a linear map of all logits.
    beta : float, default=1.0
        What is moved of a label that is drawn, in the convention of the paper, in which 1 moderates and 2 inverts.
        It matters for sampled labels, and as the scale of ``alpha_``.
    expected : bool, default=True
        Whether to train on the expected loss, or on labels that are drawn anew each round, as the paper does.
    eta : float, default=0.05
        Length of a step of the levels.
    penalty : float, default=100.0
        Weight of what holds them.
    warm_up : int, default=5
        Rounds without perturbation.
    n_rounds : int, default=30
        Rounds, each of which fits the head and moves the levels once.
    l2 : float, default=1.0
        Penalty of the linear head.
    validation_fraction : float, default=0.3
        Share of the rows that is held out where `fit` is not told which are.
    final_temperature : bool, default=True
        Whether a temperature is fitted on the held-out rows at the end.

    Attributes
    ----------
    levels_ : ndarray of shape (n_levels,)
        s of each training row, or of each group of them.
    alpha_ : ndarray of shape (n_levels,)
        Probability of a perturbation, ``2 s / beta``, as the paper writes it.
    accuracy_ : float
        On held-out rows, at the end.
    temperature_ : float
        The final temperature; 1 without.
    uniform_ : float
        Share of the uniform distribution that is mixed in with it, 1 / (held-out rows + 1); 0 without.
    history_ : list of dict
        Accuracy, and mean level, of each round.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    Notes
    -----
    Paper: a level for each sample, its signs, clean labels for its margin, held-out accuracy as the target, both ways
    of holding it. Ours: the expected loss, more than two classes, a proximal step (the released rule oscillates),
    "gap", heads that are convex, and the final temperature.

    It is wrong on calibration rows alone: log-loss is proper there, and a perturbed one makes probabilities too modest.
    A classifier that is not frozen is therefore fitted on the training part, and its outputs on that same part are what
    the head learns from. Saved outputs, and those of a frozen one, must come with the rows it was trained on, and with
    ``held_out`` for those it was not.

    References
    ----------
    J. Liu et al., "Model Calibration in Dense Classification with Adaptive Label Perturbation", ICCV 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from abstain.calibration import ASLPCalibrator
    >>> X, y = load_digits(return_X_y=True)
    >>> base = LogisticRegression(C=100, max_iter=2000)
    >>> model = ASLPCalibrator(base, n_rounds=10, random_state=0).fit(X[:900], y[:900])
    >>> model.score(X[900:], y[900:]) > 0.85
    True
    """

    def __init__(
        self, estimator: Any = None, *, kind: str | None = None, cv: Any = 5, n_jobs: int | None = None,
        random_state: Seed = None, mode: str = "mc", head: str = "temperature", beta: float = 1.0,
        expected: bool = True, eta: float = 0.05, penalty: float = 100.0, warm_up: int = 5, n_rounds: int = 30,
        l2: float = 1.0, validation_fraction: float = 0.3, final_temperature: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(estimator, kind=kind, cv=cv, n_jobs=n_jobs, random_state=random_state)
        self.mode = mode
        self.head = head
        self.beta = beta
        self.expected = expected
        self.eta = eta
        self.penalty = penalty
        self.warm_up = warm_up
        self.n_rounds = n_rounds
        self.l2 = l2
        self.validation_fraction = validation_fraction
        self.final_temperature = final_temperature

    @property
    def keeps_answer(self) -> bool:
        """Whether answers stay: those of a positive factor do."""
        head = getattr(self, "head_", None)
        return isinstance(head, AffineHead) and head.intercept is None and head.slope > 0

    def _check_parameters(self):
        super()._check_parameters()
        check_choice(self.mode, "mode", MODES)
        check_choice(self.head, "head", HEADS)
        for name in ("beta", "eta", "penalty", "l2"):
            check_number(getattr(self, name), name, above=0)
        check_count(self.warm_up, "warm_up", least=0)
        check_count(self.n_rounds, "n_rounds")
        check_unit(self.validation_fraction, "validation_fraction")
        for name in ("expected", "final_temperature"):
            check_flag(getattr(self, name), name)

    def fit(self, X: Any, y: ArrayLike, *, held_out: ArrayLike | None = None, **params: Any) -> Self:
        """Train the head, and move the levels.

        Parameters
        ----------
        X : array-like of shape (n, n_classes), ClassOutputs, or data of the estimator
            Rows that the classifier was trained on, and others.
        y : array-like of shape (n,)
            Labels.
        held_out : array-like of shape (n,) of bool, default=None
            Which rows the classifier has not been trained on. None draws them, which for saved outputs and frozen
            classifiers means that all rows are alike.
        **params : dict
            ``sample_weight``, and ``groups``: rows of a group share a level, and are not divided between training and
            held-out rows. Anything else goes to `fit` of the estimator.

        Returns
        -------
        self : object
            Fitted.
        """
        return super().fit(X, y, held_out=held_out, **params)

    def _fit(self, X, y, params):
        if self.estimator is None or is_frozen(self.estimator):
            return super()._fit(X, y, params)
        self._check_parameters()
        self._refuse_outputs(X)
        warn_if_fitted(self.estimator)
        y, X = label_column(y), check_data(self, X, reset=True)
        params = dict(params)
        held_out, weight, groups = params.pop("held_out", None), params.get("sample_weight"), params.get("groups")
        _, fit_params = routed(self, params)
        classes, codes = label_codes(y)
        held_out = self._drawn(codes, groups) if held_out is None else check_mask(held_out, len(codes), "held_out")
        train = np.flatnonzero(~held_out)
        there = {name: part_of(value, train, len(codes)) for name, value in fit_params.items()}
        fitted = clone(self.estimator).fit(_safe_indexing(X, train), _safe_indexing(y, train), **there)
        response = self._response()
        known = answers_by_argmax(fitted, response)
        heard = ask(fitted, X, response, classes, known)
        self.estimator_ = fitted
        outputs = said(fitted, heard, response, classes)
        by_argmax = learnt_argmax(heard.values, heard.answer) if known is None else known
        return self._fit_outputs(outputs, codes, by_argmax, weight, groups, held_out)

    def _drawn(self, codes, groups):
        """Rows to hold out, as a mask: of whole groups, or evenly of all classes."""
        n, held_out = len(codes), np.zeros(len(codes), dtype=bool)
        seed = check_seed(self.random_state).randint(2**31)
        if groups is not None and len(np.unique(groups)) > 1:
            split = GroupShuffleSplit(1, test_size=self.validation_fraction, random_state=seed)
            held_out[next(split.split(codes, groups=check_groups(groups, n)))[1]] = True
            return held_out
        counts = np.bincount(codes)
        even = counts[counts > 0].min() >= 2 and np.count_nonzero(counts) <= n * self.validation_fraction
        test = train_test_split(
            np.arange(n), test_size=self.validation_fraction, stratify=codes if even else None, random_state=seed
        )[1]
        held_out[test] = True
        return held_out

    def _learn(self, labelled):
        self.lowest_ = lowest_logit(labelled.outputs)
        x = log_softmax(floored(labelled.outputs, self.lowest_))
        held_out = self._drawn(labelled.codes, labelled.groups) if labelled.held_out is None else labelled.held_out
        train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        rows = _Rows(x[train], labelled.codes[train], labelled.weight[train])
        held = _Rows(x[test], labelled.codes[test], labelled.weight[test])
        unit = np.arange(len(train))
        if labelled.groups is not None:
            unit = np.unique(labelled.groups[train], return_inverse=True)[1]
        self.history_: list = []
        self.levels_ = self._levels(rows, held, unit)
        self.alpha_ = 2.0 * self.levels_ / self.beta
        self.accuracy_ = held.accuracy(self.head_)
        self.temperature_, self.uniform_ = 1.0, 0.0
        if self.final_temperature:
            self.temperature_ = 1.0 / fit_inverse_temperature(self.head_(held.x), held.codes, held.weight)
            self.uniform_ = 1.0 / (labelled[test].size + 1.0)

    def _levels(self, rows, held, unit):
        if self.mode == "gap":
            return np.full(unit.max() + 1, self._level_without_gap(rows, held))
        count, levels, best = np.bincount(unit), np.zeros(unit.max() + 1), -np.inf
        rng = check_seed(self.random_state)
        for i in range(self.n_rounds):
            head = self.head_ = self._fit_head(rows, self._strength(levels, unit, rng))
            accuracy = held.accuracy(head)
            best = max(best, accuracy)
            margin = np.bincount(unit, level_margin(head(rows.x), rows.codes)) / count
            if i >= self.warm_up:
                levels = adapted(
                    levels, margin, accuracy=accuracy, reference=best if self.mode == "mei" else None, eta=self.eta,
                    penalty=self.penalty,
                )  # fmt: skip
            self.history_.append({"accuracy": accuracy, "level": float(levels[unit].mean())})
        return levels

    def _strength(self, levels, unit, rng):
        """Levels of the rows; drawn for whole units where labels are sampled."""
        return levels[unit] if self.expected else drawn_level(levels, self.beta / 2, rng)[unit]

    def _level_without_gap(self, rows, held):
        def gap(level):
            self.head_ = self._fit_head(rows, np.full(len(rows.codes), level))
            return held.confidence(self.head_) - held.accuracy(self.head_)

        if gap(0.0) <= 0:
            return 0.0
        if gap(HIGHEST) >= 0:
            return HIGHEST
        level = brentq(gap, 0.0, HIGHEST, xtol=1e-3)
        gap(level)
        return float(level)

    def _fit_head(self, rows, strength):
        problem = LabelPerturbationLoss(), rows.x, rows.codes, rows.weight, strength
        if self.head == "linear":
            return fit_linear_head(*problem, self.l2)
        return fit_affine_head(*problem) if self.head == "affine" else fit_temperature_head(*problem)

    def _map(self, outputs):
        x = log_softmax(floored(outputs, self.lowest_))
        return mixed(log_softmax(self.head_(x) / self.temperature_), self.uniform_)
