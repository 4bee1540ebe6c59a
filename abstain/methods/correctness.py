"""Trust learnt by losses of correctness, as presets of one head: cross-entropy and focal loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abstain.losses import CrossEntropyLoss, FocalLoss
from abstain.methods.trust_base import BaseTrust
from abstain.policies.base import Policy
from abstain.solvers.training import Training
from abstain.utils.annotations import Seed


class CorrectnessTrust(BaseTrust):
    """Trust head with cross-entropy on correctness: the plain baseline.

    Parameters
    ----------
    estimator : estimator, default=None
        The classifier. None is standardisation and logistic regression; a `FrozenEstimator` is used as it is.
    error_weight : float, default=1.0
        Weight of the errors against the correct predictions; undone in ``score_samples``.
    head_inputs : {"both", "features", "confidence"}, default="both"
        What the head sees. "features", with ``outcomes="training"``, is the papers' protocol, and worse.
    outcomes : {"held_out", "training"}, default="held_out"
        Whether correctness is that of held-out predictions, or of those on the training data themselves.
    hidden : tuple of int, default=()
        Widths of hidden layers; () is a linear head, which needs no torch.
    recalibrator : calibrator, default=None
        Turns held-out scores into P(correct), from `abstain.calibration`; None is Platt scaling.
    guard : {"augrc", None}, default="augrc"
        Whether the head fades into maximum probability where it does not prove itself on held-out samples: its AUGRC
        must be lower by 1.3 paired standard errors, and it may lose in none of the comparisons of ``guard_``; else
        three quarters, half or a quarter of it are tried. With fewer than 100 held-out errors no more of it is tried
        than they are of 100, or a quarter. A head that sees features alone is kept whole, or not at all. None keeps the
        head whatever it does, as the papers do.
    training : Training, default=None
        Knobs of the network; a `FineTuning` with ``fit_backbone``.
    backbone : transformer, default=None
        Turns ``X`` into the features that the head sees; the classifier sees ``X`` as given.
    fit_backbone : bool, default=False
        Whether a copy of the backbone, a `TimmBackbone`, is trained with a linear head, from its frozen start. The
        classifier stays as it is. The first split of ``cv`` holds out what judges the score and sets the threshold.
    checkpoint : str or Path, default=None
        With ``fit_backbone``, the file where the state of training is kept; `fit` goes on from there.
    policy : Policy, default=None
        None is ``TargetCoverage(0.9)``.
    cv : int, splitter or iterable, default=5
        Folds of the held-out outcomes and scores.
    response_method : {"predict_proba", "decision_function"}, default="predict_proba"
        What to ask an estimator for. "decision_function" declares that it returns logits.
    n_jobs : int, default=None
        Folds fitted at once, and workers that share the passes of a linear head over many rows.
    abstain_label : object, default=None
        What `decide` returns for an abstention. None chooses by the kind of the labels: -1 for integers (one below the
        smallest where -1 is a class), "abstain" for strings, NaN for floats.
    random_state : int, RandomState or None, default=None
        Seed.

    Attributes
    ----------
    scorer_ : TrustHead or callable
        The head; or a faded head, or maximum probability, both as P(correct), where the guard said so or there were
        fewer than 20 errors to learn from.
    guard_ : tuple of Check
        What the guard compared last: AUGRC and AURC, errors among the safest, other shares of the classes, and noise on
        the features where the classifier could be asked; print one. Empty without a guard or errors to learn from.
    report_ : Comparison
        AURC of the head beside that of maximum probability on the same held-out samples.
    estimator_, policy_, classes_, abstain_label_, n_features_in_ : object
        As in `SelectiveClassifier`.

    See Also
    --------
    TrustHead : The head itself, for any loss.

    References
    ----------
    The baseline of C. Corbiere et al., NeurIPS 2019, and Y. Luo et al., NeurIPS 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from abstain import CorrectnessTrust
    >>> X, y = load_digits(return_X_y=True)
    >>> est = CorrectnessTrust(cv=2).fit(X[::2], y[::2])
    >>> bool(0 <= est.score_samples(X[1::2]).min())
    True
    """

    def __init__(
        self, estimator: Any = None, *, error_weight: float = 1.0, head_inputs: str = "both",
        outcomes: str = "held_out", hidden: tuple[int, ...] = (), recalibrator: Any = None, guard: str | None = "augrc",
        training: Training | None = None, backbone: Any = None, fit_backbone: bool = False,
        checkpoint: str | Path | None = None, policy: Policy | None = None, cv: Any = 5,
        response_method: str = "predict_proba", n_jobs: int | None = None, abstain_label: Any = None,
        random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.error_weight = error_weight
        self.head_inputs = head_inputs
        self.outcomes = outcomes
        self.hidden = hidden
        self.recalibrator = recalibrator
        self.guard = guard
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

    def _make_scorer(self):
        return self._head(
            CrossEntropyLoss(error_weight=self.error_weight),
        )


class FocalTrust(BaseTrust):
    """Trust head with the focal loss on correctness.

    Parameters
    ----------
    estimator : estimator, default=None
        The classifier. None is standardisation and logistic regression; a `FrozenEstimator` is used as it is.
    gamma : float, default=2.0
        Focusing exponent.
    error_weight : float, default=1.0
        Weight of the errors against the correct predictions; undone in ``score_samples``.
    head_inputs : {"both", "features", "confidence"}, default="both"
        What the head sees. "features", with ``outcomes="training"``, is the papers' protocol, and worse.
    outcomes : {"held_out", "training"}, default="held_out"
        Whether correctness is that of held-out predictions, or of those on the training data themselves.
    hidden : tuple of int, default=()
        Widths of hidden layers; () is a linear head, which needs no torch.
    recalibrator : calibrator, default=None
        Turns held-out scores into P(correct), from `abstain.calibration`; None is Platt scaling.
    guard : {"augrc", None}, default="augrc"
        Whether the head fades into maximum probability where it does not prove itself on held-out samples: its AUGRC
        must be lower by 1.3 paired standard errors, and it may lose in none of the comparisons of ``guard_``; else
        three quarters, half or a quarter of it are tried. With fewer than 100 held-out errors no more of it is tried
        than they are of 100, or a quarter. A head that sees features alone is kept whole, or not at all. None keeps the
        head whatever it does, as the papers do.
    training : Training, default=None
        Knobs of the network; a `FineTuning` with ``fit_backbone``.
    backbone : transformer, default=None
        Turns ``X`` into the features that the head sees; the classifier sees ``X`` as given.
    fit_backbone : bool, default=False
        Whether a copy of the backbone, a `TimmBackbone`, is trained with a linear head, from its frozen start. The
        classifier stays as it is. The first split of ``cv`` holds out what judges the score and sets the threshold.
    checkpoint : str or Path, default=None
        With ``fit_backbone``, the file where the state of training is kept; `fit` goes on from there.
    policy : Policy, default=None
        None is ``TargetCoverage(0.9)``.
    cv : int, splitter or iterable, default=5
        Folds of the held-out outcomes and scores.
    response_method : {"predict_proba", "decision_function"}, default="predict_proba"
        What to ask an estimator for. "decision_function" declares that it returns logits.
    n_jobs : int, default=None
        Folds fitted at once, and workers that share the passes of a linear head over many rows.
    abstain_label : object, default=None
        What `decide` returns for an abstention. None chooses by the kind of the labels: -1 for integers (one below the
        smallest where -1 is a class), "abstain" for strings, NaN for floats.
    random_state : int, RandomState or None, default=None
        Seed.

    Attributes
    ----------
    scorer_ : TrustHead or callable
        The head; or a faded head, or maximum probability, both as P(correct), where the guard said so or there were
        fewer than 20 errors to learn from.
    guard_ : tuple of Check
        What the guard compared last: AUGRC and AURC, errors among the safest, other shares of the classes, and noise on
        the features where the classifier could be asked; print one. Empty without a guard or errors to learn from.
    report_ : Comparison
        AURC of the head beside that of maximum probability on the same held-out samples.
    estimator_, policy_, classes_, abstain_label_, n_features_in_ : object
        As in `SelectiveClassifier`.

    See Also
    --------
    TrustHead : The head itself, for any loss.

    References
    ----------
    T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017; as a trust loss: Y. Luo et al.,
    NeurIPS 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from abstain import FocalTrust
    >>> X, y = load_digits(return_X_y=True)
    >>> est = FocalTrust(cv=2).fit(X[::2], y[::2])
    >>> bool(0 <= est.score_samples(X[1::2]).min())
    True
    """

    def __init__(
        self, estimator: Any = None, *, gamma: float = 2.0, error_weight: float = 1.0, head_inputs: str = "both",
        outcomes: str = "held_out", hidden: tuple[int, ...] = (), recalibrator: Any = None, guard: str | None = "augrc",
        training: Training | None = None, backbone: Any = None, fit_backbone: bool = False,
        checkpoint: str | Path | None = None, policy: Policy | None = None, cv: Any = 5,
        response_method: str = "predict_proba", n_jobs: int | None = None, abstain_label: Any = None,
        random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.gamma = gamma
        self.error_weight = error_weight
        self.head_inputs = head_inputs
        self.outcomes = outcomes
        self.hidden = hidden
        self.recalibrator = recalibrator
        self.guard = guard
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

    def _make_scorer(self):
        return self._head(
            FocalLoss(gamma=self.gamma, error_weight=self.error_weight),
        )
