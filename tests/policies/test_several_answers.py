"""Samples with several answers, more and more cautious: policies against counts made threshold by threshold."""

import numpy as np
import pytest

from abstain import ConformalRisk, FixedThreshold, RejectCost, TargetCoverage, TargetRisk
from abstain.policies import base
from abstain.policies.betting import Betting, ClusterBetting
from abstain.policies.binomial import Binomial, upper_bound
from abstain.policies.calibration import Calibration
from abstain.policies.sequences import Together
from abstain.warnings import UncertifiedWarning


def answers(n=300, r=4, random_state=0, graded=False):
    """Thresholds that rise along each row, and losses that fall along it."""
    rng = np.random.default_rng(random_state)
    until = np.sort(rng.normal(size=(n, r)), axis=1)
    loss = np.sort(rng.uniform(size=(n, r)), axis=1)[:, ::-1]
    return until, loss if graded else (loss > rng.uniform(0.5, 1.0, size=(n, 1))).astype(float)


def given(until, loss, threshold):
    """Losses of what is answered at a threshold, sample by sample."""
    found = []
    for bounds, costs in zip(until.tolist(), loss.tolist(), strict=True):
        at = [j for j, bound in enumerate(bounds) if threshold <= bound]
        if at:
            found.append(costs[at[0]])
    return np.array(found)


def made(until, loss, **labels):
    return Calibration(until, loss, len(until), 2.0**-52, **labels)


@pytest.mark.parametrize("graded", [False, True])
def test_counts_of_every_region_are_those_of_its_threshold(graded, monkeypatch):
    until, loss = answers(graded=graded)
    until[::7, 1] = until[::7, 2]  # answers that are never given
    seen = []
    monkeypatch.setattr(base, "Calibration", lambda *parts: seen.append(Calibration(*parts)) or seen[-1])
    FixedThreshold(0.0).fit(until, loss=loss)
    (calibration,) = seen
    regions = calibration.regions()
    test = (Betting if graded else Binomial)(regions, calibration.events)
    for k in range(0, regions.threshold.size, 13):
        losses = given(until, loss, regions.threshold[k])
        assert test.accepted[k] == losses.size
        assert test.lost[k] == pytest.approx(losses.sum())
        np.testing.assert_allclose(np.sort(calibration.in_force(regions.threshold[k])), np.sort(losses))


def test_answers_of_all_groups_are_those_of_all_samples():
    calibration = made(*answers())
    regions = calibration.regions()
    groups = calibration.events.row[regions.order] % 3
    parts = [Binomial(regions, calibration.events, np.flatnonzero(groups == name)) for name in range(3)]
    np.testing.assert_array_equal(Together(parts).passed, Binomial(regions, calibration.events).passed)


def p_value(excess, risk, border):
    """Inverse of the wealth, a mean over bets, by what each unit loses beyond the risk; one at a border is left out."""
    bets = np.arange(1, 6) / 5 * 0.9999 / (1 - risk)
    wealth = np.prod(1 - np.outer(excess, bets), axis=0) / np.where(border, 1 + bets * risk, 1.0)
    return min(1 / wealth.mean(), 1.0)


@pytest.mark.parametrize("risk", [0.5, 0.7, 0.9])
def test_wealth_is_that_of_the_answers_given(risk):
    until, loss = answers(80, graded=True)
    calibration = made(until, loss)
    regions = calibration.regions()
    test = Betting(regions, calibration.events)
    at = np.append(np.arange(5, 300, 31), regions.threshold.size - 1)
    found = test.p_values(at, risk)
    assert (found < 1).sum() > 3
    for k, p in zip(at, found, strict=True):
        excess = given(until, loss, regions.threshold[k]) - risk
        assert p == pytest.approx(p_value(excess, risk, k < at[-1]), rel=1e-9)


@pytest.mark.parametrize("risk", [0.5, 0.7, 0.9])
def test_wealth_of_clusters_is_that_of_the_answers_given(risk):
    until, loss = answers(80, graded=True)
    clusters = np.arange(80) // 4
    calibration = made(until, loss, clusters=clusters)
    regions = calibration.regions()
    test = ClusterBetting(regions, calibration.events, None, clusters)
    at = np.append(np.arange(5, 300, 31), regions.threshold.size - 1)
    found = test.p_values(at, risk)
    assert (found < 1).sum() > 3
    for k, p in zip(at, found, strict=True):
        members = [clusters == c for c in range(20)]
        excess = [(given(until[rows], loss[rows], regions.threshold[k]) - risk).sum() / 4 for rows in members]
        assert p == pytest.approx(p_value(excess, risk, k < at[-1]), rel=1e-9)


