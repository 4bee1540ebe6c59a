"""Confidence scores, larger = safer, grouped by what they see.

Probabilities or logits (declared with ``input=``, never guessed): `max_probability`, `margin`, `entropy`,
`gini`, `gen`. Logits alone: `max_logit`, `energy`. Fitted on held-out data: `MaxLogitPNorm`, `RelU`, `SIRC`. Fitted on
features and labels: `Mahalanobis`, `RelativeMahalanobis`, `NearestNeighbours`, `SecondOpinion`. Features and logits:
`ViM`.
"""

from abstain.scores.gaussian.mahalanobis import Mahalanobis
from abstain.scores.gaussian.relative_mahalanobis import RelativeMahalanobis
from abstain.scores.neighbours.nearest import NearestNeighbours
from abstain.scores.parts import fit_in_parts
from abstain.scores.pnorm import MaxLogitPNorm
from abstain.scores.probability import (
    energy,
    entropy,
    gen,
    gini,
    margin,
    max_logit,
    max_probability,
)
from abstain.scores.relu import RelU
from abstain.scores.second_opinion import SecondOpinion
from abstain.scores.sirc import SIRC
from abstain.scores.vim import ViM
from abstain.scores.weights import difficulty_weights
from abstain.views import confidence_features

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
    "fit_in_parts",
    "gen",
    "gini",
    "margin",
    "max_logit",
    "max_probability",
]
