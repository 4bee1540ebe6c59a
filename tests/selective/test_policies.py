"""Policies: thresholds by definition, certificates, and what cannot be promised."""

import numpy as np
import pytest
from scipy.stats import beta
from sklearn.isotonic import IsotonicRegression

from abstain import FixedThreshold, RejectCost, TargetCoverage, TargetRisk
from abstain.datasets import make_known_risk
from abstain.policies import upper_bound
from abstain.warnings import UncertifiedWarning


def test_coverage_is_exact_up_to_ties(rng):
    score = rng.normal(size=137)
    for coverage in (0.01, 0.07, 0.5, 0.56, 0.999, 1.0):
        policy = TargetCoverage(coverage).fit(score, np.ones(137))
        assert policy.accept(score).sum() == int(np.ceil(coverage * 137 - 1e-9))
    tied = np.round(score)
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
        costs = {t: np.where(score >= t, ~correct, cost).mean() for t in [*np.unique(score), np.inf]}
        assert costs[policy.threshold_] == pytest.approx(min(costs.values()))
        error = IsotonicRegression(increasing=False).fit(score, ~correct).predict(score)
        np.testing.assert_array_equal(policy.accept(score), error <= cost + 1e-12)
    assert RejectCost(0.5).fit([1, 2], [0, 0]).threshold_ == np.inf


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
    assert policy.threshold_ >= TargetRisk(0.05).fit(score, correct).threshold_
    with pytest.warns(UncertifiedWarning, match="in every group"):
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
    with pytest.raises(ValueError, match="labels of one kind"):
        TargetRisk(0.1).fit([0.1, 0.2], [1, 0], groups=np.array(["a", None], dtype=object))
    with pytest.raises(ValueError, match="groups must have one entry"):
        TargetRisk(0.1).fit([0.1, 0.2], [1, 0], groups=[1])
