"""Answers of least expected cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from abstain.decisions import ClassifierAnswer, LeastExpectedCost, least_expected_cost
from abstain.methods.calibrated import BaseCalibrated
from abstain.policies import FixedThreshold
from abstain.policies.base import Policy
from abstain.selective.base import Evidence
from abstain.semantics.checks import check_cost
from abstain.utils.annotations import Seed
from abstain.utils.validation import check_number


class CostSensitiveClassifier(BaseCalibrated):
    r"""Answer what is expected to cost least, and abstain where even that costs too much.

    Parameters
    ----------
    estimator : estimator, default=None
        The classifier. None is logistic regression, a `LinearProbe`; a `FrozenEstimator` is used as it is.
    cost : array-like of shape (n_classes, n_classes), or ClassSemantics, default=None
        ``cost[truth, answer]``, not negative, in the order of sorted labels, and not necessarily symmetric. Semantics
        cost the distance between the two. None costs 1 for an error: the answer is that of the classifier.
    reject_cost : float, default=None
        Cost of an abstention, in the units of ``cost``: `decide` answers where the best answer is expected to cost at
        most that. It stands for the policy ``FixedThreshold(-reject_cost)``, until `fit_policy` is given another.
    calibrator : calibrator, default=None
        What is put behind the classifier first, from `abstain.calibration`: costs are weighed by probabilities, which
        must be true. None takes them as they are.
    policy : Policy, default=None
        None is ``TargetCoverage(0.9)``, or what ``reject_cost`` says.
    cv : int, splitter or iterable, default=5
        Folds of the held-out outcomes, and of the calibrator.
    response_method : {"predict_proba", "decision_function"}, default="predict_proba"
        What to ask an estimator for. "decision_function" declares that it returns logits.
    n_jobs : int, default=None
        Folds fitted at once.
    abstain_label : object, default=None
        What `decide` returns for an abstention. None chooses by the kind of the labels: -1 for integers (one below the
        smallest where -1 is a class), "abstain" for strings, NaN for floats.
    random_state : int, RandomState or None, default=None
        Seed of the folds.

    Attributes
    ----------
    cost_ : ndarray of shape (n_classes, n_classes)
        Costs in the order of ``classes_``.
    report_ : Comparison
        AURC of the score, on costs, beside that of maximum probability.
    calibrator_ : calibrator
        The calibrator, where there is one, fitted on all held-out outputs.
    estimator_, policy_, classes_, abstain_label_, n_features_in_ : object
        As in `SelectiveClassifier`.

    See Also
    --------
    ClassSemantics : Distances of classes.
    HierarchicalClassifier : Coarser answers in the place of abstentions.

    Notes
    -----
    .. math:: a(x) = \arg\min_a \sum_i p_i(x)\, C_{i a}

    Probabilities stay as they are. ``score_samples`` is less the expected cost of the answer. What a policy bounds is
    the cost as a share of the largest one: ``TargetRisk(0.05)`` promises a mean cost of what is answered of at most
    0.05 times ``cost_.max()``. The answer stays the same where a constant is added to all costs of one true class.

    References
    ----------
    C. Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001. S. Karthik, A. Prabhu, P. K. Dokania,
    V. Gandhi, "No Cost Likelihood Manipulation at Test Time for Making Better Mistakes in Deep Networks", ICLR 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from abstain import CostSensitiveClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> missed_cancer = [[0, 20], [1, 0]]  # class 0 is malignant
    >>> est = CostSensitiveClassifier(cost=missed_cancer, reject_cost=0.5, cv=2).fit(X[::2], y[::2])
    >>> bool((est.predict(X[1::2]) == 0).sum() > (y[1::2] == 0).sum())
    True
    """

    head_inputs = "confidence"

    def __init__(
        self, estimator: Any = None, cost: Any = None, *, reject_cost: float | None = None, calibrator: Any = None,
        policy: Policy | None = None, cv: Any = 5, response_method: str = "predict_proba", n_jobs: int | None = None,
        abstain_label: Any = None, random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.cost = cost
        self.reject_cost = reject_cost
        self.calibrator = calibrator
        self.policy = policy
        self.cv = cv
        self.response_method = response_method
        self.n_jobs = n_jobs
        self.abstain_label = abstain_label
        self.random_state = random_state

    def _policy(self, policy):
        if policy is not None or self.reject_cost is None:
            return super()._policy(policy)
        check_number(self.reject_cost, "reject_cost", least=0)
        return FixedThreshold(-float(self.reject_cost))

    def _fit(self, X, y, codes, **params):
        if self.policy is not None and self.reject_cost is not None:
            raise ValueError(
                "policy and reject_cost both say where to abstain; give one of them. To certify a threshold later, "
                "call fit_policy(X, y, policy)."
            )
        self.cost_ = self._costs()
        self.rule_ = ClassifierAnswer() if self.cost is None else LeastExpectedCost(self.cost_)
        return super()._fit(X, y, codes, **params)

    def _costs(self):
        n_classes = len(self.classes_)
        if self.cost is None:
            return 1.0 - np.eye(n_classes)
        if hasattr(self.cost, "aligned"):
            return check_cost(self.cost.aligned(self.classes_).distance(), n_classes)
        return check_cost(self._in_order(self.cost) if hasattr(self.cost, "reindex") else self.cost, n_classes)

    def _in_order(self, frame):
        """A frame of costs whose rows and columns are named by the classes, in their order; any other as it is."""
        classes = self.classes_.tolist()
        named = [set(names.tolist()) == set(classes) for names in (frame.index, frame.columns)]
        if all(named):
            return frame.loc[classes, classes].to_numpy()
        if any(names.tolist() != list(range(len(classes))) for names in (frame.index, frame.columns)):
            raise ValueError(
                f"cost is a frame whose rows and columns must be named by the classes, {classes[:8]}; got rows "
                f"{frame.index.tolist()[:8]} and columns {frame.columns.tolist()[:8]}. Pass cost.to_numpy() if "
                "they are in this order."
            )
        return frame.to_numpy()

    @property
    def decision_rule(self) -> Any:
        """The classifier's own answer without costs, and the answer of least expected cost with them."""
        return self.rule_

    @property
    def loss_means_(self) -> str:
        """What promises of this classifier bound: the cost of an answer, where there are costs."""
        return "errors" if isinstance(self.rule_, ClassifierAnswer) else "cost as a share of the largest"

    def _make_scorer(self):
        return LessExpectedCost(None if self.cost is None else self.cost_)

    def _sees(self):
        return LessExpectedCost.sees

    def _judged(self, heard, features):
        outputs, _ = self._shown(heard, features)
        if isinstance(self.rule_, ClassifierAnswer):
            return Evidence(outputs.answer, outputs.proba, self.scorer_.score_samples(outputs))
        answer, expected = least_expected_cost(outputs.proba, self.cost_)
        return Evidence(answer, outputs.proba, -expected)


class LessExpectedCost:
    """Score: less the expected cost of the answer.

    Parameters
    ----------
    cost : ndarray of shape (n_classes, n_classes), default=None
        ``cost[truth, answer]``. None is 1 for an error; the cost is then the probability of all other classes.
    """

    sees, target, min_errors = "outputs", "correct", 0

    def __init__(self, cost):
        self.cost = cost

    def score_samples(self, outputs):
        """Score of every sample, (n,)."""
        if self.cost is not None:
            return -least_expected_cost(outputs.proba, self.cost)[1]
        others = outputs.proba.copy()  # 1 - p would lose the digits of what is nearly certain
        others[np.arange(len(others)), outputs.answer] = 0.0
        return -others.sum(axis=1)
