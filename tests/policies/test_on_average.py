"""Conformal selection of a batch: the procedure by definition, the promise by simulation."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from abstain import ConformalRisk, OnAverageRisk


def accepted_by_definition(score, correct, batch, risk):
    p_values = np.array([(1 + np.sum(~correct & (score >= s))) / (len(score) + 1) for s in batch])
    return false_discovery_control(p_values, method="bh") <= risk


@pytest.mark.parametrize("decimals", [1, 6])
def test_it_is_the_procedure_of_benjamini_and_hochberg(rng, decimals):
    for n, m, risk in ((50, 30, 0.2), (300, 7, 0.1), (200, 500, 0.3), (20, 1, 0.5)):
        score, batch = rng.random(n).round(decimals), rng.random(m).round(decimals)
        correct = rng.random(n) < 0.5 + score / 2
        policy = OnAverageRisk(risk).fit(score, correct)
        np.testing.assert_array_equal(policy.accept(batch), accepted_by_definition(score, correct, batch, risk))
        policy.set_params(risk=0.99)  # which is for the next fit
        np.testing.assert_array_equal(policy.accept(batch), accepted_by_definition(score, correct, batch, risk))


def test_the_promise_holds_on_average_and_not_for_a_given_batch(rng):
    """Confidence Beta(5, 1.2), accuracy of a score s of s^1.3: as in the page on the guarantee."""
    shares, answered = [], []
    for _ in range(600):
        score, batch = rng.beta(5, 1.2, 200), rng.beta(5, 1.2, 500)
        policy = OnAverageRisk(0.1).fit(score, rng.random(200) < score**1.3)
        accept, wrong = policy.accept(batch), rng.random(500) >= batch**1.3
        shares.append(wrong[accept].mean() if accept.any() else 0.0)
        answered.append(accept.mean())
    shares = np.array(shares)
    assert shares.mean() <= 0.1 + 2 * shares.std() / np.sqrt(600)
    assert 0.25 < (shares > 0.1).mean() < 0.55
    assert np.mean(answered) > 0.3


def test_alone_a_sample_is_promised_what_conformal_risk_promises(rng):
    score = rng.random(400)
    correct = rng.random(400) < score
    policy, other = OnAverageRisk(0.2).fit(score, correct), ConformalRisk(0.2).fit(score, correct)
    alone = np.array([policy.accept([s])[0] for s in score])
    np.testing.assert_array_equal(alone, other.accept(score))


def test_samples_without_a_score_count_and_are_not_accepted(rng):
    score = rng.random(300)
    policy = OnAverageRisk(0.2).fit(score, rng.random(300) < 0.5 + score / 2)
    batch = rng.random(100)
    holes = np.append(batch, np.full(400, np.nan))
    assert not policy.accept(holes)[100:].any()
    assert policy.batch_threshold(holes) >= policy.batch_threshold(batch)
    assert policy.batch_threshold([np.nan]) == np.inf


def test_what_it_cannot_promise_is_refused(rng):
    with pytest.raises(ValueError, match="right or wrong"):
        OnAverageRisk().fit([0.1, 0.2], loss=[0.5, 0.1])
    with pytest.raises(ValueError, match="groups is for TargetRisk"):
        OnAverageRisk().fit([0.1, 0.2], [1, 0]).accept([0.3], groups=[0])
    with pytest.raises(ValueError, match="risk must lie in"):
        OnAverageRisk(1.0).fit([0.1, 0.2], [1, 0])
