"""Areas and curves against brute-force definitions, reference values and frozen numbers of peers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abstain.metrics import (
    augrc,
    aurc,
    coverage_at_risk,
    e_aurc,
    naurc,
    risk_at_coverage,
    risk_coverage_curve,
)

AREAS = (aurc, e_aurc, naurc, augrc)


def brute_expected_errors(score, loss):
    """Expected cumulative loss of the k safest samples, ties broken at random, for k = 1..n."""
    order = np.argsort(-score, kind="stable")
    s, e = score[order], loss[order]
    out = []
    for k in range(1, len(s) + 1):
        above = s > s[k - 1]
        tied = s == s[k - 1]
        out.append(e[above].sum() + (k - above.sum()) * e[tied].mean())
    return np.array(out)


def brute_aurc(score, loss):
    return np.mean(brute_expected_errors(score, loss) / np.arange(1, len(score) + 1))


def brute_augrc(score, loss):
    """Trapezoid over the points that a threshold can reach, from (0, 0)."""
    points = [(0.0, 0.0)]
    for t in np.unique(score)[::-1]:
        accepted = score >= t
        points.append((accepted.mean(), loss[accepted].sum() / len(score)))
    c, r = np.array(points).T
    return np.sum(0.5 * (r[1:] + r[:-1]) * np.diff(c))


tied_data = st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.floats(0, 1)), min_size=1, max_size=40)


@given(tied_data)
@settings(max_examples=150, deadline=None)
def test_areas_equal_their_definitions(rows):
    correct, score, graded = (np.array(column) for column in zip(*rows, strict=True))
    score = score.astype(float)
    for loss in (1.0 - correct, graded):
        given_loss = None if loss is not graded else loss
        assert aurc(correct, score, loss=given_loss) == pytest.approx(brute_aurc(score, loss), abs=1e-12)
        assert augrc(correct, score, loss=given_loss) == pytest.approx(brute_augrc(score, loss), abs=1e-12)
        best = brute_aurc(-loss, loss)
        assert e_aurc(correct, score, loss=given_loss) == pytest.approx(
            max(brute_aurc(score, loss) - best, 0), abs=1e-12
        )


@given(tied_data, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_row_order_and_path_do_not_matter(rows, random):
    correct, score, _ = (np.array(column) for column in zip(*rows, strict=True))
    order = list(range(len(rows)))
    random.shuffle(order)
    for area in AREAS:
        value = area(correct, score)
        np.testing.assert_allclose(area(correct[order], score[order]), value, rtol=1e-12, atol=1e-14)
        # the fast path for errors and the general one for graded, weighted losses agree
        np.testing.assert_allclose(
            area(None, score, loss=1.0 - correct, sample_weight=np.ones(len(rows))), value, rtol=1e-10, atol=1e-12
        )


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=25))
@settings(max_examples=80, deadline=None)
def test_only_the_ratios_of_weights_matter(rows):
    """A constant weight is none, weight 0 is no row, and where no sample counts alone they are repetitions."""
    correct, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    if weight.sum() == 0:
        return
    repeated, there = (np.repeat(correct, weight), np.repeat(score, weight)), weight > 0
    np.testing.assert_allclose(augrc(correct, score, sample_weight=weight), augrc(*repeated), rtol=1e-9, atol=1e-11)
    for area in AREAS:
        value = area(correct, score, sample_weight=weight)
        for scale in (7, 1 / 3, 1e-300, 1e300):
            np.testing.assert_allclose(area(correct, score, sample_weight=scale * weight), value, rtol=1e-9, atol=1e-11)
        kept = area(correct[there], score[there], sample_weight=weight[there])
        np.testing.assert_allclose(kept, value, rtol=1e-9, atol=1e-11)
        even = area(correct, score, sample_weight=np.full(len(rows), 2.0))
        np.testing.assert_allclose(even, area(correct, score), rtol=1e-9, atol=1e-11)


def test_the_scale_of_weights_does_not_matter(rng):
    score, correct, weight = rng.random(300), rng.random(300) < 0.8, rng.random(300)
    for area in AREAS:
        assert area(correct, score, sample_weight=weight) == pytest.approx(
            area(correct, score, sample_weight=weight / weight.sum()), rel=1e-9
        )
        assert area(correct, score, sample_weight=np.full(300, 1 / 300)) == pytest.approx(area(correct, score))
    assert risk_at_coverage(correct, score, 0.1, sample_weight=np.full(300, 1 / 300)) == pytest.approx(
        risk_at_coverage(correct, score, 0.1)
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_dtype_does_not_matter(dtype, rng):
    score = rng.integers(0, 50, 300)
    correct = rng.random(300) < 0.7
    for area in AREAS:
        assert area(correct.astype(dtype), score.astype(dtype)) == area(correct, score.astype(float))


def test_reference_vectors():
    assert aurc([1, 1, 0], [0.8, 0.7, 0.6]) == pytest.approx(1 / 9)
    assert augrc([1, 1, 0], [0.8, 0.7, 0.6]) == pytest.approx(1 / 18)
    for n, k, oracle in [(100, 10, 0.0056737767), (1000, 50, 0.0012963618)]:
        correct = np.arange(n) >= k
        assert aurc(correct, correct) == pytest.approx(oracle, abs=1e-10)
        assert e_aurc(correct, correct) == 0


def test_augrc_identity_with_auroc(rng):
    from sklearn.metrics import roc_auc_score

    score = rng.normal(size=500).round(1)
    correct = rng.random(500) < 1 / (1 + np.exp(-score))
    error = 1 - correct.mean()
    expected = error * (error / 2 + (1 - error) * (1 - roc_auc_score(correct, score)))
    assert augrc(correct, score) == pytest.approx(expected, rel=1e-12)


def test_a_random_order_has_naurc_one_and_risk_of_the_whole(rng):
    correct = rng.random(200) < 0.8
    assert naurc(correct, np.zeros(200)) == pytest.approx(1.0)
    assert aurc(correct, np.zeros(200)) == pytest.approx(1 - correct.mean())
    assert naurc(correct, correct.astype(float)) == pytest.approx(0.0)


def test_large_samples_with_ties_keep_their_digits(rng):
    score = rng.integers(0, 1000, 200_000) / 1000
    correct = rng.random(200_000) < score
    fast = aurc(correct, score)
    order = np.argsort(-score, kind="stable")
    sizes = np.bincount(np.unique(-score[order], return_inverse=True)[1])
    errors = np.add.reduceat(1.0 - correct[order], np.r_[0, np.cumsum(sizes)[:-1]])
    n0, e0, total = 0, 0.0, 0.0
    for size, k in zip(sizes, errors, strict=True):
        i = np.arange(n0 + 1, n0 + size + 1)
        total += ((e0 + (i - n0) * k / size) / i).sum()
        n0, e0 = n0 + size, e0 + k
    assert fast == pytest.approx(total / score.size, rel=1e-11)


def test_degenerate_values():
    assert aurc([1, 1], [0.1, 0.2]) == 0
    assert aurc([0, 0], [0.1, 0.2]) == pytest.approx(1)
    assert augrc([0, 0], [0.1, 0.2]) == pytest.approx(0.5)
    assert np.isnan(naurc([1, 1], [0.1, 0.2]))
    assert aurc([0], [3.0]) == 1


def test_curve_points_are_those_of_thresholds(rng):
    score, correct = rng.integers(0, 9, 60), rng.random(60) < 0.6
    coverage, risk, threshold = risk_coverage_curve(correct, score)
    assert (np.diff(threshold) < 0).all()
    for c, r, t in zip(coverage, risk, threshold, strict=True):
        accepted = score >= t
        assert c == pytest.approx(accepted.mean())
        assert r == pytest.approx(1 - correct[accepted].mean())
    assert coverage[-1] == 1


def test_risk_at_coverage_by_definition(rng):
    score, correct = rng.integers(0, 9, 60).astype(float), rng.random(60) < 0.6
    expected = brute_expected_errors(score, 1.0 - correct)
    for coverage in (0.01, 0.07, 0.14, 0.28, 0.55, 0.56, 0.999, 1.0):
        k = max(int(np.ceil(coverage * 60 - 1e-9)), 1)
        assert risk_at_coverage(correct, score, coverage) == pytest.approx(expected[k - 1] / k)


def test_coverage_at_risk_takes_the_largest_not_the_first_crossing():
    correct = np.r_[0, np.ones(29), np.zeros(70)]
    score = -np.arange(100.0)
    assert coverage_at_risk(correct, score, 0.05) == pytest.approx(0.30)
    assert coverage_at_risk(np.r_[np.ones(30), np.zeros(70)], score, 0.05) == pytest.approx(0.31)
    assert coverage_at_risk(np.zeros(5), np.arange(5.0), 0.5) == 0.0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1, 0], [0.5, np.nan]), {}, "score has NaN"),
        (([1, 0, 1], [0.5, 0.4]), {}, "correct has 3 entries where 2"),
        (([1, 2], [0.5, 0.4]), {}, "correct must hold booleans"),
        (([1, 0], [[0.5], [0.4]]), {}, r"score must be one-dimensional.*ravel"),
        (([], []), {}, "score is empty"),
        ((None, [0.5, 0.4]), {"loss": [0.5, 1.5]}, r"loss must lie in \[0, 1\]"),
        (([1, 0], [0.5, 0.4]), {"sample_weight": [0, 0]}, "sample_weight"),
        (([1, 0], [0.5, 0.4]), {"sample_weight": [1, -1]}, "sample_weight"),
    ],
)
def test_bad_input_is_named(arguments, options, message):
    for area in AREAS:
        with pytest.raises(ValueError, match=message):
            area(*arguments, **options)


@pytest.mark.parametrize("coverage", [0, -0.1, 1.1, np.nan])
def test_bad_coverage_is_named(coverage):
    with pytest.raises(ValueError, match="coverage"):
        risk_at_coverage([1, 0], [0.5, 0.4], coverage)
