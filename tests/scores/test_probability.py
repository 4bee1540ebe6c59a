"""Closed-form scores: textbook definitions, saturation, dtypes, and equivalences for two classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, log_softmax, softmax
from scipy.stats import rankdata

from abstain.scores import (
    MaxLogitPNorm,
    confidence_features,
    energy,
    entropy,
    gen,
    gini,
    margin,
    max_logit,
    max_probability,
)

SCORES = [max_probability, margin, entropy, gini, gen]
TEXTBOOK = {
    max_probability: lambda p: p.max(axis=1),
    margin: lambda p: np.sort(p, axis=1)[:, -1] - np.sort(p, axis=1)[:, -2],
    entropy: lambda p: (p * np.log(p)).sum(axis=1),
    gini: lambda p: (p**2).sum(axis=1),
    gen: lambda p: -(p**0.1 * (1 - p) ** 0.1).sum(axis=1),
}


@pytest.fixture
def logits(rng):
    return 2 * rng.normal(size=(300, 7))


@pytest.mark.parametrize("score", SCORES)
def test_order_is_that_of_the_textbook(score, logits):
    p = softmax(logits, axis=1)
    np.testing.assert_array_equal(rankdata(score(p)), rankdata(TEXTBOOK[score](p).round(14)))


def test_values(logits):
    p = softmax(logits, axis=1)
    np.testing.assert_allclose(expit(max_probability(p)), p.max(axis=1))
    np.testing.assert_allclose(1 - np.exp(-margin(p)), TEXTBOOK[margin](p), atol=1e-12)
    np.testing.assert_allclose(np.exp(-entropy(p)), -TEXTBOOK[entropy](p))
    np.testing.assert_allclose(expit(gini(p)), TEXTBOOK[gini](p))
    np.testing.assert_allclose(-np.exp(-gen(p)), TEXTBOOK[gen](p))
    np.testing.assert_allclose(max_logit(logits), logits.max(axis=1))
    np.testing.assert_allclose(energy(logits, temperature=2.0), 2 * np.log(np.exp(logits / 2).sum(axis=1)))


def test_gen_keeps_the_largest(logits):
    p = softmax(logits, axis=1)
    largest = np.sort(p, axis=1)
    for top in (1, 3, 7, 100):
        kept = largest[:, -min(top, 7) :]
        expected = -np.log((kept**0.1 * (1 - kept) ** 0.1).sum(axis=1))
        np.testing.assert_allclose(gen(p, top=top), expected)
    kept = largest[:, -2:]
    np.testing.assert_allclose(gen(p, top=2, gamma=0.5), -np.log((kept**0.5 * (1 - kept) ** 0.5).sum(axis=1)))


@pytest.mark.parametrize("score", SCORES)
def test_logits_and_probabilities_agree(score, logits):
    np.testing.assert_allclose(score(logits, input="logits"), score(softmax(logits, axis=1)), rtol=1e-9)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("gap", [20.0, 40.0, 200.0, 2000.0])
def test_saturated_predictions_still_compare(score, gap):
    """Probabilities that round to 1.0, even in float64, keep their order."""
    logits = np.array([[0.0, -gap - i, -2 * gap] for i in range(30)])
    values = score(logits, input="logits")
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()
    if gap < 600:  # beyond, probabilities themselves are zero
        assert (np.diff(score(softmax(logits, axis=1))) > 0).all()


@pytest.mark.parametrize("score", SCORES)
def test_certain_and_impossible_classes_are_finite(score):
    assert np.isfinite(score([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])).all()
    assert np.isfinite(score([[3.0, -np.inf, 1.0]], input="logits")).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("score", [max_probability, margin])
def test_zeros_are_just_below_the_smallest_number_of_their_dtype(score, dtype):
    """A row that was rounded to certainty is the surest, and not by a million nats, of which nothing is known."""
    smallest = np.finfo(dtype).smallest_subnormal
    for others in (1, 2, 9):
        rows = np.zeros((5, others + 1), dtype=dtype)
        rows[:, 0] = 1.0
        rows[1:, 1:] = np.array([smallest, 3 * smallest, np.finfo(dtype).smallest_normal, 1e-12])[:, None]
        values = score(rows)
        assert values[0] > values[1:].max()
        assert values[0] == pytest.approx(-np.log(float(smallest)), abs=2)
        assert (np.diff(values) < 0).all()


@pytest.mark.parametrize("score", SCORES)
def test_dtype_batch_and_order_do_not_matter(score, logits):
    for dtype in (np.float16, np.float32):
        p = softmax(logits, axis=1).astype(dtype)
        np.testing.assert_array_equal(score(p), score(p.astype(np.float64) if dtype == np.float32 else p))
        assert score(p).dtype == np.float64
    p = softmax(logits, axis=1)
    np.testing.assert_array_equal(score(p)[::-1], score(p[::-1]))
    np.testing.assert_allclose(np.concatenate([score(p[[i]]) for i in range(9)]), score(p)[:9], rtol=1e-14)


@pytest.mark.parametrize("n_columns", [3, 40, 1000])
def test_the_order_of_memory_does_not_matter(n_columns, rng):
    """To the last digit, since thresholds are compared with scores."""
    logits = 3 * rng.normal(size=(60, n_columns))
    p, pnorm = softmax(logits, axis=1), MaxLogitPNorm().fit(logits, rng.random(60) < 0.7)
    for score, values in [*((score, p) for score in SCORES), (energy, logits), (max_logit, logits),
                          (pnorm.score_samples, logits)]:  # fmt: skip
        whole = score(values)
        np.testing.assert_array_equal(score(np.asfortranarray(values)), whole)
        np.testing.assert_array_equal(score(np.repeat(values, 2, axis=1)[:, ::2]), whole)
        np.testing.assert_array_equal(np.concatenate([score(values[[i]]) for i in range(5)]), whole[:5])


def test_many_blocks_agree_with_one(rng):
    wide = rng.normal(size=(900, 1000))
    expected = log_softmax(wide, axis=1).max(axis=1)
    np.testing.assert_allclose(-np.logaddexp(0, -max_probability(wide, input="logits")), expected, rtol=1e-9)


@given(arrays(float, (12, 2), elements=st.floats(-15, 15)))
@settings(max_examples=60, deadline=None)
def test_with_two_classes_all_scores_rank_alike(logits):
    ranks = [rankdata(score(logits, input="logits").round(9)) for score in (max_probability, margin, entropy, gini)]
    gap = rankdata(np.abs(logits[:, 0] - logits[:, 1]).round(9))
    # entropy and Gini are flat at even odds: a gap of d shows as its square
    distinct = np.unique(np.abs(logits[:, 0] - logits[:, 1]).round(3)).size == 12
    for rank in ranks:
        if distinct:
            np.testing.assert_array_equal(rank, gap)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("proba", "message"),
    [
        ([[2.0, -1.0]], "negative entries. Are these logits"),
        ([[0.7, 0.7]], "do not sum to one"),
        ([[np.nan, 0.5]], "NaN"),
        ([0.7, 0.3], r"shape \(n_samples, n_classes\)"),
        ([[1.0]], "at least 2 classes"),
    ],
)
def test_bad_probabilities_are_named(score, proba, message):
    with pytest.raises(ValueError, match=message):
        score(proba)


def test_bad_logits_are_named():
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="NaN or \\+inf"):
            max_logit([[value, 1.0]])
    with pytest.raises(ValueError, match="no finite entry"):
        energy([[-np.inf, -np.inf]])
    with pytest.raises(ValueError, match="input must be one of"):
        max_probability([[0.5, 0.5]], input="logit")


def test_confidence_features_by_hand():
    p = np.array([[0.5, 0.2, 0.3], [1.0, 0.0, 0.0]])
    with np.errstate(divide="ignore"):
        features = confidence_features(np.log(p), top=2)
    expected = [np.log(0.5), np.log(0.3), 0.2, -(0.5 * np.log(0.5) + 0.2 * np.log(0.2) + 0.3 * np.log(0.3)), 0.0]
    np.testing.assert_allclose(features[0], expected, atol=1e-12)
    far = 30 + 10 * np.log1p((1e6 - 30) / 10)  # a probability of 0 stands for log odds of a million, compressed
    np.testing.assert_allclose(features[1, [0, 2, 3]], [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(features[1, [1, 4]], [-far, far], rtol=1e-6)
    assert confidence_features(np.log(np.full((1, 4), 0.25))).shape == (1, 7)


def test_confidence_features_keep_the_order_of_what_is_nearly_certain():
    """Beyond 30 nats they grow slowly, and never tie: one million nats and 31 differ, as 31 and 32 do."""
    odds = np.array([5.0, 29.0, 31.0, 32.0, 700.0, 1e5])
    features = confidence_features(np.column_stack([np.zeros(6), -odds]))
    assert (np.diff(features[:, -1]) > 0).all()
    assert (np.diff(features[:, 1]) < 0).all()
    np.testing.assert_allclose(features[:2, -1], odds[:2], rtol=1e-3)
    assert features[-1, -1] < 150
