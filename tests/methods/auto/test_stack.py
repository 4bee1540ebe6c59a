"""The stack behind AutoTrust: monotone evidence, and the guard."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from abstain.methods.auto.evidence import Columns
from abstain.methods.auto.learner import MonotoneLogistic
from abstain.methods.auto.report import SecondOpinionReport, StackReport
from abstain.methods.auto.sources import logit_norm
from abstain.metrics import augrc, aurc
from abstain.selective.guard import HeldOut, checks
from abstain.solvers.logistic import fit_platt


def test_stack_weights_are_those_of_a_constrained_logistic_regression(rng):
    truth = rng.normal(size=4000)
    odds = np.column_stack([truth + 0.1 * rng.normal(size=4000), rng.normal(size=4000), -truth])
    correct = rng.random(4000) < expit(2 * truth + 0.5)
    weights, intercept = fit_platt(odds, correct)
    np.testing.assert_allclose(weights, [2, 0, 0], atol=0.25)
    np.testing.assert_allclose(intercept, 0.5, atol=0.15)
    assert (weights > 0).all()


def test_the_regression_is_the_usual_one_where_nothing_binds(rng):
    """Ridges of 1 on columns of unit scale and of 5 on the offsets of classes, against scikit-learn's solver."""
    columns, answer = rng.normal(size=(2000, 3)), rng.integers(0, 3, 2000)
    columns -= columns.mean(axis=0)
    columns /= columns.std(axis=0)
    correct = rng.random(2000) < expit(columns @ [1.0, 0.5, 2.0] + (answer == 1))
    mine = MonotoneLogistic(np.ones(3, dtype=bool), 3).fit(columns, answer, correct, np.ones(2000))
    design = np.column_stack([columns, np.eye(3)[answer] / np.sqrt(5)])
    plain = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(design, correct)
    np.testing.assert_allclose(mine.weights_, plain.coef_[0, :3], atol=2e-3)
    np.testing.assert_allclose(mine.log_odds(columns, answer), plain.decision_function(design), atol=1e-2)


def test_what_is_safer_never_lowers_trust(rng):
    """A column that is backwards in the sample gets no weight; one of unknown direction may have any."""
    columns = rng.normal(size=(3000, 2))
    correct = rng.random(3000) < expit(1 - 2 * columns[:, 0] - columns[:, 1])
    for rising, signs in (((True, True), (0, 0)), ((True, False), (0, -1))):
        fitted = MonotoneLogistic(np.array(rising), 1).fit(columns, np.zeros(3000, int), correct, np.ones(3000))
        np.testing.assert_array_equal(np.sign(fitted.weights_), signs)


def test_weights_of_samples_are_repetitions(rng):
    columns, answer = rng.normal(size=(400, 2)), rng.integers(0, 2, 400)
    correct, weight = rng.random(400) < expit(columns[:, 0]), rng.integers(1, 4, 400)
    rising = np.array([True, False])
    once = MonotoneLogistic(rising, 2).fit(columns, answer, correct, weight.astype(float))
    rows = np.repeat(np.arange(400), weight)
    often = MonotoneLogistic(rising, 2).fit(columns[rows], answer[rows], correct[rows], np.ones(rows.size))
    np.testing.assert_allclose(once.log_odds(columns, answer), often.log_odds(columns, answer), atol=1e-3)


def test_evidence_stays_within_what_was_seen_and_alarms_beyond(rng):
    held_out = rng.normal(size=(1000, 2))
    held_out[3, 1] = np.nan
    columns = Columns(["distance", "opinion"], [True, True], held_out)
    raw = np.array([[0.0, 0.0], [50.0, 50.0], [-50.0, 0.0], [-500.0, 0.0], [0.0, -50.0], [0.0, np.nan]])
    limited = columns.limited(raw)
    assert (np.abs(limited) < 4).all()
    assert limited[5, 1] == pytest.approx(np.nanmedian(held_out[:, 1]))
    alarm = columns.alarm(raw)
    np.testing.assert_array_equal(alarm[[0, 1, 4, 5]], 0)
    assert 0 < alarm[2] < alarm[3]  # farther is worse
    assert columns.beyond(raw)["distance"].tolist() == [False, False, True, True, False, False]
    assert columns.beyond(raw)["opinion"].tolist() == [False, False, False, False, True, False]


