"""Policies: thresholds by definition, certificates, and what cannot be promised."""

import numpy as np
import pytest
from scipy.stats import beta
from sklearn.isotonic import IsotonicRegression

from abstain import ConformalRisk, FixedThreshold, OnAverageRisk, RejectCost, TargetCoverage, TargetRisk
from abstain.datasets import make_known_risk
from abstain.policies import upper_bound
from abstain.policies.candidates import candidates, tolerance_of
from abstain.warnings import CoverageWarning, UncertifiedWarning


def test_coverage_is_exact_up_to_ties(rng):
    score = rng.normal(size=137)
    for coverage in (0.01, 0.07, 0.5, 0.56, 0.999, 1.0):
        policy = TargetCoverage(coverage).fit(score, np.ones(137))
        assert policy.accept(score).sum() == int(np.ceil(coverage * 137 - 1e-9))
    tied = np.round(score)
    with pytest.warns(CoverageWarning, match="scores tie"):
        accepted = TargetCoverage(0.5).fit(tied, np.ones(137)).accept(tied).mean()
    assert 0.5 <= accepted <= 0.5 + (tied == np.median(tied)).mean()


def test_coverage_lower_bound_by_the_order_statistic():
    n, coverage, delta = 500, 0.8, 0.1
    score = np.random.default_rng(0).random(n)
    policy = TargetCoverage(coverage, delta=delta).fit(score, np.ones(n))
    k = policy.certificate_.accepted
    assert beta.ppf(delta, k, n + 1 - k) >= coverage > beta.ppf(delta, k - 1, n + 2 - k)
    assert policy.certificate_.bound == pytest.approx(beta.ppf(delta, k, n + 1 - k))


def test_coverage_lower_bound_holds_in_repeated_sampling():
    short = 0
    for seed in range(400):
        score = np.random.default_rng(seed).random(200)
        short += 1 - TargetCoverage(0.8, delta=0.1).fit(score, np.ones(200)).threshold_ < 0.8
    assert short / 400 <= 0.1 + 3 * np.sqrt(0.09 / 400)


def test_coverage_that_too_few_samples_cannot_promise_accepts_all():
    policy = TargetCoverage(0.99, delta=0.05).fit(np.arange(10.0), np.ones(10))
    assert policy.threshold_ == -np.inf
    assert policy.certificate_.bound == 1.0


def test_reject_cost_is_the_smallest_mean_cost_and_the_isotonic_rule(rng):
    score = rng.random(400).round(2)
    correct = rng.random(400) < score
    for cost in (0.05, 0.2, 0.5):
        policy = RejectCost(cost).fit(score, correct)
        costs = [np.where(score >= t, ~correct, cost).mean() for t in [*np.unique(score), np.inf]]
        assert np.where(policy.accept(score), ~correct, cost).mean() == pytest.approx(min(costs))
        error = IsotonicRegression(increasing=False).fit(score, ~correct).predict(score)
        np.testing.assert_array_equal(policy.accept(score), error <= cost + 1e-12)
    assert RejectCost(0.5).fit([1, 2], [0, 0]).threshold_ == np.inf


@pytest.mark.parametrize(("cost", "error_cost"), [(0.2, 1.0), (3, 40), (0.01, 0.02)])
def test_the_mean_cost_is_that_of_the_decisions(rng, cost, error_cost):
    score = rng.random(300).round(2)
    correct = rng.random(300) < score
    score[:10] = np.nan  # abstained on
    policy = RejectCost(cost, error_cost=error_cost).fit(score, correct)
    spent = np.where(policy.accept(score), error_cost * ~correct, cost).mean()
    assert policy.certificate_.mean_cost == pytest.approx(spent)
    assert policy.check(score, correct).mean_cost == pytest.approx(spent)
    assert f"mean cost   {spent:.4g} a sample" in str(policy.certificate_)
    known = score[10:]
    assert policy.threshold_ == RejectCost(cost / error_cost).fit(known, correct[10:]).threshold_


def test_a_check_is_one_exact_test_of_the_threshold_in_use(rng):
    score = rng.random(2000)
    correct = rng.random(2000) < score
    policy = TargetRisk(0.3).fit(score[:1000], correct[:1000])
    threshold, given = policy.threshold_, policy.certificate_
    new, right = score[1000:].copy(), correct[1000:]
    new[:7] = np.nan
    told = policy.check(new, right)
    k, n = int((policy.accept(new) & ~right).sum()), int(policy.accept(new).sum())
    assert (told.errors, told.accepted, told.n, told.unscored) == (k, n, 1000, 7)
    assert told.bound == pytest.approx(beta.ppf(0.95, k + 1, n - k))
    assert told.target == 0.3
    assert (policy.threshold_, policy.certificate_) == (threshold, given)
    graded = policy.check(new, loss=np.where(right, 0.0, 0.5))
    assert graded.errors == pytest.approx(k / 2)


