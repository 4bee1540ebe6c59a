"""What classifiers that learn to select have in common: how they are asked for, and several coverages from one fit."""

import copy
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from abstain.backbones.trainable import check_trainable
from abstain.heads.ranking import KINDS, warn_of_collapse
from abstain.heads.tuned_selector import SELECTION
from abstain.losses.entropy import FORMS
from abstain.methods.selection.learnt import JointSelection, PostHocSelection, TunedJointSelection
from abstain.policies import TargetCoverage
from abstain.selective.base import BaseSelectiveClassifier
from abstain.selective.posthoc import BasePostHoc
from abstain.solvers.training import Training
from abstain.utils.optional import import_extra
from abstain.utils.validation import check_choice, check_hidden, check_number


class BaseLearnedSelection(BasePostHoc):
    """Base of the classifiers that learn what to answer.

    Without an estimator, one network on the features learns to predict and to select. With one, its held-out
    predictions are given, and a `SelectiveHead` learns behind them. Either way the first split of ``cv`` holds samples
    out, by which the epoch, the score and the threshold are chosen. The network that scored them is the one in use: the
    scale of a selector is its own affair, and another network would answer another share of the samples. With
    ``fit_backbone``, images are learnt from, and the backbone with what is learnt on its features.

    A subclass writes ``_loss(coverage)``, and says by ``selector_head`` whether the selector has a head of its own (see
    `JointNetwork`), and by ``collapse`` what to do about a selector that accepts "none" or "all".
    """

    selector_head = False
    report_: Any
    coverages: list[float] | None = None
    collapse: dict[str, str]

    def at(self, coverage: float) -> Self:
        """Serve another of the coverages that were trained for.

        Parameters
        ----------
        coverage : float
            One of ``coverages``.

        Returns
        -------
        served : object
            A fitted copy, which shares its weights. Its policy is that of the constructor, by default the coverage,
            fitted on the held-out scores of `fit`; for the coverage in use already, it is the policy in use.

        Raises
        ------
        ValueError
            If no selector was trained for it.
        """
        check_is_fitted(self)
        if coverage not in list(self.reports_):
            more = "Add it to coverages and refit, or move" if "coverages" in self.get_params() else "Move"
            raise ValueError(
                f"coverage must be one of those trained for, {sorted(self.reports_)}; got {coverage!r}. {more} the "
                "threshold alone: fit_policy(X, y, TargetCoverage(...))."
            )
        served = copy.copy(self)
        for name, value in clone(self).get_params(deep=False).items():  # what is set in the copy stays there
            setattr(served, name, value)
        if coverage == self.coverage:
            return served
        column = list(self.reports_).index(coverage)
        served.set_params(coverage=coverage, coverages=list(self.reports_))
        served.report_ = self.reports_[coverage]
        if hasattr(self, "scorer_"):
            served.scorer_ = self.scorer_.at(column)
        served.learnt_ = learnt = self.learnt_.at(column)
        served.policy_ = served._policy(self.policy).fit(
            learnt.held_out.score, learnt.correct, disjoint=False, rounding=self.rounding_
        )
        return served

    def _policy(self, policy):
        return super()._policy(TargetCoverage(self.coverage) if policy is None else policy)

    def _targets(self):
        """All coverages to train for, that of the constructor first."""
        others: list[float] = [] if self.coverages is None else self.coverages
        if np.ndim(others) != 1 or isinstance(others, str):
            raise ValueError(f"coverages must be a list of numbers in (0, 1], or None; got {others!r}.")
        for name, targets in (("coverage", [self.coverage]), ("each of coverages", others)):
            for target in targets:
                check_number(target, name, above=0, most=1)
        return list(dict.fromkeys([self.coverage, *others]))

    def _losses(self):
        return [self._loss(target) for target in self._targets()]

    def _make_scorer(self):
        return PostHocSelection().scorer(self)

    def _sees(self):
        return "images" if self.fit_backbone else super()._sees()

    def _joins(self):
        return False  # a network on features learns from all of them at once, not in folds

    def _way(self):
        """How selection is learnt."""
        if self.estimator is not None:
            return PostHocSelection()
        return TunedJointSelection() if self.fit_backbone else JointSelection()

    def _training(self):
        if self.fit_backbone:
            return check_trainable(self.backbone, self.training)
        training = SELECTION if self.training is None else self.training
        if not isinstance(training, Training):
            raise TypeError(f"training must be a Training, or None; got {self.training!r}.")
        training.check()
        return training

    def _fit(self, X, y, codes, **params):
        way = self._way()
        import_extra("torch", "torch")
        self._check_parameters(way)
        for name in ("scorer_", "estimator_"):  # of an earlier fit, the other way
            self.__dict__.pop(name, None)
        self.learnt_ = learnt = way.fit(self, X, y, codes, params)
        self.reports_, self.history_ = learnt.reports, learnt.history
        self.report_ = self.reports_[self.coverage]
        warn_of_collapse(
            self.reports_.values(), learnt.odds, learnt.correct, self.collapse, chosen=self.rank_by == "auto"
        )
        return learnt.held_out

    def _check_parameters(self, way):
        """Let everything that can be wrong be wrong before anything is fitted."""
        self._training()
        check_hidden(self.hidden)
        check_choice(self.rank_by, "rank_by", (*KINDS, "auto"))
        check_choice(self.head_inputs, "head_inputs", ("both", "features", "confidence"))
        check_choice(self.entropy_form, "entropy_form", FORMS)
        check_number(self.entropy, "entropy", least=0)
        auxiliary = way.check(self)
        logits, select, codes = np.zeros((1, len(self.classes_))), np.zeros(1), np.zeros(1, dtype=int)
        for loss in self._losses():
            loss.value(logits, select, codes, auxiliary=auxiliary)

    def _risk(self):
        """Loss of one prediction: what is asked for, else what serves the way of training."""
        return self._way().risk(self.risk)

    def _evaluate_grounds(self, X):
        return BaseSelectiveClassifier._evaluate_grounds(self, X)

    def _evaluate(self, X):
        return self.learnt_.evaluate(self, X)
