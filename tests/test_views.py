"""Views: parts side by side, rows picked from both."""

import numpy as np
import pytest
from made import made_view

from abstain.views import as_view, unit_target


def test_parts_and_rows():
    features = np.arange(12.0).reshape(6, 2)
    log_proba = np.log(np.tile([0.2, 0.8], (6, 1)))
    view = made_view(features, log_proba)
    assert len(view) == 6
    assert view.answer.tolist() == [1] * 6
    picked = view[np.array([4, 1])]
    np.testing.assert_array_equal(picked.features, features[[4, 1]])
    assert picked.confidence.shape == (2, 5)
    assert as_view(view) is view
    bare = as_view(features)
    assert bare.confidence is None
    assert bare.answer is None
    assert len(bare[:2]) == 2


def test_confidence_features_go_through_in_blocks(rng):
    from abstain.scores import confidence_features

    log_proba = np.log(rng.dirichlet(np.ones(1000), 600))
    assert made_view(None, log_proba).confidence.shape == (600, 8)
    np.testing.assert_allclose(
        made_view(None, log_proba).confidence, confidence_features(log_proba), rtol=1e-9, atol=1e-9
    )


def test_unit_target():
    np.testing.assert_array_equal(unit_target([True, False]), [1, 0])
    np.testing.assert_array_equal(unit_target([0.2, 0.7]), [0.2, 0.7])
    with pytest.raises(ValueError, match="target has 2 entries where 3"):
        unit_target([0, 1], n=3)
    with pytest.raises(ValueError, match="target must be one-dimensional"):
        unit_target([[0], [1]])
