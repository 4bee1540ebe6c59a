"""A selector whose backbone is trained with it, behind a classifier that stays as it is."""

from dataclasses import replace

from sklearn.base import BaseEstimator, clone

from abstain.backbones.trainable import check_trainable
from abstain.heads.ranking import held_out_area
from abstain.heads.selective_head import given
from abstain.heads.tuned_head import beside_features
from abstain.solvers.device import resolve_device
from abstain.solvers.training import Training
from abstain.utils.borders import check_seed
from abstain.utils.validation import check_hidden
from abstain.views import View


class TunedSelectiveHead(BaseEstimator):
    """Scorer that learns to select from images: a `SelectiveHead`, and then the backbone with it.

    Parameters
    ----------
    head : SelectiveHead
        Losses, coverages and widths; it is fitted on frozen features first.
    backbone : TimmBackbone
        The network to start from, which stays as it is.
    training : FineTuning or None
        Knobs of both.
    checkpoint : str, Path or None
        Where the state of training is kept.

    Attributes
    ----------
    backbone_ : TimmBackbone
        The trained copy.
    reports_, held_out_, odds_, history_ : object
        As of `SelectiveHead`; the first entry of the history is the frozen start.
    """

    sees = "images"

    def __init__(self, head, backbone, training, checkpoint):
        self.head = head
        self.backbone = backbone
        self.training = training
        self.checkpoint = checkpoint

    def fit(self, view, codes, rows, held):
        """Learn from some rows of held-out predictions; others choose the epoch and the score.

        Parameters
        ----------
        view : View
            Its features are the images; and class outputs of n samples.
        codes : ndarray of shape (n,)
            Indices of the true classes.
        rows, held : ndarray of int
            Rows to learn from, and rows to choose by.

        Returns
        -------
        self : object
            Fitted head.
        """
        from abstain.backbones.moments import with_moments
        from abstain.backbones.tuned import fine_tune
        from abstain.solvers.selective import SelectorObjective

        tuning = check_trainable(self.backbone, self.training)
        head = clone(self.head).set_params(training=head_training(tuning))
        backbone = with_moments(self.backbone, view.features, rows, tuning)
        frozen = View(backbone.transform(view.features), view.outputs)
        seed = check_seed(head.random_state).randint(2**31)
        network, _ = head.trained(frozen, codes, *rows_of_start(rows, tuning, seed), check_hidden(head.hidden))
        log_proba, prior = view.outputs.log_proba, view.outputs.log_odds

        def judge(odds, part):
            return {"validation_loss": held_out_area(head.rank_by, log_proba[part], odds, codes[part])}

        beside = (None, None) if head.head_inputs == "features" else beside_features(view)
        self.backbone_, network, self.history_ = fine_tune(
            backbone, view.features, network,
            SelectorObjective(head.losses, len(codes), resolve_device(tuning.device)),
            targets=(codes, given(log_proba)), others=(*beside, prior), learnt=rows, held=held, tuning=tuning,
            seed=seed, judge=judge, checkpoint=self.checkpoint,
            what=head.losses,
        )  # fmt: skip
        self.head_ = head.learnt(network.head, self._seen(view[held]), codes[held])
        self.reports_, self.held_out_, self.odds_ = head.reports_, head.held_out_, head.odds_
        return self

    def score_samples(self, view):
        """Score of every sample; larger is safer."""
        return self.head_.score_samples(self._seen(view))

    def at(self, column):
        """Return the same with another of its selectors in use."""
        other = TunedSelectiveHead(self.head, self.backbone, self.training, self.checkpoint)
        other.__dict__.update(self.__dict__)
        other.head_ = self.head_.at(column)
        return other

    def _seen(self, view):
        return View(self.backbone_.transform(view.features), view.outputs)


def head_training(tuning):
    """Knobs for the head on frozen features, with which the training of a backbone begins."""
    return replace(SELECTION, device=tuning.device)


def rows_of_start(rows, tuning, seed):
    """Rows that the head on frozen features learns from, and rows that choose its epoch.

    Those that judge the trained network must have chosen nothing before, or the start would look better than it is.
    """
    from abstain.solvers.draws import split

    return split(rows, tuning.validation_fraction or 0.1, seed)


SELECTION = Training(epochs=60, lr=3e-3, batch_size=256, patience=20)
