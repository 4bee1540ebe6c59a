"""The closed-form paired interval against the bootstrap and against repeated sampling."""

import numpy as np
import pytest
from scipy.special import expit

from abstain.datasets import make_known_risk
from abstain.folds import Folds
from abstain.metrics import augrc, aurc, bootstrap_ci, compare_aurc
from abstain.metrics.paired import (
    augrc_influence,
    augrc_within,
    aurc_influence,
    compare_augrc,
    compare_augrc_within,
)


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


@pytest.mark.parametrize("decimals", [1, 12])
@pytest.mark.parametrize(("area", "influence"), [(aurc, aurc_influence), (augrc, augrc_influence)])
def test_influence_is_the_effect_of_one_more_sample(area, influence, decimals):
    score, correct = make_known_risk(4000, random_state=0)
    score = score.round(decimals)
    found, base = influence(correct, score), area(correct, score)
    for i in (0, 17, 555, np.flatnonzero(~correct)[0]):
        weight = np.ones(4000)
        weight[i] += 1
        effect = 4001 * (area(correct, score, sample_weight=weight) - base)
        assert effect == pytest.approx(found[i], abs=1e-3)


def test_text_names_both_sides():
    score, correct = make_known_risk(200, random_state=0)
    text = str(compare_aurc(correct, score, -score))
    assert "AURC of the baseline" in text
    assert "AURC of this score" in text
    assert "95 % CI" in text


def test_paired_error_of_augrc_is_that_of_resampling(rng):
    score = np.round(rng.normal(size=400), 1)
    correct = rng.random(400) < expit(1 + score)
    other = score + rng.normal(size=400)
    difference, error = compare_augrc(correct, score, other)
    draws = [rng.integers(0, 400, 400) for _ in range(400)]
    resampled = [compare_augrc(correct[d], score[d], other[d])[0] for d in draws]
    assert error == pytest.approx(np.std(resampled), rel=0.15)
    assert difference == pytest.approx(np.mean(resampled), abs=4 * error / 20)
    assert abs(augrc_influence(correct, score).mean()) < 1e-12


def test_scores_of_two_folds_are_not_compared(rng):
    """Each fold's model has an intercept of its own, which ranks badly across folds and changes nothing in use."""
    truth = rng.normal(size=2000)
    correct = rng.random(2000) < expit(1 + 2 * truth)
    baseline = truth + rng.normal(size=2000)
    folds = partition(2000, 5, rng)
    shifted = truth.copy()
    for i, (_, test) in enumerate(folds):
        shifted[test] += 5 * i
    model = Folds(folds, 2000).scored_by
    assert compare_augrc(correct, shifted, baseline)[0] > 0  # across folds it looks worse than the baseline
    area = np.mean([augrc(correct[test], truth[test]) for _, test in folds])
    assert augrc_within(correct, shifted, model) == pytest.approx(area, rel=1e-9)
    difference, error = compare_augrc_within(correct, shifted, baseline, model)
    assert -difference > 3 * error
    assert difference == pytest.approx(area - augrc_within(correct, baseline, model), rel=1e-9)


@pytest.mark.parametrize("size", [1, 2, 10, 400])
def test_samples_of_small_folds_are_ranked_together(size, rng):
    """No folds, as for one sample, are one fold of all."""
    truth = rng.normal(size=400)
    correct, baseline = rng.random(400) < expit(truth), truth + rng.normal(size=400)
    for model in (Folds(partition(400, 400 // size, rng), 400).scored_by, np.zeros(400)):
        np.testing.assert_allclose(
            compare_augrc_within(correct, truth, baseline, model), compare_augrc(correct, truth, baseline)
        )
        assert augrc_within(correct, truth, model) == pytest.approx(augrc(correct, truth))


@pytest.mark.parametrize("repeats", [1, 4])
def test_the_guard_errs_as_often_as_its_bar_says(repeats, rng):
    """Of two equally noisy scores one beats the other by a standard error in 16 % of draws, with few errors, too."""
    passed = 0
    for _ in range(1000):
        correct = rng.random(300) < 0.9
        score, other = 1.5 * correct + rng.normal(size=300) + 0.7 * rng.normal(size=(2, 300))
        folds = [fold for _ in range(repeats) for fold in partition(300, 5, rng)]  # the last repeat has scored
        difference, error = compare_augrc_within(correct, score, other, Folds(folds, 300).scored_by)
        passed += -difference > error
    assert 120 < passed < 200


def partition(n, parts, rng):
    indices = rng.permutation(n)
    return [(np.setdiff1d(indices, test), test) for test in np.array_split(indices, parts)]