def test_a_check_of_thresholds_by_group(rng):
    score, groups = rng.random(3000), rng.integers(0, 2, 3000)
    correct = rng.random(3000) < score
    policy = TargetRisk(0.3, groupwise=True).fit(score[:2000], correct[:2000], groups=groups[:2000])
    new, right, group = score[2000:], correct[2000:], groups[2000:]
    told = policy.check(new, right, groups=group)
    accepted = policy.accept(new, group)
    assert told.accepted == accepted.sum()
    for name in (0, 1):
        mine = accepted & (group == name)
        k, n = int((mine & ~right).sum()), int(mine.sum())
        assert told.groups[name] == (k, n)
        assert told.group_sizes[name] == (group == name).sum()
        assert told.group_bounds[name] == pytest.approx(beta.ppf(1 - 0.05 / 2, k + 1, n - k))
    assert told.bound == max(told.group_bounds.values())
    with pytest.raises(ValueError, match="groups"):
        policy.check(new, right)
    one = TargetRisk(0.3).fit(score[:2000], correct[:2000]).check(new, right, groups=group)
    assert sum(count.accepted for count in one.groups.values()) == one.accepted


@pytest.mark.parametrize("policy", [TargetCoverage(0.5), RejectCost(0.2), FixedThreshold(0.5), ConformalRisk(0.2)])
def test_a_check_sets_no_other_promise_beside_its_bound(policy, rng):
    score = rng.random(500)
    correct = rng.random(500) < score
    told = policy.fit(score, correct).check(score, correct)
    assert np.isnan(told.target)
    assert "target" not in str(told)


def test_thresholds_of_batches_cannot_be_checked(rng):
    with pytest.raises(TypeError, match="OnAverageRisk has a threshold for every batch"):
        OnAverageRisk(0.3).fit(rng.random(99), rng.random(99) < 0.8).check([1.0], [1])


def test_a_certificate_names_the_condition_that_failed():
    with pytest.warns(UncertifiedWarning):
        nothing = TargetRisk(0.01).fit(np.arange(20.0), np.ones(20))
    assert "no threshold met the target" in str(nothing.certificate_)
    assert "no threshold" not in str(TargetRisk(0.3).fit(np.arange(20.0), np.ones(20)).certificate_)


@pytest.mark.parametrize("policy", [TargetRisk(), TargetCoverage(), RejectCost(), FixedThreshold()])
def test_swapped_arguments_are_named(policy, rng):
    score = rng.random(50)
    with pytest.raises(ValueError, match=r"swapped with the score.*Policies and monitors take \(score, correct\)"):
        policy.fit(score > 0.5, score)


@pytest.mark.parametrize("method", ["fst", "sgr", "bonferroni"])
def test_risk_certificate_is_consistent(method):
    score, correct = make_known_risk(3000, random_state=0)
    policy = TargetRisk(0.05, delta=0.1, method=method).fit(score, correct, disjoint=True)
    certificate = policy.certificate_
    accepted = score >= policy.threshold_
    assert (certificate.accepted, certificate.errors) == (accepted.sum(), (~correct & accepted).sum())
    assert certificate.errors / certificate.accepted < certificate.bound <= 0.05
    assert upper_bound(certificate.errors, certificate.accepted, 0.1) <= certificate.bound
    assert (certificate.method, certificate.delta, certificate.target) == (method, 0.1, 0.05)
    assert certificate.guaranteed
    assert "bound" in str(certificate)
    assert not TargetRisk(0.05).fit(score, correct, disjoint=False).certificate_.guaranteed


def test_what_cannot_be_certified_is_said():
    score, correct = make_known_risk(100, random_state=0)
    with pytest.warns(
        UncertifiedWarning, match=r"smallest risk reachable .* is about 0\.\d+; at least 299 accepted"
    ) as w:
        policy = TargetRisk(0.01, delta=0.05).fit(score, correct)
    assert w[0].filename == __file__
    assert "group" not in str(w[0].message)
    assert policy.threshold_ == np.inf
    assert not policy.accept(score).any()
    assert not policy.certificate_.guaranteed
    assert policy.certificate_.accepted == 0
    assert "none" in str(policy.certificate_)


