"""The contract that every selective classifier keeps: one evaluation, and all public methods on top of it."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from abstain.asking.ask import is_frozen
from abstain.asking.cross_fit import warn_if_flawless
from abstain.decisions import ClassifierAnswer
from abstain.policies import TargetCoverage
from abstain.policies.base import Policy
from abstain.policies.certificate import Certificate
from abstain.protocols import declared
from abstain.selective.evidence import Evidence, Told, spread
from abstain.selective.explanation import Explanation, Grounds, close_calls, explained
from abstain.selective.rows import REFUSALS, row_masks
from abstain.utils.borders import check_table, label_column
from abstain.utils.fingerprints import RowPrints
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.labels import abstain_label, fill_abstentions, label_codes, strangers
from abstain.utils.validation import rounding_of
from abstain.warnings import OverlapWarning, warn


class HeldOut(NamedTuple):
    """What is known of samples that were held out: what the policy is fitted on."""

    score: np.ndarray  # (n,), or (n, r) where each sample has r answers, more and more cautious
    loss: np.ndarray  # (n,) or (n, r) of each answer, in [0, 1]
    rounding: float = 2.0**-52  # relative rounding error of what the scores were computed from


class BaseSelectiveClassifier(ClassifierMixin, BaseEstimator):
    """Base of all selective classifiers.

    A subclass stores ``policy`` and ``abstain_label`` in its constructor and writes two methods.

    ``_fit(X, y, codes, **params)`` learns, and returns what it held out as `HeldOut`.
    ``_evaluate(X)`` returns the `Evidence` of data that are already checked, and finite where it asks for that.

    It may refine ``_check_data(X, reset, finite)``, and ``_answers(y)``, the labels that are possible answers.
    """

    row_prints_: Any  # of the rows of `fit`, or of none

    def fit(self, X: Any, y: ArrayLike, **params: Any) -> Self:
        """Fit the classifier, its score and a first threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data. With a frozen estimator, data that it has not seen.
        y : array-like of shape (n_samples,)
            Labels: integers, strings, floats or booleans.
        **params : dict
            ``groups`` of shape (n_samples,) go to the splitter, and no fold divides one. Anything else, such as
            ``sample_weight``, goes to `fit` of the estimator. scikit-learn's metadata routing applies where it is on.

        Returns
        -------
        self : object
            Fitted estimator. Its threshold carries no guarantee; see `fit_policy`.

        Raises
        ------
        ValueError
            If the data are malformed, hold one class only, or a label is unknown to a frozen estimator.
        """
        with unchanged_on_failure(self):
            return self._fit_steps(X, y, params)

    def _fit_steps(self, X, y, params):
        policy = self._policy(self.policy)
        if getattr(policy, "groupwise", False):  # here one threshold serves all: groups get theirs in `fit_policy`
            policy.set_params(groupwise=False)
        given, X = X, self._check_data(X, reset=True, finite=True)
        prints = RowPrints(given)
        y = label_column(y)
        check_consistent_length(X, y)
        self.classes_ = self._answers(y)
        self.abstain_label_ = abstain_label(self.classes_, self.abstain_label)
        held = self._fit(X, y, self._codes(y), **params)
        self.policy_ = policy.fit(held.score, **_outcome(held.loss), disjoint=False, rounding=held.rounding)
        self.row_prints_, self.rounding_ = prints, held.rounding
        return self

    def evaluate(self, X: Any) -> Evidence:
        """Answer, class probabilities and score of every sample, from one call of the classifier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        evidence : Evidence
            ``answer`` (n_samples,), indices into ``classes_``; ``proba`` (n_samples, n_classes); ``score``
            (n_samples,), larger is safer. -1 and NaN for rows that cannot be scored.
        """
        self._check_fitted()
        return self._scored(self._check_data(X, reset=False, finite=False))

    def _scored(self, X, kind=Evidence):
        """Evidence on checked data, with grounds where ``kind`` is `Told`; rows that are refused are left out."""
        evaluate = self._evaluate if kind is Evidence else self._evaluate_grounds
        for good in row_masks(X, evaluate):
            try:
                with np.errstate(over="ignore"):  # a number that is too large for a classifier is refused by it
                    return evaluate(X) if good is None else self._of_some(X, good, evaluate, kind)
            except REFUSALS as error:
                refusal = error
        raise refusal

    def _of_some(self, X, good, evaluate, kind):
        """Evidence of good rows, and that nothing is known of the others."""
        some = evaluate(_safe_indexing(X, np.flatnonzero(good))) if good.any() else None
        return spread(some, good, len(self.classes_), kind)

    def predict(self, X: Any) -> np.ndarray:
        """Answer every sample as the classifier does, without abstaining.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            What `predict` of the estimator says; by default the class of largest probability.
        """
        evidence = self._look(X)
        return self.classes_[evidence.answer]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return self._look(X).proba

    def score_samples(self, X: Any) -> np.ndarray:
        """Confidence of the answer to each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        score : ndarray of shape (n_samples,)
            Larger is safer; NaN for a row that cannot be scored.
        """
        return self.evaluate(X).score

    def accept(self, X: Any, groups: ArrayLike | None = None) -> np.ndarray:
        """Say which answers may be acted on.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        groups : array-like of shape (n_samples,), default=None
            Groups, for a policy with a threshold for each.

        Returns
        -------
        accept : ndarray of shape (n_samples,) of bool
            True where the policy accepts the score.
        """
        return self._accepted(self.score_samples(X), groups)

    def decide(self, X: Any, groups: ArrayLike | None = None) -> np.ndarray:
        """Answer, or abstain.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        groups : array-like of shape (n_samples,), default=None
            Groups, for a policy with a threshold for each.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            As `predict`, with ``abstain_label_`` where the policy does not accept, or a row cannot be scored.
        """
        evidence = self.evaluate(X)
        accepted = self._accepted(evidence.score, groups)
        return fill_abstentions(self.classes_[evidence.answer], accepted, self.abstain_label_)

    def _accepted(self, score, groups):
        return self.policy_.accept(score) if groups is None else self.policy_.accept(score, groups)

    def explain(self, X: Any, groups: ArrayLike | None = None) -> list[Explanation]:
        """Say why each prediction is given or held back.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        groups : array-like of shape (n_samples,), default=None
            Groups, for a policy with a threshold for each.

        Returns
        -------
        explanations : list of Explanation
            For each sample the answer, its nearest rival, score and threshold, and at most three reasons, with what
            each does to the score. Print them; a notebook shows a table; ``pandas.DataFrame(explanations)`` is one.
        """
        self._check_fitted()
        told = self._scored(self._check_data(X, reset=False, finite=False), Told)
        return self._explained(told, groups)

    def _explained(self, told, groups):
        """Explanations of evidence with grounds."""
        accepted = self._accepted(told.score, groups)
        thresholds = np.broadcast_to(self.policy_.thresholds_for(told.score, groups), len(told.score))
        return explained(told, self.classes_, thresholds, accepted, self.score_means_)

    def _evaluate_grounds(self, X):
        """Evidence with its grounds, `Told`."""
        evidence = self._evaluate(X)
        return Told.of(evidence, map(Grounds, close_calls(evidence, self.classes_)))

    def fit_policy(
        self, X: Any, y: ArrayLike, policy: Policy | None = None, *, groups: ArrayLike | None = None,
        clusters: ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        """Choose the threshold anew on a calibration set, leaving everything else as it is.

        Where the estimator is frozen and its score has nothing to learn, `fit` is not needed before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Calibration data: fresh, never used to fit or to choose anything.
        y : array-like of shape (n_samples,)
            Their labels; classes may be missing.
        policy : Policy, default=None
            For example ``TargetRisk(0.02)``. None is the policy of the constructor.
        groups : array-like of shape (n_samples,), default=None
            Groups in each of which a risk bound must hold.
        clusters : array-like of shape (n_samples,), default=None
            What is exchangeable, if not rows: the film of a frame, the patient of a record.

        Returns
        -------
        self : object
            With a new ``policy_``, whose ``certificate_`` says what is guaranteed.

        Raises
        ------
        ValueError
            If the calibration set is empty or holds a label that is not in ``classes_``.
        """
        with unchanged_on_failure(self):
            self._begin(X, y)
            return self._fit_policy(X, y, policy, groups, clusters)

    def _begin(self, X, y):
        """Become fitted, where nothing has to be learnt for that."""

    def _fit_policy(self, X, y, policy, groups, clusters):
        policy = self._policy(self.policy if policy is None else policy)
        self._check_fitted()
        given, X = X, self._check_data(X, reset=False, finite=False)
        repeats = self.row_prints_.compare(given)
        codes = self._codes(label_column(y))
        check_consistent_length(X, codes)
        evidence = self._scored(X)
        if is_frozen(getattr(self, "estimator_", None)):
            warn_if_flawless(self.estimator_, (evidence.answer == codes)[~np.isnan(evidence.score)])
        held = self._labelled(evidence, codes)
        options = {name: value for name, value in (("groups", groups), ("clusters", clusters)) if value is not None}
        options |= _outcome(held.loss) | self._history(repeats, codes)
        self.policy_ = policy.fit(held.score, **options, rounding=max(self.rounding_, rounding_of(X)))
        return self

    def check(self, X: Any, y: ArrayLike, *, groups: ArrayLike | None = None, delta: float = 0.05) -> Certificate:
        """Say what new labels tell of the threshold in use, which stays as it is.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New data, which neither `fit` nor any choice has seen.
        y : array-like of shape (n_samples,)
            Their labels.
        groups : array-like of shape (n_samples,), default=None
            Groups, each of which gets a bound of its own.
        delta : float, default=0.05
            One minus the confidence of the bound, in (0, 1).

        Returns
        -------
        certificate : Certificate
            As of `Policy.check`, of the answers that this classifier gives, and of their losses.
        """
        self._check_fitted()
        given, X = X, self._check_data(X, reset=False, finite=False)
        repeats = self.row_prints_.compare(given)
        codes = self._codes(label_column(y))
        check_consistent_length(X, codes)
        held = self._labelled(self._scored(X), codes)
        certificate = self.policy_.check(held.score, **_outcome(held.loss), groups=groups, delta=delta)
        return replace(certificate, **self._history(repeats, codes))

    def _labelled(self, evidence, codes) -> HeldOut:
        """What labels say of the answers in the evidence."""
        return HeldOut(evidence.score, self.decision_rule.loss(evidence.answer, codes))

    @property
    def decision_rule(self) -> Any:
        """From what the classifier says to an answer, and from an answer to a loss; a subclass may have its own."""
        return ClassifierAnswer()

    def _repr_html_inner(self):
        return super()._repr_html_inner() + self._promise_in_html()

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] += self._promise_in_html()
        return bundle

    def _promise_in_html(self):
        """The policy and its certificate, below the diagram of a fitted classifier."""
        if not hasattr(self, "policy_"):
            return ""
        label = escape(repr(self.abstain_label_))
        return (
            f"<div><code>{escape(repr(self.policy_))}</code>, an abstention is <code>{label}</code>"
            f"{self.policy_.certificate_._repr_html_()}</div>"
        )

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy of all answers, as if nothing were left unanswered.

        No parameter of a trust score changes it. To compare such parameters, give searches
        ``scoring=make_selective_scorer(augrc)``, or another metric of `abstain.metrics`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Test data.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        accuracy : float
            In [0, 1].
        """
        return super().score(X, y, sample_weight)

    @property
    def score_means_(self) -> str:
        """What ``score_samples`` means: "P(correct)", or "order", of which larger is safer is all that is known."""
        self._check_fitted()
        return declared(self.scorer_, "means") if hasattr(self, "scorer_") else "order"

    @property
    def loss_means_(self) -> str:
        """What promises of this classifier bound, as certificates count it: "errors", or losses of its own."""
        return "errors"

    def _look(self, X) -> Evidence:
        self._check_fitted()
        return self._evaluate(self._check_data(X, reset=False, finite=True))

    def _check_fitted(self):
        check_is_fitted(self)

    def _check_data(self, X, reset, finite):
        return check_table(self, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite=finite)

    def _answers(self, y):
        return label_codes(y)[0]

    def _codes(self, y):
        unknown = strangers(y, self.classes_)
        if unknown.size:
            raise ValueError(
                f"y holds labels that are not among the classes of the classifier: {unknown[:5].tolist()}. "
                f"Known are {self.classes_[:5].tolist()}{' ...' if len(self.classes_) > 5 else ''}. Drop those "
                "samples, or refit with them."
            )
        return np.searchsorted(self.classes_, y)

    @staticmethod
    def _policy(policy):
        if policy is None:
            return TargetCoverage()
        if isinstance(policy, type) or not (hasattr(policy, "fit") and hasattr(policy, "accept")):
            raise TypeError(f"policy must be a policy such as TargetRisk(0.05); got {policy!r}.")
        return clone(policy)

    @staticmethod
    def _history(repeats, codes):
        """What the certificate is told of the rows: whether they are new, and how many were seen before."""
        if repeats is None:
            return {"disjoint": None, "compared": False}
        if repeats.reused:
            warn(
                f"{repeats.found} of the {len(codes)} calibration rows were also in fit: the certificate guarantees "
                "nothing. Hold a calibration set out before fitting.",
                OverlapWarning,
            )
        return {"disjoint": not repeats.reused, "seen": repeats.found}


def _outcome(loss):
    """The arguments by which a policy is told of losses: whether each answer is right, where that says it all."""
    graded = not ((loss == 0) | (loss == 1)).all()
    return {"correct": None, "loss": loss} if graded else {"correct": loss == 0}
