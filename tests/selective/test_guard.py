"""The guard: how much may be lost under noise."""

import numpy as np
import pytest

from abstain.selective.guard import HeldOut, checks

N = 2000
CODES, MODEL = np.zeros(N, dtype=int), np.zeros(N, dtype=int)


def ranked(wrong):
    """Correctness of samples in the order of their score, the safest first; four in ten of ``wrong`` are errors."""
    correct = np.ones(N, dtype=bool)
    correct[np.arange(N)[wrong][::5]] = False
    correct[np.arange(N)[wrong][1::5]] = False
    return correct


def noise_check(correct, score, baseline, level):
    falling = np.arange(N, 0, -1.0)
    clean = HeldOut(ranked(slice(N // 2, N)), falling, falling[::-1] if baseline == "bad" else falling + 0.1, MODEL)
    stressed = HeldOut(correct, score, falling, MODEL)
    return checks(clean, CODES, stressed, np.full(N, level), 0, calibrated=False)[-1]


@pytest.mark.parametrize(
    ("level", "baseline", "passed"), [(1.0, "bad", True), (1.0, "equal", False), (0.25, "bad", False)]
)
def test_what_may_be_lost_under_strong_noise_grows_with_the_gain(level, baseline, passed):
    """A loss of 8 % passes at a sd of one where a factor of four is won without noise, and nowhere else."""
    correct, score = ranked(slice(N // 4, N)), np.arange(N, 0, -1.0)
    score[: N // 4] -= 180  # the safest go down a little, past errors
    check = noise_check(correct, score, baseline, level)
    assert 1.03 < check.score / check.baseline < 1.15
    assert check.passed is passed