def test_samples_of_one_answer_are_independent_rows():
    """Right, wrong, right: one right row is left out, and none where the border is a lone error, or all is accepted."""
    calibration = made(np.array([[3.0], [2.0], [1.0]]), np.array([[0.0], [1.0], [0.0]]))
    assert Binomial(calibration.regions(), calibration.events).size.tolist() == [0, 2, 3]


def test_an_answer_that_is_given_twice_is_one_answer():
    until, loss = answers()
    twice = made(*(part[:, [0, 1, 1, 2, 3, 3, 3]] for part in (until, loss)))
    one, other = (Binomial(c.regions(), c.events).passed for c in (made(until, loss), twice))
    np.testing.assert_array_equal(other, one)


def test_one_answer_in_many_columns_is_one_answer():
    until, loss = answers(r=1)
    for policy in (ConformalRisk(0.2), TargetCoverage(0.6), RejectCost(0.3), FixedThreshold(0.1)):
        once = policy.fit(until[:, 0], loss=loss[:, 0])
        threshold, certificate = once.threshold_, once.certificate_
        many = policy.fit(np.repeat(until, 3, axis=1), loss=np.repeat(loss, 3, axis=1))
        assert many.threshold_ == threshold
        assert many.certificate_ == certificate


@pytest.mark.parametrize("method", ["fst", "sgr", "bonferroni"])
def test_certificates_count_what_is_answered(method):
    until, loss = answers(2000)
    policy = TargetRisk(0.4, delta=0.1, method=method).fit(until, loss=loss)
    losses = given(until, loss, policy.threshold_)
    certificate = policy.certificate_
    assert (certificate.accepted, certificate.errors) == (losses.size, losses.sum())
    assert losses.size > 500
    # one answer at the border is not counted, since the threshold is tied to it
    assert certificate.bound >= upper_bound(int(losses.sum()), losses.size, 0.1)
    assert certificate.bound <= 0.4


def test_finer_answers_are_tried_where_everything_is_answered_already():
    """Coarse answers that are right for all, and fine ones that are right half of the time: the risk decides."""
    rng = np.random.default_rng(0)
    until = np.column_stack([rng.uniform(0, 1, 2000), np.full(2000, 2.0) + rng.uniform(size=2000)])
    loss = np.column_stack([rng.uniform(size=2000) > until[:, 0], np.zeros(2000)]).astype(float)
    policy = TargetRisk(0.2, delta=0.1).fit(until, loss=loss)
    assert policy.certificate_.accepted == 2000
    assert 0.15 < given(until, loss, policy.threshold_).mean() <= 0.2
    assert policy.threshold_ < 0.7


def test_a_threshold_for_each_group():
    until, loss = answers(3000)
    groups = np.where(np.arange(3000) % 3, "b", "a")
    loss[groups == "a"] = np.minimum(loss[groups == "a"], 0.0)
    policy = TargetRisk(0.3, delta=0.1, groupwise=True).fit(until, loss=loss, groups=groups)
    assert policy.threshold_["a"] == -np.inf
    for name in "ab":
        rows = groups == name
        losses = given(until[rows], loss[rows], policy.threshold_[name])
        assert tuple(policy.certificate_.groups[name]) == (losses.sum(), losses.size)
    together = TargetRisk(0.3, delta=0.1).fit(until, loss=loss, groups=groups)
    for name in "ab":
        rows = groups == name
        losses = given(until[rows], loss[rows], together.threshold_)
        assert tuple(together.certificate_.groups[name]) == (losses.sum(), losses.size)


def test_conformal_threshold_is_the_corrected_quantile():
    until, loss = answers(99)
    # from which threshold on each sample is answered rightly
    last_wrong = np.where(loss > 0, until, -np.inf).max(axis=1)
    for risk in (0.05, 0.1, 0.31):
        policy = ConformalRisk(risk).fit(until, loss=loss)
        k = int(np.ceil(100 * (1 - risk) - 1e-9))
        quantile = np.sort(last_wrong)[k - 1]
        after = until[until > quantile].min()
        assert quantile < policy.threshold_ < after
        assert policy.certificate_.bound == pytest.approx(((last_wrong > policy.threshold_).sum() + 1) / 100)
        assert "on average" in str(policy.certificate_)


def test_conformal_losses_are_raised_to_those_of_more_cautious_answers():
    until = np.array([[1.0, 2.0, 3.0]] * 9)
    loss = np.array([[0.0, 1.0, 0.0]] * 9)  # right, wrong, right
    assert ConformalRisk(0.15).fit(until, loss=loss).threshold_ == 2.5
    raised = made(until, loss).worst()
    assert raised.loss.tolist() == [[1.0, 1.0, 0.0]] * 9


def test_conformal_abstains_on_everything_where_the_set_is_too_small():
    for n, finite in ((8, False), (9, True)):
        policy = ConformalRisk(0.1).fit(np.arange(n), np.ones(n))
        assert np.isfinite(policy.threshold_) or policy.threshold_ == (-np.inf if finite else np.inf)
        assert policy.accept(np.arange(n)).all() == finite
        assert policy.certificate_.guaranteed == finite


def test_conformal_risk_holds_on_average_and_is_not_idle():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        score = rng.uniform(size=(2, 40))
        right = rng.uniform(size=score.shape) < score
        policy = ConformalRisk(0.2).fit(score[0], right[0])
        shares.append((policy.accept(score[1]) & ~right[1]).mean())
    assert np.mean(shares) <= 0.2 + 2 * np.std(shares) / 20
    assert np.mean(shares) >= 0.2 - 1 / 41 - 3 * np.std(shares) / 20


def test_samples_without_a_score_are_abstained_on_and_counted():
    until, loss = answers(50)
    until[3] = np.nan
    policy = ConformalRisk(0.3).fit(until, loss=loss)
    assert (policy.certificate_.n, policy.certificate_.unscored) == (50, 1)
    assert policy.certificate_.bound == pytest.approx(
        (given(until[~np.isnan(until[:, 0])], loss[~np.isnan(until[:, 0])], policy.threshold_).sum() + 1) / 51
    )


def test_bad_tables_are_named():
    until, loss = answers(20)
    with pytest.raises(ValueError, match="score of several answers must not fall along a row"):
        TargetRisk().fit(until[:, ::-1], loss=loss)
    with pytest.raises(ValueError, match="loss must have the shape of score"):
        TargetRisk().fit(until, loss=loss[:, 0])
    with pytest.raises(ValueError, match="correct must have the shape of score"):
        TargetRisk().fit(until, loss[:, :2] == 0)
    with pytest.raises(ValueError, match="correct must have the shape of score"):
        TargetRisk().fit(until[:, :1], loss[:, 0] == 0)
    with pytest.raises(ValueError, match="infinite"):
        TargetRisk().fit(np.where(until > 2, np.inf, until), loss=loss)
    with pytest.raises(ValueError, match="risk must lie in"):
        ConformalRisk(1.0).fit(until, loss=loss)


def test_promises_about_several_answers_are_kept():
    """Over 200 calibration sets with a small number of samples, on a law whose risk is known."""
    rng, broken = np.random.default_rng(1), 0
    for _ in range(200):
        fine = rng.uniform(size=150)
        until = np.column_stack([fine, 0.5 + 0.5 * fine])
        wrong = rng.uniform(size=150) > until[:, 0]
        loss = np.column_stack([wrong, wrong & (rng.uniform(size=150) < 0.4)]).astype(float)
        try:
            threshold = TargetRisk(0.2, delta=0.1).fit(until, loss=loss).threshold_
        except UncertifiedWarning:
            continue
        grid = (np.arange(4000) + 0.5) / 4000
        fine_given, coarse_given = grid >= threshold, (grid < threshold) & (0.5 + 0.5 * grid >= threshold)
        risk = ((1 - grid) * fine_given + 0.4 * (1 - grid) * coarse_given).sum() / (fine_given | coarse_given).sum()
        broken += risk > 0.2
    assert broken <= 28  # 99.5 % of binomial draws at 0.1


def test_repeated_answers_change_no_p_value():
    score, loss = np.arange(30.0)[:, None], np.linspace(1, 0, 30)[:, None]
    twice = [np.repeat(part, 2, axis=1) for part in (score, loss)]
    one, other = (
        Betting(c.regions(), c.events).p_values(np.arange(30), 0.3) for c in (made(score, loss), made(*twice))
    )
    np.testing.assert_allclose(one, other)
