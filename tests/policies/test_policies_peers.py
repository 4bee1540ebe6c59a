"""Decisions of other libraries on the same arrays."""

import numpy as np
import pytest
from made import made_events

from abstain import TargetCoverage
from abstain.datasets import make_known_risk
from abstain.policies.binomial import Binomial, p_values
from abstain.policies.candidates import candidates


def test_bonferroni_rejections_of_mapie():
    fwer = pytest.importorskip("mapie.risk_control", reason="needs the test extra").control_fwer
    score, correct = make_known_risk(800, random_state=0)
    grid = np.linspace(50, 799, 20).astype(int)
    p = Binomial(candidates(score), made_events(1.0 - correct)).p_values(grid, 0.05)
    ours = np.flatnonzero(p <= 0.1 / grid.size)
    assert ours.size
    np.testing.assert_array_equal(np.sort(fwer(p, 0.1, "bonferroni")), ours)


def test_p_values_are_never_larger_than_hoeffding_bentkus():
    """The exact binomial test needs no factor e, so it rejects whenever MAPIE's bound for any loss does."""
    bentkus = pytest.importorskip("mapie.risk_control.methods", reason="needs the test extra")
    errors, accepted = np.array([0, 3, 5, 12]), np.array([80, 200, 150, 600])
    theirs = [
        float(np.squeeze(bentkus.compute_hoeffding_bentkus_p_value(np.array([k / m]), int(m), 0.05)))
        for k, m in zip(errors, accepted, strict=True)
    ]
    assert (p_values(errors, accepted, 0.05) <= np.array(theirs) + 1e-12).all()


def test_target_coverage_is_a_threshold_on_the_conformal_p_value_of_crepes():
    crepes = pytest.importorskip("crepes", reason="needs the test extra")
    rng = np.random.default_rng(0)
    score, new = rng.normal(size=300), rng.normal(size=500)
    policy = TargetCoverage(0.8).fit(score, np.ones(300))
    p = crepes.ConformalClassifier().fit(-score).predict_p(-new[:, None], smoothing=False)[:, 0]
    ranked = np.sort(score)[::-1]
    told = (new <= ranked[240]) | (new >= ranked[239])  # between the two, each library draws the line elsewhere
    np.testing.assert_array_equal(policy.accept(new)[told], (p >= (300 - 240 + 2) / 301 - 1e-12)[told])
    assert told.mean() > 0.95
