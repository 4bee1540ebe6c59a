"""From a fitted selective classifier to one module of torch."""

import copy
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from abstain.backbones.timm import TimmBackbone
from abstain.calibration import Affine, Temperature
from abstain.classifiers.linear_probe import LinearProbe
from abstain.decisions import ClassifierAnswer
from abstain.heads.confidence import RecalibratedConfidence
from abstain.heads.faded import FadedHead
from abstain.heads.trust_head import TrustHead
from abstain.heads.tuned_head import TunedTrustHead
from abstain.methods.fine_tuned import FineTunedClassifier
from abstain.policies import OnAverageRisk
from abstain.protocols import FunctionScorer, name_of
from abstain.scores.probability import energy, margin, max_logit, max_probability
from abstain.selective.features import split
from abstain.selective.posthoc import BasePostHoc
from abstain.utils.optional import import_extra

_INSTEAD = "abstain.save and abstain.load serve any."
_CLASSIFIERS = (
    "LinearProbe, LogisticRegression, MLPClassifier, FineTunedClassifier, Temperature around them, and pipelines of "
    "these with StandardScaler, PCA and TimmBackbone"
)
_SCORERS = "max_probability, margin, max_logit, energy, and trust heads, whose recalibration is affine"


def to_torch(estimator: Any) -> Any:
    """Return the decision of a fitted selective classifier as a module of torch.

    Parameters
    ----------
    estimator : estimator
        A `SelectiveClassifier` or a trust classifier around linear models and small networks, with one threshold.

    Returns
    -------
    module : torch.nn.Module
        In evaluation mode and float32: features (n, d), or images as bytes (n, 3, H, W) of the size that the network
        takes, to ``(label, proba, score, accept)``; ``module.classes`` are the labels. The threshold is rounded
        towards abstention.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If a part has no such form; the message names it.

    See Also
    --------
    export_onnx, export_pt2 : Files of it.
    save : A file of the estimator itself, whatever it is made of.

    Notes
    -----
    Float32 rounds: decisions agree with those of the estimator but where the score is as near to the threshold as
    float32 can tell, about 1e-6 of the size of the terms that are summed up.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from abstain import SelectiveClassifier, to_torch
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = SelectiveClassifier(cv=2).fit(X[:900], y[:900])
    >>> label, proba, score, accept = to_torch(clf)(torch.from_numpy(X[900:]).float())
    >>> bool((accept.numpy() == clf.accept(X[900:])).mean() > 0.999)
    True
    """
    import_extra("torch", "torch")
    if not isinstance(estimator, BasePostHoc) or isinstance(estimator, type):
        raise TypeError(f"estimator must be a selective classifier; got {estimator!r}.")
    check_is_fitted(estimator)
    _check(estimator)
    from torch import nn

    from abstain.export.modules import Decision

    rank, link = _scorer(estimator.scorer_)
    head = estimator.scorer_.head if isinstance(estimator.scorer_, FadedHead) else estimator.scorer_
    backbone = getattr(head, "backbone_", estimator.backbone)
    own = backbone is not None and estimator.estimator is not None  # the classifier sees the images, too
    steps, last = ([], estimator.estimator_) if own else split(estimator.estimator_)
    before = [] if backbone is None else [backbone]
    shared = nn.Sequential(*map(_module, [*before, *steps]))
    classifier = _module(last)
    classes = estimator.classes_.tolist()
    return Decision(shared, classifier, own, rank, estimator.policy_.threshold_, link, classes).eval()


def _check(estimator):
    """Refuse what is decided by more than an answer, a score and a threshold."""
    table = getattr(estimator, "features_", None)
    reasons = {
        f"of {type(estimator).__name__}, whose answers are not those of the largest probability":
            type(estimator.decision_rule) is not ClassifierAnswer,
        "of a network that learnt to select": not hasattr(estimator, "estimator_"),
        "with a threshold for each batch": isinstance(estimator.policy_, OnAverageRisk),
        "with a threshold for each group": isinstance(estimator.policy_.threshold_, dict),
        "with missing values that are filled in":  # an imputer that has seen none leaves the columns as they are
            table is not None and table.imputer_ is not None and table.imputer_.indicator_.features_.size > 0,
        "on sparse features": table is not None and table.reducer_ is not None,
    }  # fmt: skip
    for reason, found in reasons.items():
        if found:
            raise TypeError(f"estimator: to_torch knows no form of a decision {reason}. {_INSTEAD}")


