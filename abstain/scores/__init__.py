"""Confidence scores, larger = safer, grouped by what they see.

Probabilities or logits (declared with ``input=``, never guessed): `max_probability`, `margin`, `entropy`,
`gini`, `gen`. Logits alone: `max_logit`, `energy`. Fitted on held-out data: `MaxLogitPNorm`, `RelU`, `SIRC`.
"""

from abstain.scores.fitted import SIRC, MaxLogitPNorm, RelU
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

__all__ = [
    "SIRC",
    "MaxLogitPNorm",
    "RelU",
    "confidence_features",
    "energy",
    "entropy",
    "gen",
    "gini",
    "margin",
    "max_logit",
    "max_probability",
]
