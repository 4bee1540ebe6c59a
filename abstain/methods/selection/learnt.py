"""The ways to learn a selection: with the prediction, by one network, or behind a classifier that is there."""

import copy
from typing import Any

import numpy as np
from scipy.special import softmax

from abstain.asking.routing import routed
from abstain.folds import make_folds
from abstain.heads.ranking import held_out_area, report_all, selection_score
from abstain.heads.selective_head import SelectiveHead
from abstain.heads.tuned_selector import TunedSelectiveHead, head_training, rows_of_start
from abstain.losses import EntropyTerm, SoftmaxLoss
from abstain.selective.base import Evidence, HeldOut
from abstain.selective.features import numbers
from abstain.selective.posthoc import BasePostHoc
from abstain.solvers import forward
from abstain.solvers.design import Design
from abstain.solvers.device import resolve_device
from abstain.utils.borders import check_seed
from abstain.utils.validation import check_count, check_hidden

_FLOAT32 = 2.0**-23


class Learnt:
    """What was learnt: selectors for several coverages, one of which is in use, and what held-out samples say of them.

    Every way has ``fit(owner, X, codes, ...)`` and ``evaluate(owner, X)``, where the owner is the classifier whose
    parameters ask for it.

    Attributes
    ----------
    reports : dict of float to SelectionReport
        By coverage.
    history : list of dict
        Losses by epoch.
    scores, odds : ndarray of shape (n_held_out, n_coverages)
        Held-out scores, and log-odds of the selectors.
    correct : ndarray of shape (n_held_out,) of bool
        Whether the predictions were right.
    rounding : float
        Relative error of the scores.
    """

    column = 0
    reports: dict
    history: list
    scores: Any
    odds: Any
    correct: Any
    rounding: float

    def at(self, column):
        """Return the same with another of its selectors in use."""
        other = copy.copy(self)
        other.column = column
        return other

    @property
    def held_out(self):
        """Scores and losses for a policy."""
        return HeldOut(self.scores[:, self.column], 1.0 - self.correct, self.rounding)


class JointSelection(Learnt):
    """One network on the features, trained on the first split of ``cv``, which learns to predict and to select."""

    def risk(self, asked):
        """Loss of one prediction: what is asked for, or cross-entropy."""
        if asked == "error":
            raise ValueError(
                'risk="error" has no gradient for the prediction, which is learnt too. Use "cross_entropy" or "brier", '
                "or give an estimator."
            )
        return asked or "cross_entropy"

    def check(self, owner):
        """Raise if parameters of the owner do not go together; return logits of an auxiliary head to try losses on."""
        training = self._training(owner)
        warm_up = check_count(owner.warm_up_epochs, "warm_up_epochs", least=0)
        if warm_up >= training.epochs:
            raise ValueError(
                f"warm_up_epochs must be below the epochs of training, {training.epochs}, so that some are left for "
                f"selection; got {owner.warm_up_epochs!r}."
            )
        return np.zeros((1, len(owner.classes_)))

    def fit(self, owner, X, y, codes, params):
        """Train the network; the rest of the split chooses epoch, score and threshold."""
        groups, others = routed(owner, params)
        if others:
            raise TypeError(f"fit takes no {sorted(others)} without an estimator, which would be given them.")
        rng = check_seed(owner.random_state)
        X = self._prepared(owner, X)
        rows, held = make_folds(owner.cv, X, codes, groups=groups, seed=rng.randint(2**31)).splits[0]
        if len(np.unique(codes[rows])) < 2 or not len(held):
            raise ValueError(
                f"the first split of cv has {len(np.unique(codes[rows]))} classes to train on and {len(held)} samples "
                "held out: at least 2 and 1 are needed. Use a stratified, shuffled splitter, or a number."
            )
        self.losses = owner._losses()
        self.n_classes, seed = len(owner.classes_), rng.randint(2**31)
        network, self.history = self._train(owner, X, codes, rows, held, seed)
        self.layers, self.heads = network.arrays()
        logits, self.odds = self._outputs(owner, X[held])
        self.correct, self.rounding = logits.argmax(axis=1) == codes[held], _FLOAT32
        self.reports, self.scores = report_all(owner.rank_by, owner._targets(), logits, self.odds, codes[held])
        return self

    def evaluate(self, owner, X):
        """What the network says: answers, probabilities, and scores of the selector in use."""
        logits, odds = self._outputs(owner, self._prepared(owner, X))
        chosen = list(self.reports.values())[self.column].chosen
        score = selection_score(chosen, logits, odds[:, self.column])
        return Evidence(logits.argmax(axis=1), softmax(logits, axis=1), score)

    def _prepared(self, owner, X):
        return numbers(X)

    def _training(self, owner):
        return owner._training()

    def _train(self, owner, features, codes, rows, held, seed):
        """Train on features from the start; return the network and its history."""
        from abstain.solvers import selective

        design = Design(features)
        self.mean, self.scale = design.mean, design.scale
        return selective.train_joint(
            self.losses, design, codes, rows, held, n_classes=self.n_classes, hidden=check_hidden(owner.hidden),
            selector_head=owner.selector_head, warm_up=_cross_entropy, warm_up_epochs=owner.warm_up_epochs,
            penalty=_penalty(owner), training=self._training(owner), seed=seed,
            validate=lambda logits, select: self._validated(owner, logits, select, codes[held]),
        )  # fmt: skip

    def _validated(self, owner, logits, select, codes):
        odds = self._odds(logits, select)
        return {
            "validation_loss": held_out_area(owner.rank_by, logits, odds, codes),
            "accuracy": float((logits.argmax(axis=1) == codes).mean()),
            "accepted": (odds > 0).mean(axis=0).tolist(),
        }

    def _outputs(self, owner, features):
        """Logits and log-odds of accepting of every sample."""
        outputs = forward.outputs(Design(features, mean=self.mean, scale=self.scale), self.layers, self.heads)
        logits = outputs[:, : self.n_classes]
        return logits, self._odds(logits, outputs[:, self.n_classes :])

    def _odds(self, logits, select):
        return np.column_stack([loss.log_odds(logits, u) for loss, u in zip(self.losses, select.T, strict=True)])


