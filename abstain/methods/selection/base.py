"""What all classifiers that learn to select have in common: two ways to train, and several coverages from one fit."""

import copy
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from abstain.asking.routing import routed
from abstain.folds import make_folds
from abstain.heads.ranking import KINDS, held_out_area, report_all, selection_score, warn_of_collapse
from abstain.heads.selective_head import SelectiveHead
from abstain.losses import EntropyTerm, SoftmaxLoss
from abstain.losses.entropy import FORMS
from abstain.policies import TargetCoverage
from abstain.selective.base import Evidence, HeldOut
from abstain.selective.posthoc import BasePostHoc
from abstain.solvers import forward
from abstain.solvers.design import Design
from abstain.solvers.training import Training
from abstain.utils.borders import check_seed
from abstain.utils.optional import import_extra
from abstain.utils.validation import check_choice, check_count, check_hidden, check_number


class BaseLearnedSelection(BasePostHoc):
    """Base of the classifiers that learn what to answer.

    Without an estimator, one network on the features learns to predict and to select. With one, its held-out
    predictions are given, and a `SelectiveHead` learns behind them. Either way the first split of ``cv`` holds samples
    out, by which the epoch, the score and the threshold are chosen. The network that scored them is the one in use: the
    scale of a selector is its own affair, and another network would answer another share of the samples.

    A subclass writes ``_loss(coverage)``, and says by ``selector_head`` whether the selector has a head of its own (see
    `JointNetwork`), and by ``collapse`` what to do about a selector that accepts "none" or "all".
    """

    selector_head = False
    report_: Any
    coverages = None
    collapse: dict[str, str]

    def at(self, coverage):
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
        served._column = list(self.reports_).index(coverage)
        served.set_params(coverage=coverage, coverages=list(self.reports_))
        served.report_ = self.reports_[coverage]
        if hasattr(self, "scorer_"):
            served.scorer_ = self.scorer_.at(served._column)
        scores, correct = self._held_out
        served.policy_ = served._policy(self.policy).fit(
            scores[:, served._column], correct, disjoint=False, rounding=self.rounding_
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

    def _make_scorer(self):
        targets = self._targets()
        return SelectiveHead(
            [self._loss(target) for target in targets],
            targets, self.rank_by, self.head_inputs, self.hidden, self._training(), self.random_state,
        )  # fmt: skip

    def _training(self):
        return Training(epochs=60, lr=3e-3, batch_size=256, patience=20) if self.training is None else self.training

    def _fit(self, X, y, codes, **params):
        self._check_parameters()
        import_extra("torch", "torch")
        for name in ("layers_", "heads_", "scorer_", "estimator_"):  # of an earlier fit, the other way
            self.__dict__.pop(name, None)
        self._column = 0
        if self.estimator is not None:
            odds, rounding = self._fit_post_hoc(X, y, codes, params)
        else:
            odds, rounding = self._fit_joint(X, codes, params)
        scores, correct = self._held_out
        self.report_ = self.reports_[self.coverage]
        warn_of_collapse(self.reports_.values(), odds, correct, self.collapse, chosen=self.rank_by == "auto")
        return HeldOut(scores[:, 0], 1.0 - correct, rounding)

    def _check_parameters(self):
        """Let everything that can be wrong be wrong before anything is fitted."""
        if not isinstance(self._training(), Training):
            raise TypeError(f"training must be a Training, or None; got {self.training!r}.")
        self._training().check()
        check_hidden(self.hidden)
        check_choice(self.rank_by, "rank_by", (*KINDS, "auto"))
        check_choice(self.head_inputs, "head_inputs", ("both", "features", "confidence"))
        check_choice(self.entropy_form, "entropy_form", FORMS)
        joint = self.estimator is None
        check_number(self.entropy, "entropy", least=0)
        if self.entropy and not joint:
            raise ValueError(f"entropy must be 0 with an estimator, whose probabilities stay; got {self.entropy!r}.")
        check_count(self.warm_up_epochs, "warm_up_epochs", least=0)
        if joint and self.warm_up_epochs >= self._training().epochs:
            raise ValueError(
                f"warm_up_epochs must be below the epochs of training, {self._training().epochs}, so that some are "
                f"left for selection; got {self.warm_up_epochs!r}."
            )
        logits, select, codes = np.zeros((1, len(self.classes_))), np.zeros(1), np.zeros(1, dtype=int)
        for target in self._targets():
            self._loss(target).value(logits, select, codes, auxiliary=logits if joint else None)

    def _fit_post_hoc(self, X, y, codes, params):
        """Train selectors on held-out predictions; return what they say of the first fold, which they have not seen."""
        fit, outcome, samples, seed = self._fit_estimator(X, y, codes, params)
        rows = held = np.arange(len(outcome.codes))
        if len(rows) > 1:
            rows, held = fit.inner_folds(outcome.correct, seed).splits[0]
        head = self._make_scorer()
        self.scorer_ = head.fit(self._view(head, samples, outcome.outputs), outcome.codes, rows, held)
        self.reports_, self.history_ = head.reports_, head.history_
        self._held_out = head.held_out_, outcome.correct[held]
        return head.odds_, max(outcome.outputs.rounding, 2.0**-23)

    def _fit_joint(self, X, codes, params):
        """Train one network on the first split; return what its selectors say of the held-out part of it."""
        from abstain.solvers import selective

        X, rng = self._features(X), check_seed(self.random_state)
        groups, others = routed(self, params)
        if others:
            raise TypeError(f"fit takes no {sorted(others)} without an estimator, which would be given them.")
        rows, held = make_folds(self.cv, X, codes, groups=groups, seed=rng.randint(2**31)).splits[0]
        if len(np.unique(codes[rows])) < 2 or not len(held):
            raise ValueError(
                f"the first split of cv has {len(np.unique(codes[rows]))} classes to train on and {len(held)} samples "
                "held out: at least 2 and 1 are needed. Use a stratified, shuffled splitter, or a number."
            )
        self._losses = [self._loss(target) for target in self._targets()]
        design = Design(X)
        self.mean_, self.scale_ = design.mean, design.scale
        self.layers_, self.heads_, self.history_ = selective.train_joint(
            self._losses, design, codes, rows, held,
            n_classes=len(self.classes_), hidden=check_hidden(self.hidden), selector_head=self.selector_head,
            warm_up=_cross_entropy, warm_up_epochs=self.warm_up_epochs, penalty=self._penalty(),
            validate=lambda logits, select: self._validated(logits, select, codes[held]),
            training=self._training(), seed=rng.randint(2**31),
        )  # fmt: skip
        logits, odds = self._outputs(X[held])
        correct = logits.argmax(axis=1) == codes[held]
        self.reports_, scores = report_all(self.rank_by, self._targets(), logits, odds, codes[held])
        self._held_out = scores, correct
        return odds, 2.0**-23

    def _risk(self):
        """Loss of one prediction: what is asked for, else what serves the way of training."""
        if self.risk == "error" and self.estimator is None:
            raise ValueError(
                'risk="error" has no gradient for the prediction, which is learnt too. Use "cross_entropy" or "brier", '
                "or give an estimator."
            )
        return self.risk or ("cross_entropy" if self.estimator is None else "error")

    def _penalty(self):
        if not self.entropy:
            return None
        term = EntropyTerm(form=self.entropy_form)
        return lambda logits: self.entropy * term.parts(logits).mean()

    def _validated(self, logits, select, codes):
        odds = self._odds(logits, select)
        return {
            "validation_loss": held_out_area(self.rank_by, logits, odds, codes),
            "accuracy": float((logits.argmax(axis=1) == codes).mean()),
            "accepted": (odds > 0).mean(axis=0).tolist(),
        }

    def _outputs(self, X):
        """Logits and log-odds of accepting of every sample."""
        outputs = forward.outputs(Design(X, mean=self.mean_, scale=self.scale_), self.layers_, self.heads_)
        logits = outputs[:, : len(self.classes_)]
        return logits, self._odds(logits, outputs[:, len(self.classes_) :])

    def _odds(self, logits, select):
        return np.column_stack([loss.log_odds(logits, u) for loss, u in zip(self._losses, select.T, strict=True)])

    def _evaluate(self, X):
        if hasattr(self, "scorer_"):
            return super()._evaluate(X)
        logits, odds = self._outputs(self._features(X))
        score = selection_score(self.report_.chosen, logits, odds[:, self._column])
        return Evidence(logits.argmax(axis=1), softmax(logits, axis=1), score)


def _cross_entropy(logits, codes):
    """Mean cross-entropy of a batch, of the warm-up."""
    return SoftmaxLoss().value_and_derivative(logits, codes)[0].mean()
