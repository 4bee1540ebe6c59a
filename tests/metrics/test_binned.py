"""Outcomes counted by score: what merging changes (nothing), what bins change (no more than they say)."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abstain.metrics import (
    BinnedOutcomes,
    augrc,
    aurc,
    coverage_at_risk,
    expected_calibration_error,
    risk_coverage_curve,
)


@pytest.fixture
def outcomes(rng):
    score = rng.beta(4, 1, size=4000)
    return score, rng.random(4000) < score


def test_a_bin_for_every_value_is_exact(rng):
    score = rng.integers(0, 30, size=900) / 30
    correct = rng.random(900) < score
    binned = BinnedOutcomes.for_scores(score).update(score, correct)
    assert binned.edges.size == np.unique(score).size - 1
    assert binned.aurc() == pytest.approx(aurc(correct, score), rel=1e-12)
    assert binned.augrc() == pytest.approx(augrc(correct, score), rel=1e-12)
    *sample, weight = binned.sample()
    for metric, *at in ((expected_calibration_error,), (coverage_at_risk, 0.2)):
        assert metric(*sample, *at, sample_weight=weight) == pytest.approx(metric(correct, score, *at), rel=1e-12)
    curves = risk_coverage_curve(*sample, sample_weight=weight), risk_coverage_curve(correct, score)
    for found, wanted in zip(*curves, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("metric", [aurc, augrc])
@pytest.mark.parametrize("n_bins", [2, 5, 50, 1000])
def test_the_truth_lies_within_the_bounds(outcomes, metric, n_bins):
    score, correct = outcomes
    binned = BinnedOutcomes.for_scores(score[:1000], n_bins).update(score, correct)
    tied, low, high = (getattr(binned, metric.__name__)(order) for order in ("tied", "best", "worst"))
    place = np.searchsorted(binned.edges, score, side="right")
    assert low == pytest.approx(metric(correct, place + 0.5 * correct), rel=1e-9)
    assert high == pytest.approx(metric(correct, place - 0.5 * correct), rel=1e-9)
    assert tied == pytest.approx(metric(correct, place), rel=1e-9)
    assert low <= metric(correct, score) <= high


def test_order_and_place_of_counting_do_not_matter(outcomes):
    score, correct = outcomes
    weight = np.random.default_rng(1).integers(0, 4, size=score.size).astype(float)
    start = BinnedOutcomes.for_scores(score, 64)
    whole = start.empty().update(score, correct, sample_weight=weight)
    parts = [
        start.empty().update(score[i::7], correct[i::7], sample_weight=weight[i::7]) for i in (3, 0, 6, 2, 5, 1, 4)
    ]
    merged = parts[0]
    for part in parts[1:]:
        before = part.counts.copy()
        merged = pickle.loads(pickle.dumps(merged)).merge(part)
        np.testing.assert_array_equal(part.counts, before)
    np.testing.assert_array_equal(merged.counts, whole.counts)
    np.testing.assert_allclose(merged.totals, whole.totals, rtol=1e-12)
    again = np.repeat(np.arange(score.size), weight.astype(int))
    assert whole.aurc() == pytest.approx(start.empty().update(score[again], correct[again]).aurc(), rel=1e-12)


def test_what_is_not_scored_is_counted_aside():
    binned = BinnedOutcomes([0.5]).update([0.2, np.nan, 0.5, np.nan], [1, 0, 1, 1])
    assert binned.unscored == 2
    assert binned.counts.tolist() == [[0, 0], [1, 1]]
    assert repr(binned) == "BinnedOutcomes(2 bins: 2 right, 0 wrong, 2 not scored)"


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=60), st.integers(2, 8))
def test_every_sample_is_in_one_bin_and_centres_keep_the_order(rows, n_bins):
    score, correct = np.array([row[0] / 10 for row in rows]), np.array([row[1] for row in rows])
    binned = BinnedOutcomes.for_scores(score, n_bins).update(score, correct)
    assert binned.counts.sum(axis=1).tolist() == [np.sum(~correct), np.sum(correct)]
    centres, bins = np.unique(binned.sample()[1]), np.flatnonzero(binned.counts.sum(axis=0))
    assert centres.size == bins.size
    assert centres[0] >= score.min() - 1e-12
    assert centres[-1] <= score.max() + 1e-12


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: BinnedOutcomes([0.5, 0.5]), "edges must increase"),
        (lambda: BinnedOutcomes([0.5, np.nan]), "edges has NaN"),
        (lambda: BinnedOutcomes.for_scores([np.nan]), "score is NaN throughout"),
        (lambda: BinnedOutcomes.for_scores([0.1], n_bins=1), "n_bins"),
        (
            lambda: BinnedOutcomes([0.5]).merge(BinnedOutcomes([0.6])),
            "other must be BinnedOutcomes with the same edges",
        ),
        (lambda: BinnedOutcomes([0.5]).merge(3), "other must be BinnedOutcomes"),
        (lambda: BinnedOutcomes([0.5]).update([0.5], [0.3]), "correct must hold booleans"),
        (lambda: BinnedOutcomes([0.5]).update([0.5, 1.0], [1]), "correct"),
        (lambda: BinnedOutcomes([0.5]).update([0.5], [1], sample_weight=[-1.0]), "sample_weight"),
        (lambda: BinnedOutcomes([0.5]).update([np.inf], [1]), "score has infinite"),
        (lambda: BinnedOutcomes([0.5]).aurc("random"), "order must be one of"),
    ],
)
def test_what_cannot_be_counted_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_nothing_is_counted_where_something_is_wrong():
    binned = BinnedOutcomes([0.5])
    with pytest.raises(ValueError, match="sample_weight"):
        binned.update([0.1, 0.2], [1, 0], sample_weight=[1.0, np.nan])
    assert binned.counts.sum() == binned.totals.sum() == binned.unscored == 0


def test_edges_are_its_own_and_nothing_counted_is_said():
    edges = np.array([0.5, 0.7])
    binned = BinnedOutcomes(edges)
    edges[0] = 0.6
    assert binned.edges.tolist() == [0.5, 0.7]
    assert binned.update([], []) is binned
    with pytest.raises(ValueError, match="nothing was counted yet"):
        binned.aurc()


def test_a_weight_is_a_number_of_samples(rng):
    score, times = rng.integers(0, 5, 60) / 5, rng.integers(0, 4, 60)
    correct = rng.random(60) < score
    binned = BinnedOutcomes([0.3, 0.7]).update(score, correct, sample_weight=times)
    again = np.repeat(np.arange(60), times)
    assert binned.aurc("best") <= aurc(correct[again], score[again]) <= binned.aurc("worst")
    assert binned.update([0.1], [1], sample_weight=[0.0]).counts.sum() == times.sum()
