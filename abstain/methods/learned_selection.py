"""What all classifiers that learn to select have in common: two ways to train, and several coverages from one fit."""

import copy

import numpy as np
from scipy.special import softmax
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from abstain.losses import EntropyTerm, SoftmaxLoss
from abstain.methods.selection import held_out_area, report_selection, selection_score, warn_of_collapse
from abstain.methods.selective_head import SelectiveHead
from abstain.selective.base import Evidence
from abstain.selective.outcomes import make_folds
from abstain.selective.policies import TargetCoverage
from abstain.selective.posthoc import BasePostHoc
from abstain.solvers import forward
from abstain.solvers.design import Design
from abstain.solvers.training import Training
from abstain.utils.optional import import_extra
from abstain.utils.validation import check_hidden, check_unit


class BaseLearnedSelection(BasePostHoc):
    """Base of the classifiers that learn what to answer.

    Without an estimator, one network on the features learns to predict and to select; the first split of ``cv`` holds
    samples out, by which the epoch, the score and the threshold are chosen. With one, its held-out predictions are
    given, and a `SelectiveHead` learns behind them.

    A subclass writes ``_loss(coverage)``, and says by ``selector_head`` whether the selector has a head of its own (see
    `JointNetwork`), and by ``collapse`` what to do about a selector that accepts "none" or "all".
    """

    selector_head = False
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
            A fitted copy, which shares its weights; its ``decide`` aims at that coverage.

        Raises
        ------
        ValueError
            If no selector was trained for it.
        """
        check_is_fitted(self)
        if coverage not in self.reports_:
            raise ValueError(
                f"coverage must be one of those trained for, {sorted(self.reports_)}; got {coverage!r}. Add it to "
                "coverages and refit, or move the threshold alone: fit_policy(X, y, TargetCoverage(...))."
            )
        served = copy.copy(self)
        served._column = list(self.reports_).index(coverage)
        served.coverage, served.report_ = coverage, self.reports_[coverage]
        if self.estimator is not None:
            served.scorer_ = self.scorer_.at(served._column)
        scores, correct = self._held_out
        served.policy_ = served._policy(self.policy).fit(scores[:, served._column], correct, disjoint=False)
        return served

    def _policy(self, policy):
        return super()._policy(TargetCoverage(self.coverage) if policy is None else policy)

    def _targets(self):
        """All coverages to train for, that of the constructor first."""
        others: list[float] = [] if self.coverages is None else [c for c in self.coverages if c != self.coverage]
        targets = [self.coverage, *dict.fromkeys(others)]
        for target in targets:
            if target != 1:
                check_unit(target, "coverage")
        return targets

    def _make_scorer(self):
        targets = self._targets()
        return SelectiveHead(
            [self._loss(target) for target in targets],
            targets, self.rank_by, self.head_inputs, self.hidden, self._training(), self.random_state,
        )  # fmt: skip

    def _sees(self):
        return self.head_inputs

    def _training(self):
        return Training(epochs=60, lr=3e-3, batch_size=256, patience=20) if self.training is None else self.training

    def _fit(self, X, y, codes):
        self._training().check()
        check_hidden(self.hidden)
        import_extra("torch", "torch")
        self._column = 0
        if self.estimator is None:
            odds, correct = self._fit_joint(np.asarray(X), codes)
        else:
            _, correct = super()._fit(X, y, codes)
            head = self.scorer_
            self.reports_, self.history_, odds = head.reports_, head.history_, head.odds_
            self._held_out = head.held_out_, correct
        self.report_ = self.reports_[self.coverage]
        warn_of_collapse(self.reports_.values(), odds, correct, self.collapse)
        return self._held_out[0][:, 0], correct

    def _fit_joint(self, X, codes):
        """Train one network on the first split; return what its selectors say of the held-out part."""
        from abstain.solvers import selective

        if not 0 <= self.warm_up_epochs < self._training().epochs:
            raise ValueError(
                f"warm_up_epochs must lie in [0, {self._training().epochs}), the epochs of training, so that some are "
                f"left for selection; got {self.warm_up_epochs!r}."
            )
        rng = check_random_state(self.random_state)
        rows, held = make_folds(self.cv, X, codes, rng.randint(2**31), warn_rare=True)[0]
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
        reports = {
            target: report_selection(self.rank_by, target, logits, column, codes[held])
            for target, column in zip(self._targets(), odds.T, strict=True)
        }
        scores = [selection_score(r.chosen, logits, u) for r, u in zip(reports.values(), odds.T, strict=True)]
        correct = logits.argmax(axis=1) == codes[held]
        self.reports_, self._held_out = reports, (np.column_stack(scores), correct)
        return odds, correct

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
        if self.estimator is not None:
            return super()._evaluate(X)
        logits, odds = self._outputs(np.asarray(X))
        score = selection_score(self.report_.chosen, logits, odds[:, self._column])
        return Evidence(softmax(logits, axis=1), score)


def _cross_entropy(logits, codes):
    """Mean cross-entropy of a batch, of the warm-up."""
    return SoftmaxLoss().value_and_derivative(logits, codes, logits.new_ones(len(codes)))[0].mean()