def _module(part):
    """A part of a classifier as a module: columns or images in, columns or logits out."""
    from abstain.export import modules

    kind = type(part)
    if kind is FrozenEstimator:
        return _module(part.estimator)
    if kind is Pipeline:
        from torch import nn

        steps = [step for _, step in part.steps if step is not None and step != "passthrough"]
        return nn.Sequential(*map(_module, steps))
    if kind in (LinearProbe, LogisticRegression):
        return _linear(part)
    if kind is MLPClassifier:
        return _perceptron(part)
    if kind is StandardScaler:
        n = part.n_features_in_
        mean, scale = (np.full(n, fill) if x is None else x for x, fill in ((part.mean_, 0.0), (part.scale_, 1.0)))
        return modules.scaled(mean, scale)
    if kind is PCA:
        weight = part.components_ / (np.sqrt(part.explained_variance_)[:, None] if part.whiten else 1.0)
        return modules.linear(weight, -weight @ part.mean_)
    if kind is TimmBackbone:
        network, _, config = part._loaded()
        return modules.Pixels(copy.deepcopy(network).to("cpu"), part.layer, config)
    if kind is FineTunedClassifier:
        from torch import nn

        return nn.Sequential(_module(part.backbone_), _module(part.classifier_))
    if kind is Temperature and part.estimator is not None:
        from torch import nn

        lowest = float(part.lowest_) if part.kind != "logits" else None
        return nn.Sequential(_module(part.estimator_), modules.Tempered(part.temperature_, part.uniform_, lowest))
    raise TypeError(f"estimator: {kind.__name__} has no form in torch. to_torch knows {_CLASSIFIERS}. {_INSTEAD}")


def _linear(part):
    from torch import nn

    from abstain.export import modules

    if getattr(part, "solver", None) == "liblinear" and len(part.classes_) > 2:
        raise TypeError(f'estimator: solver="liblinear" is one classifier against each other class. {_INSTEAD}')
    layer = modules.linear(part.coef_, part.intercept_)
    return layer if len(part.coef_) > 1 else nn.Sequential(layer, modules.TwoClasses())


def _perceptron(part):
    import torch
    from torch import nn

    from abstain.export import modules

    between = {"relu": torch.relu, "tanh": torch.tanh, "logistic": torch.sigmoid, "identity": nn.Identity()}
    layers = [modules.linear(w.T, b) for w, b in zip(part.coefs_, part.intercepts_, strict=True)]
    network = modules.Rectified(layers, between[part.activation])
    return network if part.out_activation_ == "softmax" else nn.Sequential(network, modules.TwoClasses())


def _scorer(scorer):
    """A score as a module, and how what it says becomes the score; see `Decision`."""
    from abstain.export import modules

    kind = type(scorer)
    if kind is FunctionScorer:
        known = {
            max_probability: modules.MaxProbability, margin: modules.Margin, max_logit: modules.MaxLogit,
            energy: modules.Energy,
        }  # fmt: skip
        if scorer.function in known:
            return known[scorer.function](), modules.Link()
    if kind is RecalibratedConfidence:
        return modules.Recalibrated(scorer.limit_, scorer.weight_, scorer.intercept_), modules.Link(0.0)
    if kind is TunedTrustHead:
        return _scorer(scorer.head_)
    if kind is FadedHead:
        confidence, _ = _scorer(scorer.confidence_)
        head, link = _scorer(scorer.head)
        return modules.Faded(head, link, confidence, scorer.share, scorer.slope_, scorer.intercept_), modules.Link(0.0)
    if kind is TrustHead and isinstance(scorer.recalibrator_, Affine | None):
        return _head(scorer)
    raise TypeError(f"scorer: {name_of(scorer)} has no form in torch. to_torch knows {_SCORERS}. {_INSTEAD}")


def _head(head):
    """A trust head: the first layer in the layout of a design, its standardisation taken in."""
    import torch

    from abstain.export import modules

    first, width = head.layers_[0], len(head.mean_)
    weight = first[:width] / head.scale_[:, None]
    layers = [modules.linear(weight.T, first[-1] - head.mean_ @ weight)]
    layers += [modules.linear(w.T, b) for w, b in head.layers_[1:]]
    codes = first[width:-1]
    offsets = torch.from_numpy(codes).float() if len(codes) else None
    found = head.recalibrator_
    recalibration = None if found is None else tuple(map(float, found.maps_[0]))
    link = modules.Link(0.0 if found is None else found.uniform_)
    return modules.Head(layers, offsets, head.head_inputs, head.loss_.inverse_link, recalibration), link
