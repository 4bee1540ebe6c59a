"""Classifiers whose backbone is trained with them, end to end, for any loss of the logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from abstain.backbones.trainable import check_class_loss, check_trainable
from abstain.classifiers.linear_head import linear_head
from abstain.classifiers.linear_probe import LinearProbe
from abstain.losses import AdaptivePerturbationLoss, ClassLoss
from abstain.solvers.training import FineTuning
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed, label_column
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.labels import label_codes
from abstain.utils.validation import check_vector


class FineTunedClassifier(ClassifierMixin, BaseEstimator):
    """A backbone and a linear classifier on its features, trained together.

    The classifier is fitted on the frozen features first, with a penalty that suits them; then both learn. The epoch is
    chosen on samples that are held back from both, and the frozen start is one of the candidates.

    Parameters
    ----------
    backbone : TimmBackbone, default=None
        The network to start from, which stays as it is; a copy is trained.
    loss : ClassLoss, default=None
        Loss of the logits: `losses.SoftmaxLoss` (None), `losses.WLFLoss`, `losses.HXELoss`,
        `losses.DifficultyEntropyLoss`, `losses.LabelPerturbationLoss` or `losses.AdaptivePerturbationLoss`, whose
        levels follow accuracy on what is held back.
    training : FineTuning, default=None
        The knobs; None is ``FineTuning()``.
    checkpoint : str or Path, default=None
        File where the state of training is kept. `fit` goes on from there if it was cut off, bit for bit on a CPU, and
        refuses a state that belongs to other data, another network or other knobs.
    random_state : int, RandomState or None, default=None
        Seed of all draws. A run goes on from a checkpoint only if this is a number.

    Attributes
    ----------
    backbone_ : TimmBackbone
        The copy; a transformer like the one it came from.
    classifier_ : FrozenEstimator
        The linear classifier on its features.
    history_ : list of dict
        Losses of each epoch; the first entry is the frozen start.
    levels_ : ndarray of shape (n,)
        How far the label of each image is perturbed, with `losses.AdaptivePerturbationLoss`; 0 for what is held back.
    classes_ : ndarray of shape (n_classes,)
        Labels.

    See Also
    --------
    LinearProbe : The same without training the backbone.

    Examples
    --------
    >>> from abstain import FineTunedClassifier, FineTuning, TimmBackbone
    >>> est = FineTunedClassifier(TimmBackbone("test_resnet"), training=FineTuning(epochs=2))
    >>> est.training.epochs
    2
    """

    def __init__(
        self, backbone: Any = None, *, loss: ClassLoss | None = None, training: FineTuning | None = None,
        checkpoint: str | Path | None = None, random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.backbone = backbone
        self.loss = loss
        self.training = training
        self.checkpoint = checkpoint
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike, *, strength: ArrayLike | None = None) -> Self:
        """Fit the classifier on frozen features, then train both.

        Parameters
        ----------
        X : folder, list of paths, ndarray, list of PIL images or torch Dataset
            Images, as `TimmBackbone.transform` takes them.
        y : array-like of shape (n,)
            Labels.
        strength : array-like of shape (n,), default=None
            How much of a term of its own the loss applies to each sample; see `losses.ClassLoss`.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            If there is one class only, an image cannot be read, or a checkpoint belongs to another training.

        Warns
        -----
        FrozenStartWarning
            If training did not lower the loss on samples that are held back.
        """
        with unchanged_on_failure(self):
            return self._fit(X, y, strength)

    def _fit(self, X, y, strength):
        tuning = check_trainable(self.backbone, self.training)
        loss = check_class_loss(self.loss, tuning)
        if strength is not None and isinstance(loss, AdaptivePerturbationLoss):
            raise ValueError("strength is for losses with a term of their own; AdaptivePerturbationLoss finds levels.")
        self.classes_, codes = label_codes(label_column(y))
        from abstain.backbones.images import Images
        from abstain.backbones.moments import with_moments
        from abstain.backbones.tuned import fine_tune
        from abstain.solvers.draws import split
        from abstain.solvers.objectives import AdaptiveObjective, ClassObjective

        images = Images(X)
        if len(images) != len(codes):
            raise ValueError(f"y must have a label for each of {len(images)} images; got {len(codes)}.")
        strength = None if strength is None else check_vector(strength, "strength", n=len(codes))
        seed = check_seed(self.random_state).randint(2**31)
        learnt, held = split(np.arange(len(codes)), tuning.validation_fraction, seed)
        backbone = with_moments(self.backbone, images, learnt, tuning)
        head = self._start(loss, backbone.transform(images)[learnt], codes, learnt, strength, seed)
        targets = (codes, *(() if strength is None else (strength,)))

        def judge(logits, rows):
            rest = () if strength is None else (strength[rows],)
            mean = float(loss.value_and_derivative(logits, codes[rows], *rest)[0].mean())
            return {"validation_loss": mean, "accuracy": float((logits.argmax(axis=1) == codes[rows]).mean())}

        objective: Any = ClassObjective(loss)
        if isinstance(loss, AdaptivePerturbationLoss):
            objective = AdaptiveObjective(loss, len(codes))
        self.backbone_, network, self.history_ = fine_tune(
            backbone, images, head, objective, targets=targets, learnt=learnt, held=held, tuning=tuning, seed=seed,
            judge=judge, checkpoint=self.checkpoint, what=loss,
        )  # fmt: skip
        if isinstance(loss, AdaptivePerturbationLoss):
            self.levels_ = objective.levels
        weight, bias = network.head.unstandardised()
        self.classifier_ = linear_head(weight, bias, self.classes_)
        return self

    def _start(self, loss, features, codes, learnt, strength, seed):
        """The best head on frozen features, as a module."""
        from abstain.solvers.heads import StandardisedLinear

        missing = np.setdiff1d(codes, codes[learnt])
        if missing.size:
            raise ValueError(
                f"training.validation_fraction holds all samples of {self.classes_[missing][:5].tolist()} back: give "
                "more of them, or another random_state."
            )
        probe = LinearProbe("auto", loss=loss, random_state=seed)
        probe.fit(features, codes[learnt], strength=None if strength is None else strength[learnt])
        mean, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
        return StandardisedLinear(probe.coef_, probe.intercept_, mean, spread)

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits.

        Parameters
        ----------
        X : object
            Images, as in `fit`.

        Returns
        -------
        logits : ndarray of shape (n, n_classes), or (n,) with two classes
            Columns in the order of ``classes_``; with two classes the log-odds of the second.
        """
        return self._asked("decision_function", X)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities.

        Parameters
        ----------
        X : object
            Images, as in `fit`.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Columns in the order of ``classes_``.
        """
        return self._asked("predict_proba", X)

    def predict(self, X: Any) -> np.ndarray:
        """Predict labels.

        Parameters
        ----------
        X : object
            Images, as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n,)
            The class of the largest logit.
        """
        return self._asked("predict", X)

    def _asked(self, method, X):
        check_is_fitted(self)
        return getattr(self.classifier_, method)(self.backbone_.transform(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags
