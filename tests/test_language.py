"""What language models say, read as scores; NaN where nothing can be read, and abstained on from there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from abstain import TargetRisk
from abstain.language import answer_frequencies, label_probabilities, stated_confidence


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(float, st.tuples(st.integers(1, 20), st.integers(1, 6)), elements=st.floats(0, 1)), st.floats(0.1, 1))
def test_rows_sum_to_one_and_keep_their_probabilities(raw, mass):
    proba = mass * raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-9)
    with np.errstate(divide="ignore"):
        found = label_probabilities(np.log(proba))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[:, :-1], proba, atol=1e-12)


def test_dictionaries_say_what_the_array_says():
    rows = [{"a": -0.5, "b": -1.5, "other": -3.0}, {"b": -0.1}, {}, None]
    found = label_probabilities(rows, labels=["a", "b"])
    np.testing.assert_allclose(found[:2], label_probabilities([[-0.5, -1.5], [-np.inf, -0.1]]))
    assert np.isnan(found[2:]).all()


def test_rounded_logarithms_may_exceed_one_by_a_little_and_logits_may_not():
    np.testing.assert_allclose(label_probabilities([[np.log(0.7003), np.log(0.3)]]).sum(), 1)
    with pytest.raises(ValueError, match=r"more than one\. Are these logits"):
        label_probabilities([[2.0, -1.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([{"a": -1.0}],), "labels must be given"), (([[-1.0]], ["a"]), "labels are for dictionaries"),
        (([-1.0],), "one row a sample"),
    ],
)  # fmt: skip
def test_bad_log_probabilities_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        label_probabilities(*arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: label_probabilities([{"yes": -0.1}], labels="yes"), "labels must be a list"),
        (lambda: label_probabilities([{"yes": -0.1}], labels=["yes", "yes"]), "distinct names"),
        (lambda: label_probabilities([{"yes": -0.1}], labels=[]), "at least one"),
        (lambda: label_probabilities([{"yes": -0.1}, [1.0]], labels=["yes"]), "a dictionary, or None, for"),
        (lambda: answer_frequencies(["yes", "no"]), "a list of answers for every question"),
        (lambda: answer_frequencies([["yes"]], answers="yes"), "answers must be a list"),
        (lambda: answer_frequencies([["a", 1]]), "answers of one kind"),
        (lambda: stated_confidence("85 %"), "texts must be a list"),
        (lambda: stated_confidence(0.5), "texts must be a list"),
    ],
)  # fmt: skip
def test_what_is_no_list_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_iterables_and_batches_without_an_answer():
    rows = [{"a": -0.5}, None]
    found = label_probabilities((row for row in rows), labels=["a"])
    np.testing.assert_array_equal(found, label_probabilities(rows, labels=["a"]))
    assert np.isnan(label_probabilities([None, None], labels=["a", "b"])).all()
    proba, answers = answer_frequencies([["a", np.nan], None])
    assert answers == ["a"]
    np.testing.assert_array_equal(proba, [[0.5, 0.5], [np.nan, np.nan]])


def test_frequencies_are_counts():
    rng = np.random.default_rng(0)
    samples = [list(rng.choice(["x", "y", "z", None], 10)) for _ in range(30)]
    proba, answers = answer_frequencies(samples)
    assert answers == ["x", "y", "z"]
    for row, given_answers in zip(proba, samples, strict=True):
        assert row.tolist() == [given_answers.count(a) / 10 for a in [*answers, None]]
    some, _ = answer_frequencies(samples, answers=["y"])
    np.testing.assert_allclose(some[:, 0], proba[:, 1])
    np.testing.assert_allclose(some.sum(axis=1), 1)


def test_questions_without_an_answer_are_nan():
    proba, _ = answer_frequencies([[1, 1, 2], [], [None, None]])
    assert np.isnan(proba).all(axis=1).tolist() == [False, True, True]
    with pytest.raises(ValueError, match="no answer to any question"):
        answer_frequencies([[], [None]])


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("Confidence: 85%", 0.85), ("0.85", 0.85), (".5", 0.5), ("85", 0.85), ("8 / 10", 0.8), ("100 %", 1.0), (1, 1.0),
        (0, 0.0), (0.25, 0.25), ("80 % (that is, 80 %)", 0.8), ("12/10", np.nan), ("150 %", np.nan), ("3/0", np.nan),
        ("20 % or 90 %", np.nan), ("very sure", np.nan), ("", np.nan), (None, np.nan), (np.nan, np.nan),
        ("GPT4 is sure", np.nan), (-0.5, np.nan), ("-0.5", np.nan), (1e-5, 1e-5), ("1e-3", 1e-3), ("1 percent", 0.01),
        ("0.5 percent", 0.005), ("85 PERCENT", 0.85),
    ],
)  # fmt: skip
def test_stated_confidence(text, confidence):
    np.testing.assert_equal(stated_confidence([text]), [confidence])


def test_what_cannot_be_read_is_abstained_on():
    score = stated_confidence(["90 %"] * 200 + ["no idea"] * 50)
    policy = TargetRisk(0.1).fit(score, np.arange(250) % 40 > 0)
    assert policy.certificate_.unscored == 50
    assert not policy.accept(stated_confidence(["no idea"]))[0]
    assert policy.accept(stated_confidence(["90 %"]))[0]