def test_groups_are_counted_and_held(rng):
    score, correct = make_known_risk(4000, random_state=0)
    groups = np.where(rng.random(4000) < 0.2, "rare", "common")
    policy = TargetRisk(0.05).fit(score, correct, groups=groups)
    certificate = policy.certificate_
    assert set(certificate.groups) == {"rare", "common"}
    for name, (errors, accepted) in certificate.groups.items():
        inside = (score >= policy.threshold_) & (groups == name)
        assert (errors, accepted) == ((inside & ~correct).sum(), inside.sum())
        assert certificate.group_sizes[name] == (groups == name).sum()
        assert certificate.group_bounds[name] <= certificate.bound <= 0.05
        assert f"group       {name}: {errors} errors among {accepted}" in str(certificate)
    assert policy.threshold_ >= TargetRisk(0.05).fit(score, correct).threshold_
    with pytest.warns(UncertifiedWarning, match=r"in every group.*The group that fails is True, with 30 samples"):
        TargetRisk(0.05).fit(score, correct, groups=np.arange(4000) < 30)


def test_fixed_threshold():
    policy = FixedThreshold(0.7).fit([0.9, 0.6], [1, 0])
    assert policy.accept([0.7, 0.69]).tolist() == [True, False]
    assert policy.certificate_.errors == 0


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (TargetRisk(0.0), "risk must lie in"),
        (TargetRisk(1.5), "risk must lie in"),
        (TargetRisk(0.1, delta=0), "delta must lie in"),
        (TargetRisk(0.1, method="holm"), r"method must be one of \['bonferroni', 'fst', 'sgr'\]"),
        (TargetCoverage("0.9"), "coverage must lie in"),
        (TargetRisk(0.1, delta=None), "delta must lie in"),
        (FixedThreshold(None), "threshold must be a number"),
        (TargetCoverage(0), "coverage must be positive"),
        (TargetCoverage(1.01), "coverage must lie in"),
        (RejectCost(1.0), "cost must lie in"),
        (RejectCost(5, error_cost=4), r"cost must lie in \(0, 4\), below error_cost"),
        (RejectCost(0.1, error_cost=-1), "error_cost must be a number above 0"),
        (FixedThreshold(float("nan")), "threshold must be a number"),
    ],
)
def test_bad_parameters_are_named(policy, message):
    with pytest.raises(ValueError, match=message):
        policy.fit([0.1, 0.2], [1, 0])


def test_groups_need_a_policy_that_holds_them():
    for policy in (TargetCoverage(), RejectCost(), FixedThreshold()):
        with pytest.raises(ValueError, match="groups is for TargetRisk"):
            policy.fit([0.1, 0.2], [1, 0], groups=[0, 1])


def test_bad_groups_are_named():
    with pytest.raises(ValueError, match="groups has 1 missing entries"):
        TargetRisk(0.1).fit([0.1, 0.2], [1, 0], groups=np.array(["a", None], dtype=object))
    with pytest.raises(ValueError, match="labels of one kind"):
        TargetRisk(0.1).fit([0.1, 0.2], [1, 0], groups=np.array(["a", 1], dtype=object))
    with pytest.raises(ValueError, match="groups must have one entry"):
        TargetRisk(0.1).fit([0.1, 0.2], [1, 0], groups=[1])


def groups_of_three_kinds(rng, n=6000):
    """Easy, harder, and one in which the score says nothing."""
    groups, score = rng.integers(0, 3, n), rng.random(n)
    error = np.choose(groups, [0.02 * (1 - score), 0.3 * (1 - score), np.full(n, 0.4)])
    return score, rng.random(n) >= error, np.array(["easy", "hard", "lost"])[groups]


def test_a_threshold_for_each_group(rng):
    score, correct, groups = groups_of_three_kinds(rng)
    with pytest.warns(UncertifiedWarning, match=r"The group that fails is 'lost'.*or use groupwise=True"):
        one = TargetRisk(0.05, delta=0.1).fit(score, correct, groups=groups)
    assert not one.accept(score).any()
    with pytest.warns(UncertifiedWarning, match=r"abstains on that group.*'lost'"):
        policy = TargetRisk(0.05, delta=0.1, groupwise=True).fit(score, correct, groups=groups)
    accepted = policy.accept(score, groups)
    shares = {name: accepted[groups == name].mean() for name in ("easy", "hard", "lost")}
    assert shares["easy"] > 0.95
    assert 0.05 < shares["hard"] < 0.5
    assert shares["lost"] == 0
    certificate = policy.certificate_
    assert certificate.groups["lost"] == (0, 0)
    bounds = [certificate.group_bounds[name] for name in ("easy", "hard")]
    assert bounds[0] != bounds[1]
    assert certificate.bound == max(bounds)
    assert certificate.accepted == accepted.sum()
    for name, threshold in policy.threshold_.items():
        np.testing.assert_array_equal(accepted[groups == name], score[groups == name] >= threshold)
    with pytest.raises(ValueError, match="groups= is needed"):
        policy.accept(score)
    with pytest.raises(ValueError, match=r"groups holds \['new'\], for which there is no threshold"):
        policy.accept([0.9], ["new"])
    with pytest.raises(ValueError, match="groupwise=True needs groups="):
        TargetRisk(groupwise=True).fit(score, correct)


