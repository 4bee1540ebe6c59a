"""The score to use when one does not want to choose."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from abstain.methods.auto.stack import MIN_ERRORS, TrustStack
from abstain.policies.base import Policy
from abstain.protocols import as_scorer
from abstain.selective.stress import BaseUnderStress
from abstain.utils.annotations import Seed
from abstain.utils.validation import check_choice
from abstain.warnings import FewErrorsWarning, warn


class AutoTrust(BaseUnderStress):
    """Stack of all that speaks cheaply for or against a prediction, or maximum probability where that gains nothing.

    Parameters
    ----------
    estimator : estimator, default=None
        The classifier. None is standardisation and logistic regression; a `FrozenEstimator` is used as it is.
    scorers : list, default=()
        More scorers to learn from: functions of probabilities, or objects with ``fit`` and ``score_samples``. One that
        is fitted already, say on the training features of a frozen network, goes in as a `FrozenEstimator`. Each is
        one column.
    head_inputs : {"both", "confidence"}, default="both"
        Whether the features may be used, or the probabilities alone.
    budget : {"full", "fast"} or float, default="full"
        "fast" asks relative Mahalanobis and neighbours; "full" adds second classifiers, of trees and of kernels. A
        number is the seconds after which no source is begun (beyond the fits of the classifier itself); results then
        depend on the machine.
    backbone : transformer, default=None
        Turns ``X`` into the features that the sources see; the classifier sees ``X`` as given.
    policy : Policy, default=None
        None is ``TargetCoverage(0.9)``.
    cv : int, splitter or iterable, default=5
        Folds of the held-out outcomes and of everything that learns from them. Where samples come in groups, such as
        frames of a film, or nearly repeat, give `fit` their ``groups``: copies of a sample in other folds make
        neighbours look wiser than they are.
    response_method : {"predict_proba", "decision_function"}, default="predict_proba"
        What to ask the classifier for. "decision_function" declares that it returns logits.
    n_jobs : int, default=None
        Folds of the classifier, and trees, fitted at once.
    abstain_label : object, default=None
        What `decide` returns for an abstention. None chooses by the kind of the labels: -1 for integers (one below the
        smallest where -1 is a class), "abstain" for strings, NaN for floats.
    random_state : int, RandomState or None, default=None
        Seed.

    Attributes
    ----------
    report_ : StackReport
        What was tried, how it compares with maximum probability in each setting, what it costs; print it.
    scorer_ : TrustStack
        The stack.
    estimator_, policy_, classes_, abstain_label_, n_features_in_ : object
        As in `SelectiveClassifier`.

    See Also
    --------
    SelectiveClassifier : One score of your choice.

    Notes
    -----
    The evidence: log-odds, margin and entropy of the probabilities; the predicted class; relative Mahalanobis distance;
    the nearest samples of the predicted class and of the others; where features have more than 64 columns, what the
    labels of at most 10,000 samples say, each counted by its angle; what a second classifier, of trees and of kernels,
    says of the answer; the norm of declared logits; and any scorers given. It is gathered from sources that have not
    seen the sample, on the samples as they are and, where the classifier can be asked, with noise of a quarter to one
    standard deviation on the features.

    A logistic regression learns from all of it, in which whatever is safer by itself (nearer, agreed with, more
    probable) never lowers trust. Evidence counts only as far as held-out samples show it, and where a sample is farther
    than any of them its score falls with the distance.

    The score is kept only if, held out and ranked within folds, its AUGRC is lower than that of maximum probability by
    1.3 paired standard errors, and neither the AURC, nor the errors among the safest 10, 25 and 50 %, nor the log loss,
    nor the AURC under other shares of the classes or under noise is higher; else a part of it is mixed with maximum
    probability, or that is used alone. Below 20 errors (or 20 right predictions) nothing is tried. Sources that know
    classes are left out where more than 5 % of the samples are of classes with fewer than 8.

    With so many conditions a real gain may be missed: to pass the first one alone, it must be 2.6 standard errors for a
    chance of 90 %.

    Examples
    --------
    >>> from abstain import AutoTrust
    >>> from abstain.datasets import make_known_posterior
    >>> X, y, _ = make_known_posterior(600, separation=1.5, random_state=0)
    >>> est = AutoTrust(budget="fast", cv=2, random_state=0).fit(X[:400], y[:400])
    >>> est.report_.n, est.report_.chosen in ("stack", "maximum probability")
    (400, True)
    """

    def __init__(
        self, estimator: Any = None, *, scorers: Sequence = (), head_inputs: str = "both", budget: Any = "full",
        backbone: Any = None, policy: Policy | None = None, cv: Any = 5, response_method: str = "predict_proba",
        n_jobs: int | None = None, abstain_label: Any = None, random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.scorers = scorers
        self.head_inputs = head_inputs
        self.budget = budget
        self.backbone = backbone
        self.policy = policy
        self.cv = cv
        self.response_method = response_method
        self.n_jobs = n_jobs
        self.abstain_label = abstain_label
        self.random_state = random_state

    def _grounds(self, heard, features, evidence):
        _, view = self._shown(heard, features)
        return self.scorer_.explain(view)

    def _fit(self, X, y, codes, **params):
        check_choice(self.head_inputs, "head_inputs", ("both", "confidence"))
        seconds = isinstance(self.budget, Real) and not isinstance(self.budget, bool) and float(self.budget) >= 0
        if self.budget not in ("full", "fast") and not seconds:
            raise ValueError(f'budget must be "full", "fast" or a number of seconds; got {self.budget!r}.')
        for i, scorer in enumerate(self._scorers()):
            as_scorer(scorer, f"scorers[{i}]")
        held = super()._fit(X, y, codes, **params)
        self.report_, correct = self.scorer_.report_, held.loss == 0
        if min(correct.sum(), (~correct).sum()) < MIN_ERRORS:
            warn(
                f"{(~correct).sum()} errors among {correct.size} held-out predictions are not enough to learn from "
                f"({MIN_ERRORS} errors and {MIN_ERRORS} right ones are needed): the score is maximum probability, "
                "recalibrated. Give more data; and if there are no errors at all, were these the training samples of "
                "a frozen estimator?",
                FewErrorsWarning,
            )
        return held

    def _scorers(self):
        if not isinstance(self.scorers, list | tuple):
            raise TypeError(f"scorers must be a list; got {self.scorers!r}.")
        return list(self.scorers)

    def _make_scorer(self):
        return TrustStack(self._scorers(), self.head_inputs, self.budget, self.n_jobs, self.random_state)