def held(rng, n=4000, noise=1.0):
    """Scores that know the truth, beside a baseline that knows it in part."""
    truth = 1 + 2 * rng.normal(size=n)
    correct, baseline = rng.random(n) < expit(truth), 0.5 + 0.5 * (truth + noise * 2 * rng.normal(size=n))
    return HeldOut(correct, truth, baseline, np.arange(n) % 4), rng.integers(0, 3, n)


def test_a_better_score_passes_all_checks_and_they_are_the_areas(rng):
    clean, codes = held(rng)
    found = {check.name: check for check in checks(clean, codes, clean, np.repeat([0.25, 1.0], 2000), 0)}
    assert all(check.passed for check in found.values())
    parts = [clean.among(clean.model == i) for i in range(4)]
    for name, area in (("AUGRC", augrc), ("AURC", aurc)):
        assert found[name].score == pytest.approx(np.mean([area(p.correct, p.score) for p in parts]), rel=1e-9)
        assert found[name].baseline == pytest.approx(np.mean([area(p.correct, p.baseline) for p in parts]), rel=1e-9)
    safest = np.argsort(-clean.score, kind="stable")[:400]
    assert found["errors among the safest 10%"].score == pytest.approx((~clean.correct[safest]).mean())
    assert {"AURC, noise of 0.25 sd", "AURC, noise of 1 sd", "AURC, other shares of classes"} < set(found)


def failed(clean, codes, stressed=None, levels=None):
    return {check.name for check in checks(clean, codes, stressed, levels, 0) if not check.passed}


def test_each_check_sees_what_it_is_for(rng):
    clean, codes = held(rng)
    assert failed(clean, codes) == set()
    top = clean.score.copy()
    wrong = np.flatnonzero(~clean.correct)[:160]
    top[wrong] = 20 + np.arange(160)  # errors that are trusted most
    assert {"AURC", "errors among the safest 10%"} <= failed(clean._replace(score=top), codes)
    assert failed(clean._replace(score=np.sign(clean.score) * np.abs(clean.score) ** 9), codes) == {"log loss"}
    assert {"AUGRC", "AURC"} <= failed(clean._replace(score=clean.baseline - rng.normal(size=4000)), codes)
    levels = np.repeat([0.25, 1.0], 2000)
    moved = np.where(levels == 1.0, -clean.score, clean.score)
    assert failed(clean, codes, clean._replace(score=moved), levels) == {"AURC, noise of 1 sd"}


def test_other_shares_of_the_classes_are_seen(rng):
    """A score that is better in a frequent class, and backwards in a rare one."""
    clean, _ = held(rng, 6000)
    codes = (np.arange(6000) % 20 == 0).astype(int)
    score = np.where(codes == 1, -3 * clean.score, clean.score)
    assert "AURC, other shares of classes" in failed(clean._replace(score=score), codes)


def test_a_score_that_is_the_baseline_is_not_kept(rng):
    clean, codes = held(rng)
    assert "AUGRC" in failed(clean._replace(score=clean.baseline), codes)


def report(**changes):
    known = StackReport(
        100, 20, 0.8, 0.12, 0.1, (("trees", 1.0, False),), (), 0.5, {"fit": 0.3}, (), "stack", 2.0, 10**6
    )
    return str(known._replace(**changes))


def test_the_report_says_what_was_found():
    assert "trees" in report()
    assert "out of time" in report()
    assert "share of the stack 0.50" in report()
    assert "1.0 MB" in report()
    text = report(opinions=(SecondOpinionReport("kernel", 0.95, 0.01, 0.005),))
    assert "The classifier is right in 0.800" in text
    assert "kernel is right more often: 0.950" in text


def test_the_norm_of_logits_by_hand(rng):
    logits = rng.normal(size=(20, 5))
    logits[3:6, 1] = -np.inf  # a class that cannot be is left out
    possible = [row[np.isfinite(row)] for row in logits]
    expected = [np.log(np.linalg.norm(row - row.mean())) for row in possible]
    np.testing.assert_allclose(logit_norm(logits), expected, rtol=1e-9)
    np.testing.assert_allclose(logit_norm(logits + 5), expected, rtol=1e-9)
    assert np.isfinite(logit_norm(np.ones((2, 3)))).all()