@pytest.mark.parametrize("groupwise", [False, True])
def test_many_groups_cost_the_memory_of_the_rows(groupwise):
    import tracemalloc

    rng = np.random.default_rng(0)
    n, n_groups = 20_000, 400
    score, groups = rng.random(n), np.arange(n) % n_groups
    tracemalloc.start()
    with pytest.warns(UncertifiedWarning):
        TargetRisk(0.01, groupwise=groupwise).fit(score, rng.random(n) < 0.5, groups=groups)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


@pytest.mark.parametrize("missing", [[np.nan, 1.0], [None, "a"], np.ma.masked_array(["a", "b"], [True, False])])
@pytest.mark.parametrize("name", ["groups", "clusters"])
def test_missing_groups_are_no_group(missing, name):
    with pytest.raises(ValueError, match=f"{name} has .*(missing|masked)"):
        TargetRisk().fit([0.1, 0.2], [1, 0], **{name: missing})


def test_samples_without_a_score_are_abstained_on_and_counted(rng):
    score, correct = make_known_risk(3000, random_state=0)
    holed = np.where(rng.random(3000) < 0.2, np.nan, score)
    known = ~np.isnan(holed)
    for policy in (TargetRisk(0.05), TargetCoverage(0.5), RejectCost(0.1), FixedThreshold(0.5)):
        policy.fit(holed, correct)
        certificate = policy.certificate_
        assert (certificate.n, certificate.unscored) == (3000, (~known).sum())
        assert not policy.accept(holed)[~known].any()
        assert f"{(~known).sum()} samples without a score" in str(certificate)
        assert certificate.accepted == policy.accept(holed).sum()
    assert TargetCoverage(0.5).fit(holed, correct).certificate_.coverage == pytest.approx(0.5, abs=1e-3)
    threshold = TargetRisk(0.05).fit(score[known], correct[known]).threshold_
    assert TargetRisk(0.05).fit(holed, correct).threshold_ == threshold
    nothing = np.full(10, np.nan)
    with pytest.warns(UncertifiedWarning, match="no sample has a score"):
        assert not TargetRisk().fit(nothing, np.ones(10)).accept(nothing).any()
    assert not TargetCoverage().fit(nothing, np.ones(10)).accept(nothing).any()


def test_graded_losses(rng):
    score, correct = make_known_risk(4000, random_state=0)
    binary = TargetRisk(0.05).fit(score, correct)
    same = TargetRisk(0.05).fit(score, loss=1.0 - correct)
    assert same.threshold_ == binary.threshold_
    loss = np.where(correct, 0.0, rng.choice([0.25, 0.5], 4000))
    graded = TargetRisk(0.05).fit(score, loss=loss)
    assert graded.certificate_.coverage > binary.certificate_.coverage
    assert graded.certificate_.errors == pytest.approx(loss[graded.accept(score)].sum())
    assert loss[graded.accept(score)].mean() < graded.certificate_.bound <= 0.05
    fixed = FixedThreshold(0.5).fit(score, loss=loss).certificate_
    assert loss[score >= 0.5].mean() < fixed.bound < loss[score >= 0.5].mean() + 0.05
    with pytest.raises(ValueError, match=r"loss must lie in \[0, 1\]"):
        TargetRisk().fit([0.1, 0.2], loss=[0.0, 2.0])
    with pytest.raises(ValueError, match="give either correct"):
        TargetRisk().fit([0.1, 0.2], [1, 0], loss=[0.0, 1.0])
    with pytest.raises(ValueError, match="give either correct"):
        TargetRisk().fit([0.1, 0.2])


def test_a_fixed_threshold_has_a_bound_without_a_search():
    score, correct = make_known_risk(2000, random_state=0)
    certificate = FixedThreshold(0.8, delta=0.1).fit(score, correct, disjoint=True).certificate_
    accepted = score >= 0.8
    assert certificate.bound == pytest.approx(upper_bound((~correct & accepted).sum(), accepted.sum(), 0.1))
    assert certificate.guaranteed
    assert not FixedThreshold(2.0).fit(score, correct).certificate_.guaranteed


