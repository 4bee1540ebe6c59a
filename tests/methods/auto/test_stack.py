"""The stack behind AutoTrust: monotone evidence, and the guard."""

import numpy as np
import pytest
from made import made_view
from scipy.special import expit
from scipy.stats import entropy
from sklearn.linear_model import LogisticRegression

from abstain.folds import Folds
from abstain.methods.auto.evidence import Columns, Reach, of_confidence
from abstain.methods.auto.learner import MonotoneLogistic
from abstain.methods.auto.report import SecondOpinionReport, StackReport
from abstain.methods.auto.sources import logit_norm
from abstain.methods.auto.stack import TrustStack
from abstain.metrics import augrc, aurc
from abstain.outputs import ClassOutputs
from abstain.selective.guard import HeldOut, checks
from abstain.selective.outcomes import Outcome
from abstain.solvers.logistic import fit_platt
from abstain.views import Stressed, View


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


@pytest.mark.parametrize("n", [100, 1000, 20_000])
def test_limits_leave_three_samples_beyond_or_one_in_a_hundred(n, rng):
    held_out = rng.normal(size=(n, 2))
    columns = Columns(["distance", "opinion"], [True, True], held_out)
    assert ((held_out < columns.low).sum(axis=0) == min(n // 100, 3)).all()
    assert ((held_out > columns.high).sum(axis=0) == min(n // 100, 3)).all()


def test_what_probabilities_say_is_safe_where_they_are_sure(rng):
    proba = rng.dirichlet(np.ones(6), 50)
    columns, rising = of_confidence(made_view(None, np.log(proba)))
    first, second = -np.sort(-proba, axis=1)[:, :2].T
    safe = [np.log(first), first - second, -entropy(proba, axis=1), np.log(first / (1 - first))]
    np.testing.assert_allclose(columns[:, rising], np.column_stack(safe), rtol=1e-9)


def test_features_far_beyond_what_was_seen_are_held_back(rng):
    """Each by itself: those within stay as they are, and squares of distances are finite in float32."""
    X = rng.normal(size=(50, 3)).astype(np.float32)
    reach, new = Reach(X), X.copy()
    np.testing.assert_array_equal(reach.within(new), X)
    new[3, 1], new[4, 2] = 1e30, -1e30
    found = reach.within(new).astype(np.float32)
    np.testing.assert_array_equal(found != X, new != X)
    assert np.isfinite(np.square(found - X).sum(axis=1)).all()
    assert found[3, 1] > X[:, 1].max()
    assert found[4, 2] < X[:, 2].min()


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


def test_noise_teaches_what_is_right_under_noise(rng):
    """A column that tells nothing of the samples themselves, and whether the answer is right of those with noise."""
    n = 900
    codes, features = rng.integers(0, 2, n), rng.normal(size=(n, 2))

    def answered(right, features, stressed=None):
        sure = rng.uniform(0.6, 0.9, n)
        proba = np.where((np.arange(2) == np.where(right, codes, 1 - codes)[:, None]), sure[:, None], 1 - sure[:, None])
        return View(features, ClassOutputs(proba), stressed=stressed)

    right = rng.random((2, n)) < 0.7
    moved = answered(right[1], np.column_stack([2.0 * right[1] - 1, features[:, 1]]))
    view = answered(right[0], features, Stressed(moved, np.ones(n)))
    outcome = Outcome(view.outputs, view.answer, codes, 1.0 - right[0])
    folds = Folds([(np.flatnonzero(np.arange(n) % 3 != i), np.arange(i, n, 3)) for i in range(3)], n)
    stack = TrustStack([first_feature], "both", "fast", None, 0)
    stack.fit_held_out(view, outcome, folds)
    assert stack.learner_.weights_[stack.columns_.topics == "first_feature"] > 0


def first_feature(features):
    return features[:, 0]


first_feature.sees = "features"
