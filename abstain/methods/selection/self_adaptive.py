"""Self-adaptive training (Huang et al., NeurIPS 2020) as a preset: a constructor and a hook that names its loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abstain.losses import SelfAdaptiveLoss
from abstain.methods.selection.base import BaseLearnedSelection
from abstain.policies.base import Policy
from abstain.solvers.training import Training
from abstain.utils.annotations import Seed

_TARGETS = {
    "none": "the targets fell before the network had learnt. Raise momentum or warm_up_epochs.",
    "all": "the network fits its labels, so that no target falls. Lower momentum, or warm_up_epochs.",
}


class SelfAdaptiveClassifier(BaseLearnedSelection):
    """Self-adaptive training: targets move to the predictions, and doubt goes to an extra class.

    Parameters
    ----------
    coverage : float, default=0.8
        Share of the samples to answer, for the threshold; training does not know it.
    momentum : float, default=0.9
        As in `SelfAdaptiveLoss`.
    rank_by : {"auto", "selector", "softmax", "product", "logit_sum"}, default="auto"
        What ranks the samples: the selector, the softmax response of the same network, the product of both as
        probabilities, or the sum of their log-odds. "auto" takes the smallest AUGRC on held-out samples, and the
        softmax response unless another beats it by more than the paired standard error.
    hidden : tuple of int, default=(256,)
        Widths of the shared layers.
    entropy : float, default=0.0
        Weight of `EntropyTerm`.
    entropy_form : {"entropy", "released"}, default="entropy"
        Which term; "released" is not an entropy.
    warm_up_epochs : int, default=10
        Epochs of plain cross-entropy at the start.
    training : Training, default=None
        Knobs of the network. None is ``Training(epochs=60, lr=3e-3, batch_size=256, patience=20)``; give one to search
        it (``training__lr``); a `FineTuning` with ``fit_backbone``. Its ``validation_fraction`` is used for the
        start of that alone: ``cv`` holds samples out.
    backbone : transformer, default=None
        Turns ``X`` into the features that are learnt from.
    fit_backbone : bool, default=False
        Whether a copy of the backbone, a `TimmBackbone`, is trained with the network, from its frozen start: first the
        network on frozen features, with the default knobs, and then both, with those of ``training``.
    checkpoint : str or Path, default=None
        With ``fit_backbone``, the file where the state of training is kept; `fit` goes on from there.
    policy : Policy, default=None
        None is ``TargetCoverage(coverage)``.
    cv : int, splitter or iterable, default=5
        Its first split holds out what chooses epoch, score and threshold.
    abstain_label : object, default=None
        What `decide` returns for an abstention. None chooses by the kind of the labels: -1 for integers (one below the
        smallest where -1 is a class), "abstain" for strings, NaN for floats.
    random_state : int, RandomState or None, default=None
        Seed.

    Attributes
    ----------
    report_ : SelectionReport
        AUGRC of every kind of score on held-out samples, the kind in use, and what the selector alone accepts.
    history_ : list of dict
        Losses by epoch.
    policy_, classes_, abstain_label_, n_features_in_ : object
        As in `SelectiveClassifier`.

    References
    ----------
    L. Huang, C. Zhang, H. Zhang, "Self-Adaptive Training: beyond Empirical Risk Minimization", NeurIPS 2020.

    Examples
    --------
    >>> from abstain.datasets import load_hard_digits
    >>> from abstain import SelfAdaptiveClassifier, Training
    >>> X, y = load_hard_digits(noise=5)
    >>> clf = SelfAdaptiveClassifier(training=Training(epochs=20, lr=0.01), random_state=0).fit(X[::2], y[::2])
    >>> bool(abs(clf.accept(X[1::2]).mean() - 0.8) < 0.1)
    True
    """

    estimator = None  # frozen predictions leave nothing to adapt
    head_inputs = "both"
    collapse = _TARGETS

    def __init__(
        self, *, coverage: float = 0.8, momentum: float = 0.9, rank_by: str = "auto", hidden: tuple[int, ...] = (256,),
        entropy: float = 0.0, entropy_form: str = "entropy", warm_up_epochs: int = 10, training: Training | None = None,
        backbone: Any = None, fit_backbone: bool = False, checkpoint: str | Path | None = None,
        policy: Policy | None = None, cv: Any = 5, abstain_label: Any = None, random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.coverage = coverage
        self.momentum = momentum
        self.rank_by = rank_by
        self.hidden = hidden
        self.entropy = entropy
        self.entropy_form = entropy_form
        self.warm_up_epochs = warm_up_epochs
        self.training = training
        self.backbone = backbone
        self.fit_backbone = fit_backbone
        self.checkpoint = checkpoint
        self.policy = policy
        self.cv = cv
        self.abstain_label = abstain_label
        self.random_state = random_state

    def _loss(self, coverage):
        return SelfAdaptiveLoss(momentum=self.momentum)