class TunedJointSelection(JointSelection):
    """The same from images: the network on frozen features first, and then with its backbone."""

    def _prepared(self, owner, X):
        from abstain.backbones.images import Images

        return Images(X)

    def _training(self, owner):
        return head_training(owner._training())

    def _train(self, owner, images, codes, rows, held, seed):
        from abstain.backbones.moments import with_moments
        from abstain.backbones.tuned import fine_tune
        from abstain.solvers.selective import JointObjective

        tuning = owner._training()
        backbone = with_moments(owner.backbone, images, rows, tuning)
        features = backbone.transform(images)
        learnt, chosen_by = rows_of_start(rows, tuning, seed)
        network, _ = super()._train(owner, features, codes, learnt, chosen_by, seed)

        def judge(outputs, part):
            return self._validated(owner, outputs[0], outputs[1], codes[part])

        objective = JointObjective(
            self.losses, len(codes), resolve_device(tuning.device), _cross_entropy, 0, _penalty(owner)
        )
        self.backbone, tuned, history = fine_tune(
            backbone, images, network, objective, targets=(codes,), learnt=rows, held=held, tuning=tuning,
            seed=seed, judge=judge, checkpoint=owner.checkpoint, what=[self.losses, owner.entropy, owner.entropy_form],
        )  # fmt: skip
        return tuned.head, history

    def _outputs(self, owner, images):
        return super()._outputs(owner, self.backbone.transform(images))


class PostHocSelection(Learnt):
    """Selectors behind a classifier, which learn from its held-out predictions."""

    def risk(self, asked):
        """Loss of one prediction: what is asked for, or error."""
        return asked or "error"

    def check(self, owner):
        """Raise if parameters of the owner do not go together; there is no auxiliary head."""
        if owner.entropy:
            raise ValueError(f"entropy must be 0 with an estimator, whose probabilities stay; got {owner.entropy!r}.")
        check_count(owner.warm_up_epochs, "warm_up_epochs", least=0)

    def fit(self, owner, X, y, codes, params):
        """Train selectors on held-out predictions; those of the first fold choose, and are not learnt from."""
        fit, outcome, samples, _, seed = owner._fit_estimator(X, y, codes, params)
        rows = held = np.arange(len(outcome.codes))
        if len(rows) > 1:
            rows, held = fit.inner_folds(outcome.correct, seed).splits[0]
        head = self.scorer(owner)
        owner.scorer_ = head.fit(owner._view(head, samples, outcome.outputs), outcome.codes, rows, held)
        self.reports, self.history = head.reports_, head.history_
        self.scores, self.correct, self.odds = head.held_out_, outcome.correct[held], head.odds_
        self.rounding = max(outcome.outputs.rounding, _FLOAT32)
        return self

    def evaluate(self, owner, X):
        """What the classifier says, and scores of the selector in use."""
        return BasePostHoc._evaluate(owner, X)

    def scorer(self, owner):
        """The selectors, not fitted."""
        head = SelectiveHead(
            owner._losses(), owner._targets(), owner.rank_by, owner.head_inputs, owner.hidden, owner._training(),
            owner.random_state,
        )  # fmt: skip
        if not owner.fit_backbone:
            return head
        return TunedSelectiveHead(head, owner.backbone, owner._training(), owner.checkpoint)


def _penalty(owner):
    if not owner.entropy:
        return None
    term = EntropyTerm(form=owner.entropy_form)
    return lambda logits: owner.entropy * term.parts(logits).mean()


def _cross_entropy(logits, codes):
    """Mean cross-entropy of a batch, of the warm-up."""
    return SoftmaxLoss().value_and_derivative(logits, codes)[0].mean()
