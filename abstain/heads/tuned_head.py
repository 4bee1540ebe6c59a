"""A trust head whose backbone is trained with it, end to end: the scorer behind ``fit_backbone``."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from abstain.backbones.trainable import check_trainable
from abstain.folds import Folds
from abstain.heads.trust_head import TrustHead
from abstain.losses import CrossEntropyLoss
from abstain.metrics import augrc
from abstain.utils.borders import check_seed
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.validation import check_choice
from abstain.views import View, unit_target


class TunedTrustHead(BaseEstimator):
    """Score by a backbone and a head on it, which learn from held-out outcomes together.

    A linear head is fitted on the frozen features first. One split holds samples out, by which the score is judged and
    a threshold chosen: a network is not trained anew for each fold.

    Parameters
    ----------
    loss : TrustLoss, default=None
        None is `CrossEntropyLoss`.
    backbone : TimmBackbone, default=None
        The network to start from, which stays as it is.
    target : {"correct", "tcp", "tcp_ratio"}, default="correct"
        What is learnt.
    head_inputs : {"both", "features"}, default="both"
        Whether the head also sees what the classifier said.
    unit_norm : bool, default=False
        Whether the output is the distance to a hyperplane.
    recalibrator : calibrator, default=None
        Turns held-out scores into P(correct); None is Platt scaling.
    calibrate : bool, default=True
        Whether it does.
    training : FineTuning, default=None
        The knobs.
    checkpoint : str or Path, default=None
        Where the state of training is kept.
    random_state : int, RandomState or None, default=None
        Seed.

    Attributes
    ----------
    backbone_ : TimmBackbone
        The trained copy.
    head_ : TrustHead
        The head on its features.
    history_ : list of dict
        Losses of each epoch; the first entry is the frozen start.
    """

    sees = "images"
    min_errors = 20

    def __init__(
        self, loss=None, backbone=None, *, target="correct", head_inputs="both", unit_norm=False, recalibrator=None,
        calibrate=True, training=None, checkpoint=None, random_state=None,
    ):  # fmt: skip
        self.loss = loss
        self.backbone = backbone
        self.target = target
        self.head_inputs = head_inputs
        self.unit_norm = unit_norm
        self.recalibrator = recalibrator
        self.calibrate = calibrate
        self.training = training
        self.checkpoint = checkpoint
        self.random_state = random_state

    @property
    def means(self):
        """What the score means."""
        return "P(correct)" if self.calibrate else "order"

    def fit(self, view, target):
        """Train, and recalibrate, with a fifth of the samples held out.

        Parameters
        ----------
        view : View
            As in `fit_held_out`.
        target : ndarray of shape (n,)
            Target in [0, 1].

        Returns
        -------
        self : object
            Fitted.
        """
        n, seed = len(view), check_seed(self.random_state).randint(2**31)
        score = self.fit_held_out(view, target, Folds(KFold(5, shuffle=True, random_state=seed).split(np.zeros(n)), n))
        known = ~np.isnan(score)
        if np.isin(target, (0, 1)).all():
            self.recalibrate(score[known], np.asarray(target)[known].astype(bool))
        return self

    def fit_held_out(self, view, target, folds):
        """Train on the first split, and score the samples that it holds out.

        Parameters
        ----------
        view : View
            Its features are the images; and what the classifier said of them.
        target : ndarray of shape (n,)
            Target in [0, 1].
        folds : Folds
            The first split counts.

        Returns
        -------
        score : ndarray of shape (n,)
            Of the samples that are held out, before recalibration; NaN for the others.
        """
        with unchanged_on_failure(self):
            return self._fit(view, unit_target(target), folds)

    def _fit(self, view, target, folds):
        tuning = self._checked()
        from abstain.backbones.moments import with_moments
        from abstain.backbones.tuned import fine_tune
        from abstain.solvers.draws import split
        from abstain.solvers.heads import trust_network

        rows, tested = folds.splits[0]
        seed = check_seed(self.random_state).randint(2**31)
        learnt, held = split(np.asarray(rows), tuning.validation_fraction, seed)
        loss = CrossEntropyLoss() if self.loss is None else self.loss
        backbone = with_moments(self.backbone, view.features, learnt, tuning)
        frozen = View(backbone.transform(view.features), view.outputs)
        head = TrustHead(
            loss, unit_norm=self.unit_norm, head_inputs=self.head_inputs, target=self.target, calibrate=self.calibrate,
            recalibrator=self.recalibrator, random_state=self.random_state,
        ).fit(self._seen(frozen[learnt]), target[learnt])  # fmt: skip
        seen = self._seen(view)
        n_codes = 0 if seen.outputs is None else len(seen.outputs.classes)
        network = trust_network(head.layers_, n_codes, head.mean_, head.scale_, self.unit_norm)

        def mean_loss(outputs, batch, _):
            return loss.value(outputs[0], batch.targets[0]).mean()

        def judge(z, part):
            wanted = target[part]
            ranks = np.isin(wanted, (0.0, 1.0)).all() and 0 < wanted.mean() < 1
            return {"validation_loss": float(augrc(wanted, z) if ranks else loss.value(z, wanted).mean())}

        self.backbone_, network, self.history_ = fine_tune(
            backbone, view.features, network, mean_loss, targets=(target,), others=beside_features(seen),
            learnt=learnt, held=held, tuning=tuning, seed=seed, judge=judge, checkpoint=self.checkpoint, what=loss,
        )  # fmt: skip
        head.layers_, head.recalibrator_ = network.head.arrays(), None
        self.head_ = head
        score = np.full(len(target), np.nan)
        score[tested] = self.score_samples(view[tested])
        return score

    def _seen(self, view):
        return View(view.features) if self.head_inputs == "features" else view

    def recalibrate(self, score, correct):
        """Learn P(correct) from held-out scores.

        Parameters
        ----------
        score : ndarray of shape (n,)
            Held-out scores.
        correct : ndarray of shape (n,) of bool
            Whether the predictions were right.

        Returns
        -------
        score : ndarray of shape (n,)
            The same scores, recalibrated.
        """
        return self.head_.recalibrate(score, correct)

    def score_samples(self, view):
        """Estimated target of every sample.

        Parameters
        ----------
        view : View
            As in `fit_held_out`.

        Returns
        -------
        score : ndarray of shape (n,)
            In [0, 1], larger is safer.
        """
        check_is_fitted(self)
        tuned = View(self.backbone_.transform(view.features), view.outputs)
        return self.head_.score_samples(self._seen(tuned))

    def _checked(self):
        tuning = check_trainable(self.backbone, self.training)
        check_choice(self.head_inputs, "head_inputs", ("both", "features"))
        return tuning


def beside_features(view):
    """What a head sees beside the features of a backbone: confidence columns and the answer, or none."""
    return (None, None) if view.outputs is None else (view.confidence, view.answer.astype(np.int64))
