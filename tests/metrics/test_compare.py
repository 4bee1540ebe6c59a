"""The closed-form paired interval against the bootstrap and against repeated sampling."""

import numpy as np
import pytest

from abstain.datasets import make_known_risk
from abstain.metrics import aurc, bootstrap_ci, compare_aurc
from abstain.metrics._compare import aurc_influence


@pytest.mark.parametrize("decimals", [1, 12])
def test_agrees_with_the_bootstrap(decimals, rng):
    score, correct = make_known_risk(3000, random_state=0)
    score = score.round(decimals)
    other = (score + rng.normal(scale=0.2, size=score.size)).round(decimals)
    result = compare_aurc(correct, score, other)
    boot = bootstrap_ci(aurc, correct, score, baseline=other, n_resamples=600, random_state=0)
    assert result.difference == pytest.approx(boot.estimate)
    assert result.high - result.low == pytest.approx(boot.high - boot.low, rel=0.15)
    assert result.low == pytest.approx(boot.low, abs=0.25 * (boot.high - boot.low))


def test_standard_error_is_that_of_repeated_sampling():
    values = [aurc(*make_known_risk(1000, random_state=s)[::-1]) for s in range(400)]
    score, correct = make_known_risk(1000, random_state=0)
    assert aurc_influence(correct, score).std() / np.sqrt(1000) == pytest.approx(np.std(values), rel=0.2)


def test_coarse_scores_have_honest_intervals():
    """Scores rounded to 0.1, as of a forest of ten: the nominal 95 % interval covers about that often."""
    rng = np.random.default_rng(0)

    def draw(n):
        p = rng.beta(4, 1, n)
        correct = rng.random(n) < p
        noisy = np.clip(p + rng.normal(scale=0.15, size=n), 0, 1)
        return correct, p.round(1), noisy.round(1)

    correct, score, other = draw(1_000_000)
    truth = aurc(correct, score) - aurc(correct, other)
    results = [compare_aurc(*draw(500)) for _ in range(200)]
    assert np.mean([r.low <= truth <= r.high for r in results]) > 0.9
    assert aurc_influence(np.arange(1000) % 5 > 0, np.zeros(1000)).std() == pytest.approx(0.4, abs=1e-3)


def test_baseline_of_any_dtype():
    correct, score = np.array([1, 0, 1, 1]), np.array([3, 1, 2, 2], dtype=np.uint8)
    assert compare_aurc(correct, score.astype(float), score).difference == 0
    assert "too narrow" in str(compare_aurc(correct, score, score > 1))


def test_influence_is_the_effect_of_one_more_sample():
    score, correct = make_known_risk(4000, random_state=0)
    influence = aurc_influence(correct, score)
    base = aurc(correct, score)
    for i in (0, 17, 555, np.flatnonzero(~correct)[0]):
        weight = np.ones(4000)
        weight[i] += 1
        effect = 4001 * (aurc(correct, score, sample_weight=weight) - base)
        assert effect == pytest.approx(influence[i], abs=0.02)


def test_text_names_both_sides():
    score, correct = make_known_risk(200, random_state=0)
    text = str(compare_aurc(correct, score, -score))
    assert "maximum probability" in text
    assert "95 % CI" in text
