"""What a score must not do to be kept: lose to maximum probability, at the top, or when data move."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit
from sklearn.metrics import log_loss

from abstain.metrics._compare import compare_aurc
from abstain.metrics.paired import augrc_within, compare_augrc_within
from abstain.utils.html import html_text

SHARES = 1.0, 0.75, 0.5, 0.25  # of a score that are tried in turn, the rest being maximum probability
_CERTAIN = 1.3  # standard errors that a gain in AUGRC must exceed
_TOPS = 0.1, 0.25, 0.5  # shares of the samples that are trusted most
_MILD = 0.25  # standard deviations of noise under which nothing may be lost
_SLACK = 1.03  # times the AURC of maximum probability under more, or
_WORTH = 0.1  # the power of the gain on samples as they are, where that is larger
_SHIFTS = 4  # draws of other shares of the classes
_MOST_SHIFT = 5.0  # times as many of a class


class Check(NamedTuple):
    """One comparison with maximum probability on held-out samples; smaller is better."""

    name: str
    score: float
    baseline: float
    passed: bool

    def __str__(self):
        return f"{self.name:<32}{self.score:>10.5f}{self.baseline:>10.5f}{'' if self.passed else '   worse'}"

    def _repr_html_(self):
        return html_text(self)


class HeldOut(NamedTuple):
    """What is known of held-out samples, in one setting."""

    correct: np.ndarray  # (n,) of bool
    score: np.ndarray  # (n,) log-odds
    baseline: np.ndarray  # (n,) log-odds of maximum probability
    model: np.ndarray  # (n,) which fold has scored each

    def among(self, rows):
        """What is known of some of the samples."""
        return HeldOut(*(part[rows] for part in self))

    def areas(self):
        """AURC of the score and of the baseline within folds."""
        found = compare_aurc(self.correct, self.score, self.baseline, model=self.model)
        return found.score, found.baseline


def checks(clean, codes, stressed, levels, seed, *, calibrated=True):
    """Compare a score with maximum probability in all settings.

    Parameters
    ----------
    clean : HeldOut
        Samples as they are.
    codes : ndarray of shape (n,)
        Their classes.
    stressed : HeldOut or None
        The same samples with noise.
    levels : ndarray of shape (n,) or None
        How much of it.
    seed : int
        Seed of the draws of other shares of the classes.
    calibrated : bool
        Whether the score claims to be P(correct), and its log loss is compared, too.

    Returns
    -------
    checks : list of Check
        The first is the gain in AUGRC, which must be certain.
    """
    difference, error = compare_augrc_within(clean.correct, clean.score, clean.baseline, clean.model)
    area = augrc_within(clean.correct, clean.baseline, clean.model)
    found = [Check("AUGRC", area + difference, area, -difference > _CERTAIN * error), _no_worse("AURC", *clean.areas())]
    found += [_at_the_top(clean, share) for share in _TOPS]
    if calibrated:
        mine, theirs = (
            log_loss(clean.correct, expit(odds), labels=[False, True]) for odds in (clean.score, clean.baseline)
        )
        found.append(Check("log loss", mine, theirs, mine < theirs))
    found.append(_no_worse("AURC, other shares of classes", *_shifted(clean, codes, seed)))
    if stressed is not None:
        strong = max(_SLACK, (found[1].baseline / max(found[1].score, 1e-12)) ** _WORTH)
        for level in np.unique(levels):
            there = stressed.among(levels == level)
            if min(there.correct.sum(), (~there.correct).sum()) > 0:
                name, slack = f"AURC, noise of {level:g} sd", strong if level > _MILD else 1.0
                score, baseline = there.areas()
                found.append(_no_worse(name, score, baseline, slack))
    return found


def _no_worse(name, score, baseline, slack=1.0):
    return Check(name, float(score), float(baseline), bool(score <= slack * baseline))


def _at_the_top(held, share):
    """Share of errors among the safest; it may be larger by what chance makes of the samples not shared."""
    n = max(int(share * len(held.score)), 1)
    mine, theirs = (np.argsort(-odds, kind="stable")[:n] for odds in (held.score, held.baseline))
    errors = [(~held.correct[rows]).sum() for rows in (mine, theirs)]
    apart = (~held.correct[np.setxor1d(mine, theirs)]).sum()
    passed = errors[0] - errors[1] <= np.sqrt(apart)
    return Check(f"errors among the safest {share:.0%}", errors[0] / n, errors[1] / n, bool(passed))


def _shifted(held, codes, seed):
    """Mean AURC of the score and of the baseline where classes have other shares."""
    rng, found = np.random.RandomState(seed), []
    classes = codes.max() + 1
    for _ in range(_SHIFTS):
        weight = np.minimum(rng.dirichlet(np.ones(classes)) * classes, _MOST_SHIFT)[codes]
        rows = rng.choice(len(codes), len(codes), p=weight / weight.sum())
        found.append(held.among(rows).areas())
    return np.mean(found, axis=0)