def test_thresholds_lie_in_gaps_that_rounding_does_not_cross():
    rng = np.random.default_rng(0)
    values = np.array([0.9, 0.6, 0.3])
    kind = rng.integers(0, 3, 3000)
    correct = rng.random(3000) > np.array([0.0, 0.05, 0.6])[kind]
    for dtype, rounding in ((np.float64, 2.0**-52), (np.float32, 2.0**-23)):
        trembling = values[kind] * (1 + 8 * rounding * rng.uniform(-1, 1, 3000))
        for policy in (TargetRisk(0.1), RejectCost(0.3), TargetCoverage(0.64)):
            policy.fit(trembling, correct, rounding=rounding)
            assert np.abs(policy.threshold_ - values).min() > 0.05
            plain = policy.accept(values[kind].astype(dtype))
            np.testing.assert_array_equal(policy.accept(trembling), plain)
            assert policy.certificate_.accepted == plain.sum()


def test_dense_scores_keep_their_candidates():
    """A million float32 scores leave no gap as wide as the tolerance; thresholds are then as fine as that."""
    rng = np.random.default_rng(0)
    score = rng.random(200_000).astype(np.float32)
    for coverage in (0.1, 0.5, 0.9):
        policy = TargetCoverage(coverage).fit(score, np.ones(200_000))
        assert policy.certificate_.coverage == pytest.approx(coverage, abs=2e-3)


def borders_by_hand(ranked, tolerance):
    """Numbers of rows in the regions: a run of near scores that is longer than ten tolerances has one in every ten."""
    borders = np.flatnonzero(ranked[:-1] - ranked[1:] > tolerance[:-1]).tolist()
    for start, last in zip([0, *np.add(borders, 1)], [*borders, ranked.size - 1], strict=True):
        windows = {}
        for i in range(start, last):
            if ranked[start] - ranked[last] > 10 * tolerance[i] and ranked[i] > ranked[i + 1]:
                windows.setdefault((ranked[start] - ranked[i]) // (10 * tolerance[i]), []).append(i)
        borders += [max(window, key=lambda i: ranked[i] - ranked[i + 1]) for window in windows.values()]
    return np.array([*sorted(borders), ranked.size - 1]) + 1


@pytest.mark.parametrize("size", [1.0, 60.0, -60.0])
def test_regions_of_dense_scores_by_hand(size, rng):
    rounding = 2.0**-20
    for density in (0.1, 0.3, 0.5, 0.9):
        dense = np.cumsum(density * rng.exponential(size=300))
        short = dense[-1] + 2 + 0.9 * np.arange(13)  # the last alone is beyond ten tolerances: once, and tied
        depth = np.concatenate([dense, dense[::7], short, short + 14, short[-1:] + 14])
        score = size - rng.permutation(depth) * tolerance_of(rounding) * abs(size)
        ranked, regions = np.sort(score)[::-1], candidates(score, rounding)
        accepted = borders_by_hand(ranked, tolerance_of(rounding) * np.maximum(np.abs(ranked), 1))
        np.testing.assert_array_equal(regions.accepted, accepted)
        between = (ranked[accepted[:-1] - 1] + ranked[accepted[:-1]]) / 2
        np.testing.assert_allclose(regions.threshold, [*between, -np.inf], rtol=1e-12)


@pytest.mark.parametrize("most", [2, 7, 40, 41, 1000])
def test_thinned_regions_are_spread_evenly_up_to_that_of_all(most, rng):
    regions = candidates(rng.permutation(41) + 0.5)
    accepted = regions.thinned(most).accepted
    assert accepted.size == min(most, 41)
    assert (accepted[0], accepted[-1]) == (1, 41)
    assert np.ptp(np.diff(accepted)) <= 1


@pytest.mark.parametrize(
    ("policy", "nothing"),
    [
        (TargetCoverage(0.5), True),
        (RejectCost(0.2), True),
        (TargetCoverage(0.5, delta=0.1), False),
        (TargetRisk(0.2), False),
        (OnAverageRisk(0.2), False),
        (ConformalRisk(0.1), False),
        (FixedThreshold(0.5), False),
    ],
    ids=repr,
)
def test_a_certificate_says_where_nothing_is_guaranteed(policy, nothing, rng):
    score = rng.random(600)
    certificate = policy.fit(score, rng.random(600) < score**0.3).certificate_
    assert ("no error rate is guaranteed" in str(certificate)) == nothing
