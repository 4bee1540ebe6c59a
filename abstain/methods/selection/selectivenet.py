"""SelectiveNet (Geifman and El-Yaniv, ICML 2019) as a preset: a constructor and a hook that names its loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abstain.losses import SelectiveNetLoss
from abstain.methods.selection.base import BaseLearnedSelection
from abstain.methods.selection.collapse import PENALISED
from abstain.policies.base import Policy
from abstain.solvers.training import Training
from abstain.utils.annotations import Seed


class SelectiveNetClassifier(BaseLearnedSelection):
    """SelectiveNet: a selector trained for a coverage.

    Parameters
    ----------
    estimator : estimator, default=None
        None trains prediction and selection together, on the features. A classifier is cross-fitted, or taken as it is
        if it is a `FrozenEstimator`, and the selector learns from its held-out predictions.
    coverage : float, default=0.8
        Share of the samples to answer, in (0, 1].
    coverages : list of float, default=None
        More coverages, each with a selector of its own on the shared body; see `at`.
    lam, alpha, normalise : object
        As in `SelectiveNetLoss`.
    risk : {"cross_entropy", "brier", "error"}, default=None
        Loss of one prediction. None is cross-entropy in joint training, and "error" post hoc, where predictions are
        given and a surrogate only lets outliers dominate.
    rank_by : {"auto", "selector", "softmax", "product", "logit_sum"}, default="auto"
        What ranks the samples: the selector, the softmax response of the same network, the product of both as
        probabilities, or the sum of their log-odds. "auto" takes the smallest AUGRC on held-out samples, and the
        softmax response unless another beats it by more than the paired standard error.
    hidden : tuple of int, default=(256,)
        Widths of the shared layers (joint), or of the selector's own (post hoc).
    head_inputs : {"both", "features", "confidence"}, default="both"
        What a selector behind an estimator sees.
    entropy : float, default=0.0
        Weight of `EntropyTerm`; must be 0 with an estimator.
    entropy_form : {"entropy", "released"}, default="entropy"
        Which term; "released" is not an entropy.
    warm_up_epochs : int, default=10
        Epochs of plain cross-entropy at the start of joint training; not used with an estimator.
    training : Training, default=None
        Knobs of the network. None is ``Training(epochs=60, lr=3e-3, batch_size=256, patience=20)``; give one to search
        it (``training__lr``); a `FineTuning` with ``fit_backbone``. Its ``validation_fraction`` is used for the
        start of that alone: ``cv`` holds samples out.
    backbone : transformer, default=None
        Turns ``X`` into the features that are learnt from; an estimator sees ``X`` as given.
    fit_backbone : bool, default=False
        Whether a copy of the backbone, a `TimmBackbone`, is trained with the network, from its frozen start: first the
        network on frozen features, with the default knobs, and then both, with those of ``training``.
    checkpoint : str or Path, default=None
        With ``fit_backbone``, the file where the state of training is kept; `fit` goes on from there.
    policy : Policy, default=None
        None is ``TargetCoverage(coverage)``.
    cv : int, splitter or iterable, default=5
        Its first split holds out what chooses epoch, score and threshold. Behind an estimator, its folds also give the
        held-out predictions.
    response_method : {"predict_proba", "decision_function"}, default="predict_proba"
        What to ask an estimator for. "decision_function" declares that it returns logits.
    n_jobs : int, default=None
        Folds of the estimator fitted at once; not used without one.
    abstain_label : object, default=None
        What `decide` returns for an abstention. None chooses by the kind of the labels: -1 for integers (one below the
        smallest where -1 is a class), "abstain" for strings, NaN for floats.
    random_state : int, RandomState or None, default=None
        Seed.

    Attributes
    ----------
    report_ : SelectionReport
        AUGRC of every kind of score on held-out samples, the kind in use, and what the selector alone accepts.
    reports_ : dict of float to SelectionReport
        The same for each coverage.
    history_ : list of dict
        Losses by epoch.
    policy_, classes_, abstain_label_, n_features_in_ : object
        As in `SelectiveClassifier`; and ``estimator_``, ``scorer_`` post hoc.

    References
    ----------
    Y. Geifman, R. El-Yaniv, "SelectiveNet: A Deep Neural Network with an Integrated Reject Option", ICML 2019. There
    one network is trained for each coverage, from images.

    Examples
    --------
    >>> from abstain.datasets import load_hard_digits
    >>> from abstain import SelectiveNetClassifier, Training
    >>> X, y = load_hard_digits(noise=5)
    >>> clf = SelectiveNetClassifier(training=Training(epochs=20, lr=0.01), random_state=0).fit(X[::2], y[::2])
    >>> bool(abs(clf.accept(X[1::2]).mean() - 0.8) < 0.1)
    True
    """

    selector_head = True
    collapse = PENALISED

    def __init__(
        self, estimator: Any = None, *, coverage: float = 0.8, coverages: list[float] | None = None, lam: float = 32.0,
        alpha: float = 0.5, normalise: bool = True, risk: str | None = None, rank_by: str = "auto",
        hidden: tuple[int, ...] = (256,), head_inputs: str = "both", entropy: float = 0.0,
        entropy_form: str = "entropy", warm_up_epochs: int = 10, training: Training | None = None, backbone: Any = None,
        fit_backbone: bool = False, checkpoint: str | Path | None = None, policy: Policy | None = None, cv: Any = 5,
        response_method: str = "predict_proba", n_jobs: int | None = None, abstain_label: Any = None,
        random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.coverage = coverage
        self.coverages = coverages
        self.lam = lam
        self.alpha = alpha
        self.normalise = normalise
        self.risk = risk
        self.rank_by = rank_by
        self.hidden = hidden
        self.head_inputs = head_inputs
        self.entropy = entropy
        self.entropy_form = entropy_form
        self.warm_up_epochs = warm_up_epochs
        self.training = training
        self.backbone = backbone
        self.fit_backbone = fit_backbone
        self.checkpoint = checkpoint
        self.policy = policy
        self.cv = cv
        self.response_method = response_method
        self.n_jobs = n_jobs
        self.abstain_label = abstain_label
        self.random_state = random_state

    def _loss(self, coverage):
        return SelectiveNetLoss(
            coverage=coverage, lam=self.lam, alpha=self.alpha, normalise=self.normalise, risk=self._risk()
        )
