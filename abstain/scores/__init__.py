"""Confidence scores, larger = safer, grouped by what they see.

Probabilities or logits (declared with ``input=``, never guessed): `max_probability`, `margin`, `entropy`,
`gini`, `gen`. Logits alone: `max_logit`, `energy`. Fitted on held-out data: `MaxLogitPNorm`, `RelU`, `SIRC`. Fitted on
features and labels: `Mahalanobis`, `RelativeMahalanobis`, `NearestNeighbours`, `SecondOpinion`. Features and logits:
`ViM`.
"""

from abstain.scores.fitted import SIRC, MaxLogitPNorm, RelU
from abstain.scores.mahalanobis import Mahalanobis
from abstain.scores.neighbours import NearestNeighbours
from abstain.scores.opinion import SecondOpinion
from abstain.scores.probability import (
    confidence_features,
    energy,
    entropy,
    gen,
    gini,
    margin,
    max_logit,
    max_probability,
)
from abstain.scores.relative_mahalanobis import RelativeMahalanobis
from abstain.scores.vim import ViM
from abstain.scores.weights import difficulty_weights

__all__ = [
    "SIRC",
    "Mahalanobis",
    "MaxLogitPNorm",
    "NearestNeighbours",
    "RelU",
    "RelativeMahalanobis",
    "SecondOpinion",
    "ViM",
    "confidence_features",
    "difficulty_weights",
    "energy",
    "entropy",
    "gen",
    "gini",
    "margin",
    "max_logit",
    "max_probability",
]
