"""Displays draw what the metrics say."""

import numpy as np
import pytest

import abstain
from abstain.metrics import ReliabilityDisplay, RiskCoverageDisplay, TrustHistogramDisplay, aurc

pytestmark = [pytest.mark.plot, pytest.mark.usefixtures("agg")]


@pytest.fixture
def fitted(problem):
    X, y, X_cal, y_cal, X_test, y_test = problem
    model = abstain.SelectiveClassifier(cv=2).fit(X, y)
    return model.fit_policy(X_cal, y_cal, abstain.TargetRisk(0.2)), X_test, y_test


def test_risk_coverage(fitted):
    model, X, y = fitted
    display = RiskCoverageDisplay.from_estimator(model, X, y)
    correct, accepted = model.predict(X) == y, model.accept(X)
    assert display.aurc == aurc(correct, model.score_samples(X))
    assert display.operating_point == pytest.approx((accepted.mean(), 1 - correct[accepted].mean()))
    assert display.target_risk == 0.2
    np.testing.assert_array_equal(display.line_.get_xdata(), display.coverage)
    other = RiskCoverageDisplay.from_predictions(correct, model.score_samples(X), name="again", ax=display.ax_)
    assert other.ax_ is display.ax_
    assert len(display.ax_.get_legend().get_texts()) == 2


def test_reliability_top_label_and_per_class(fitted):
    model, X, y = fitted
    top = ReliabilityDisplay.from_estimator(model, X, y)
    assert len(top.lines_) == 1
    each = ReliabilityDisplay.from_estimator(model, X, y, kind="per-class", n_bins=5)
    assert len(each.lines_) == 4
    proba = model.predict_proba(X)[:, 2]
    inside = (proba >= 0.2) & (proba < 0.4)
    assert each.curves[2][2][1] == pytest.approx((y[inside] == 2).mean())
    with pytest.raises(ValueError, match="kind must be one of"):
        ReliabilityDisplay.from_estimator(model, X, y, kind="both")


def test_reliability_of_a_score_against_how_often_answers_are_right(problem):
    X, y, _, _, X_test, y_test = problem
    model = abstain.CorrectnessTrust(cv=2, random_state=0).fit(X, y)
    display = ReliabilityDisplay.from_estimator(model, X_test, y_test, kind="score", n_bins=5)
    ((_, confidence, frequency, share),) = display.curves
    score, right = model.score_samples(X_test), model.predict(X_test) == y_test
    for low, found in zip((0.6, 0.8), (frequency[-2], frequency[-1]), strict=True):
        inside = (score >= low) & (score < low + 0.2)
        assert found == pytest.approx(right[inside].mean())
    assert share.sum() == pytest.approx(1)
    assert (np.diff(confidence) > 0).all()


def test_reliability_before_and_after_has_a_curve_for_each(fitted):
    model, X, y = fitted
    proba = model.predict_proba(X)
    display = ReliabilityDisplay.from_predictions(y, {"before": proba, "after": proba**2 / (proba**2).sum(1)[:, None]})
    assert [curve[0] for curve in display.curves] == ["before", "after"]
    assert len(display.lines_) == 2


def test_histogram(fitted):
    model, X, y = fitted
    display = TrustHistogramDisplay.from_estimator(model, X, y)
    assert display.right.size + display.wrong.size == len(y)
    assert display.threshold == model.policy_.threshold_
    only_right = TrustHistogramDisplay.from_predictions([1, 1], [0.1, 0.3])
    assert len(only_right.ax_.get_legend().get_texts()) == 1
