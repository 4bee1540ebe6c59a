"""Intervals: coverage in repeated sampling, pairing, and the closed-form comparison against the bootstrap."""

import pytest

from abstain.datasets import make_known_risk
from abstain.metrics import augrc, aurc, bootstrap_ci


def noisy(score, rng, sd=0.3):
    return score + rng.normal(scale=sd, size=score.size)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    truth = aurc(*make_known_risk(2_000_000, random_state=1)[::-1])
    hits = 0
    for seed in range(100):
        score, correct = make_known_risk(400, random_state=seed)
        result = bootstrap_ci(aurc, correct, score, n_resamples=200, confidence=0.9, random_state=seed)
        hits += result.low <= truth <= result.high
    assert 80 <= hits <= 99


def test_pairing_narrows_the_interval(rng):
    score, correct = make_known_risk(800, random_state=0)
    other = noisy(score, rng, 0.05)
    paired = bootstrap_ci(aurc, correct, score, baseline=other, n_resamples=300, random_state=0)
    alone = bootstrap_ci(aurc, correct, score, n_resamples=300, random_state=0)
    assert paired.high - paired.low < 0.7 * (alone.high - alone.low)
    assert paired.estimate == pytest.approx(aurc(correct, score) - aurc(correct, other))


def test_ratio_and_graded_losses(rng):
    score, correct = make_known_risk(300, random_state=0)
    ratio = bootstrap_ci(
        aurc, correct, score, baseline=noisy(score, rng), compare="ratio", n_resamples=50, random_state=0
    )
    assert ratio.estimate < 1
    assert "[" in str(ratio)
    graded = bootstrap_ci(augrc, None, score, loss=0.5 * (1 - correct), n_resamples=50, random_state=0)
    assert graded.estimate == pytest.approx(0.5 * augrc(correct, score))


def test_seed_decides():
    score, correct = make_known_risk(100, random_state=0)
    results = [bootstrap_ci(aurc, correct, score, n_resamples=20, random_state=s) for s in (1, 1, 2)]
    assert results[0] == results[1] != results[2]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="compare must be one of"):
        bootstrap_ci(aurc, [1, 0], [0.1, 0.2], compare="quotient")
    with pytest.raises(ValueError, match="baseline has 3 entries"):
        bootstrap_ci(aurc, [1, 0], [0.1, 0.2], baseline=[1, 2, 3])
    with pytest.raises(ValueError, match="confidence"):
        bootstrap_ci(aurc, [1, 0], [0.1, 0.2], confidence=95)
