"""Displays draw what the metrics say."""

import numpy as np
import pytest

import abstain
from abstain.metrics import ReliabilityDisplay, RiskCoverageDisplay, TrustHistogramDisplay, aurc

pytestmark = pytest.mark.plot


@pytest.fixture(autouse=True)
def _agg():
    import matplotlib

    matplotlib.use("Agg")
    yield
    import matplotlib.pyplot

    matplotlib.pyplot.close("all")


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


def test_histogram(fitted):
    model, X, y = fitted
    display = TrustHistogramDisplay.from_estimator(model, X, y)
    assert display.right.size + display.wrong.size == len(y)
    assert display.threshold == model.policy_.threshold_
    only_right = TrustHistogramDisplay.from_predictions([1, 1], [0.1, 0.3])
    assert len(only_right.ax_.get_legend().get_texts()) == 1
