"""A score beside its baseline on the same samples, with an interval that needs no resampling."""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from abstain.metrics._ranks import sorted_groups
from abstain.metrics._risk_coverage import aurc
from abstain.utils.validation import check_score_correct


class Comparison(NamedTuple):
    """AURC of a score and of maximum probability on the same held-out samples; smaller is better."""

    n: int
    errors: int
    baseline: float
    score: float
    difference: float
    low: float
    high: float

    def __str__(self):
        return (
            f"{self.n} held-out samples, {self.errors} errors\n"
            f"AURC of maximum probability  {self.baseline:.4f}\n"
            f"AURC of this score           {self.score:.4f}\n"
            f"difference                   {self.difference:+.4f}  95 % CI [{self.low:+.4f}, {self.high:+.4f}]"
        )


def aurc_influence(correct, score):
    r"""First-order influence of each sample on the AURC, mean 0; its variance over n is that of the AURC.

    With coverage :math:`G(s) = P(S \ge s)`, AURC is :math:`E[-e \log G(S)]` to first order, so that a sample acts
    through its own error and through the coverage of the errors at or below it.
    """
    order, last = sorted_groups(score)
    error = 1.0 - correct[order]
    sizes = np.diff(last, prepend=-1)
    coverage = np.repeat((last + 1) / score.size, sizes)
    own = -error * np.log(coverage)
    pressed = error / coverage / score.size
    # errors with a score at or below the sample's: a reversed cumulative sum, shared within ties
    below = np.cumsum(pressed[::-1])[::-1]
    first = np.repeat(last - sizes + 1, sizes)
    influence = own + error.mean() - below[first]
    out = np.empty_like(influence)
    out[order] = influence - influence.mean()
    return out


def compare_aurc(correct, score, baseline):
    """Compare the AURC of two scores of the same samples, with a 95 % interval of the difference."""
    score, correct = check_score_correct(score, correct)
    values = [aurc(correct, s) for s in (baseline, score)]
    paired = aurc_influence(correct, score) - aurc_influence(correct, np.asarray(baseline))
    half = norm.ppf(0.975) * paired.std() / np.sqrt(score.size)
    difference = values[1] - values[0]
    errors = int((~correct).sum())
    return Comparison(score.size, errors, *values, difference, difference - half, difference + half)
