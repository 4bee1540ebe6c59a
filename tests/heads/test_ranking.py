"""What is made of a selector and a softmax response, which of them is used, and how collapse is seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from abstain.heads.ranking import KINDS, report_selection, selection_score, warn_of_collapse
from abstain.metrics import augrc
from abstain.scores import max_probability
from abstain.warnings import CollapseWarning


def test_kinds_of_score(rng):
    logits, odds = rng.normal(scale=2, size=(200, 4)), rng.normal(scale=2, size=200)
    response = max_probability(logits, input="logits")
    product = expit(odds) * expit(response)
    np.testing.assert_array_equal(selection_score("selector", logits, odds), odds)
    np.testing.assert_array_equal(selection_score("softmax", logits, odds), response)
    np.testing.assert_allclose(selection_score("logit_sum", logits, odds), odds + response)
    np.testing.assert_allclose(selection_score("product", logits, odds), np.log(product / (1 - product)), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_saturated_selectors_do_not_tie(kind):
    """Where a sigmoid is 1 in every precision, the order is still there."""
    odds = np.linspace(50, 90, 41)
    logits = np.column_stack([odds, np.zeros(41)])
    assert (expit(odds) == 1).all()
    assert np.unique(selection_score(kind, logits, odds)).size == 41


@given(st.lists(st.tuples(*[st.floats(-60, 60)] * 2), min_size=2, max_size=20), st.sampled_from(KINDS[2:]))
def test_both_parts_count(pairs, kind):
    """A sample that is no worse in either part does not rank lower."""
    odds, response = np.array(sorted(pairs)).T
    logits = np.column_stack([np.maximum(response, 0), np.maximum(-response, 0)])  # the larger has log-odds |response|
    score = selection_score(kind, logits, odds)
    better = (odds[:, None] >= odds) & (np.abs(response)[:, None] >= np.abs(response))
    assert (score[:, None] - score)[better].min() >= -1e-9


def test_auto_needs_more_than_its_standard_error(rng):
    codes = rng.integers(3, size=600)
    logits = 1.5 * np.eye(3)[codes] + rng.normal(size=(600, 3))
    correct = logits.argmax(axis=1) == codes
    oracle, noise = 4.0 * correct + rng.normal(size=600), rng.normal(size=600)
    told = report_selection("auto", 0.8, logits, oracle, codes)
    assert told.chosen != "softmax"
    assert told.augrc[told.chosen] == min(told.augrc.values())
    assert report_selection("auto", 0.8, logits, noise, codes).chosen == "softmax"
    assert report_selection("product", 0.8, logits, noise, codes).chosen == "product"
    assert "in use" in str(told)
    np.testing.assert_allclose(told.augrc["selector"], augrc(correct, oracle))
    with pytest.raises(ValueError, match="rank_by"):
        report_selection("sr", 0.8, logits, oracle, codes)


def reports(odds, correct):
    codes = np.where(correct, 0, 1)
    return [report_selection("selector", 0.8, np.tile([1.0, 0.0], (len(odds), 1)), odds, codes)]


def test_collapse_is_seen_and_named(rng, recwarn):
    correct = rng.uniform(size=300) < 0.7
    causes = {"all": "why all", "none": "why none"}
    with pytest.warns(CollapseWarning, match="abstains on all 300 .* why none"):
        warn_of_collapse(reports(-np.ones(300), correct), -np.ones((300, 1)), correct, causes, chosen=False)
    flat = 5 + rng.normal(size=300)
    with pytest.warns(CollapseWarning, match="accepts all 300 .* why all"):
        warn_of_collapse(reports(flat, correct), flat[:, None], correct, causes, chosen=False)
    recwarn.clear()
    for useful in (rng.normal(size=300), 5 + correct + rng.normal(size=300)):
        warn_of_collapse(reports(useful, correct), useful[:, None], correct, causes, chosen=False)
    assert not [w for w in recwarn if issubclass(w.category, CollapseWarning)]
