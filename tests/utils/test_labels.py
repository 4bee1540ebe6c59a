"""Sentinels among labels."""

import numpy as np
import pytest

from abstain.utils.labels import abstain_label, fill_abstentions


def test_by_kind():
    assert abstain_label(np.array([0, 1])) == -1
    assert abstain_label(np.array([-5, -1])) == -6
    assert abstain_label(np.array([True, False])) == -1
    assert np.isnan(abstain_label(np.array([0.5, 1.0])))
    assert abstain_label(np.array(["a"])) == "abstain"
    assert abstain_label(np.array(["a", "b"], dtype=object)) == "abstain"
    with pytest.raises(ValueError, match="is one of the classes"):
        abstain_label(np.array(["abstain", "b"]))


def test_fill_widens():
    accept = np.array([True, False])
    assert fill_abstentions(np.array(["a", "b"]), accept, "abstain").tolist() == ["a", "abstain"]
    assert fill_abstentions(np.array([1, 2], dtype=np.int8), accept, -1000).tolist() == [1, -1000]
    assert fill_abstentions(np.array([1, 2]), accept, "?").tolist() == [1, "?"]
    assert np.isnan(fill_abstentions(np.array([1.0, 2.0]), accept, np.nan)[1])
    assert fill_abstentions(np.array([1, 2]), accept, None).tolist() == [1, None]
