"""Fixed thresholds have a bound, ties are told, and in-fit coverage is what was asked for (M13)."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from small_problems import overlapping, quiet

import abstain
from abstain.policies import upper_bound
from abstain.warnings import AbstainWarning


@pytest.mark.parametrize("threshold", [0.2, 0.7, -np.inf])
@pytest.mark.parametrize("error_rate", [0.0, 0.1])
def test_a_fixed_threshold_has_an_exact_bound(threshold, error_rate):
    rng = np.random.default_rng(0)
    score, correct = rng.random(500), rng.random(500) >= error_rate
    certificate = abstain.FixedThreshold(threshold).fit(score, correct).certificate_
    accepted = score >= threshold
    assert (certificate.accepted, certificate.errors) == (accepted.sum(), (accepted & ~correct).sum())
    assert 0 < certificate.delta < 1
    assert certificate.bound == pytest.approx(upper_bound(certificate.errors, certificate.accepted, certificate.delta))
    assert f"{certificate.bound:.4f}" in str(certificate)


def test_a_fixed_threshold_that_accepts_nothing_promises_nothing():
    certificate = abstain.FixedThreshold(2.0).fit([0.5, 0.6], [1, 1]).certificate_
    assert not certificate.guaranteed


@pytest.mark.parametrize("delta", [None, 0.1])
@pytest.mark.parametrize("share", [1.0, 0.95])
def test_coverage_that_ties_make_impossible_is_told(share, delta):
    score = np.where(np.arange(400) < share * 400, 0.3, 0.1)
    with pytest.warns(AbstainWarning, match=r"tie|tied|same score|equal"):
        policy = abstain.TargetCoverage(0.5, delta=delta).fit(score, np.ones(400, bool))
    assert policy.accept(score).mean() == pytest.approx(share)


def test_ties_that_do_no_harm_are_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error", AbstainWarning)
        abstain.TargetCoverage(0.8).fit(np.random.default_rng(0).random(400), np.ones(400, bool))
        abstain.TargetCoverage(1.0).fit(np.ones(400), np.ones(400, bool))
        abstain.TargetCoverage(0.5).fit(np.arange(400) // 2, np.ones(400, bool))


def test_coverage_of_a_tree_that_only_knows_certainty_is_told():
    X, y = overlapping(200, gap=8.0)
    clf = abstain.SelectiveClassifier(DecisionTreeClassifier(), policy=abstain.TargetCoverage(0.8), cv=2)
    with pytest.warns(AbstainWarning, match=r"tie|tied|same score|equal"):
        clf.fit(X, y)


@pytest.mark.parametrize(
    "scorer",
    [
        abstain.NearestNeighbours(5, measure="ratio", engine="sklearn"),
        abstain.Mahalanobis(),
    ],
    ids=["ratio", "Mahalanobis"],
)
def test_coverage_of_new_data_is_what_was_asked_for_in_fit(scorer):
    found = []
    for seed in range(4):
        X, y = overlapping(3000, 3, n_features=6, seed=seed)
        policy = abstain.TargetCoverage(0.8)
        clf = abstain.SelectiveClassifier(LogisticRegression(), scorer, policy=policy, cv=5, random_state=seed)
        found.append(quiet(clf.fit, X[:500], y[:500]).accept(X[500:]).mean())
    # the mean of four has a standard error of about .01
    assert np.mean(found) == pytest.approx(0.8, abs=0.028)
