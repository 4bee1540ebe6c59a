"""Sample weights: no leap between whole and broken numbers, none of their size (M12), and they reach the estimator."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from small_problems import overlapping, quiet

import abstain
from abstain import metrics

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")

AREAS = [metrics.aurc, metrics.augrc, metrics.e_aurc, metrics.naurc]
MEASURES = {
    **{area.__name__: area for area in AREAS},
    "risk_at_coverage": lambda c, s, **w: metrics.risk_at_coverage(c, s, 0.6, **w),
    "coverage_at_risk": lambda c, s, **w: metrics.coverage_at_risk(c, s, 0.3, **w),
    "expected_calibration_error": lambda c, s, **w: metrics.expected_calibration_error(c, s, n_bins=5, **w),
    "smooth_calibration_error": metrics.smooth_calibration_error,
    "ks_calibration_error": metrics.ks_calibration_error,
    "overconfidence_error": lambda c, s, **w: metrics.overconfidence_error(c, s, n_bins=5, **w),
}


def scored(n=10, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.permutation(np.linspace(0.05, 0.95, n))
    return rng.random(n) < 0.3 + 0.6 * score, score


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("weight", [1.0, 2.0, 3.0, 7.0])
def test_weights_have_no_leap_at_whole_numbers(name, weight):
    correct, score = scored()
    whole = MEASURES[name](correct, score, sample_weight=np.full(10, weight))
    for near in (weight - 1e-4, weight + 1e-4):
        assert MEASURES[name](correct, score, sample_weight=np.full(10, near)) == pytest.approx(whole, abs=1e-3)


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.__name__)
def test_one_broken_weight_makes_no_leap(area):
    correct, score = scored(30)
    weight = np.random.default_rng(1).integers(1, 5, size=30).astype(float)
    near = weight.copy()
    near[3] += 1e-5
    whole = area(correct, score, sample_weight=weight)
    assert area(correct, score, sample_weight=near) == pytest.approx(whole, abs=1e-3)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-20, 1e20, 1e300, 1e305])
def test_weights_of_any_size_give_numbers(name, scale):
    correct, score = scored(40)
    weight = np.random.default_rng(1).uniform(0.5, 1.5, size=40) * scale
    value = MEASURES[name](correct, score, sample_weight=weight)
    assert np.isfinite(value)
    plain = MEASURES[name](correct, score, sample_weight=weight / weight.max())
    # whether weights are repetitions or shares moves the areas of so few samples a little
    assert value == pytest.approx(plain, abs=0.05)


@pytest.mark.parametrize("scale", [1e-320, 1e305])
def test_curves_of_weights_of_any_size_are_finite(scale):
    correct, score = scored(40)
    for curve in (metrics.risk_coverage_curve, metrics.reliability_curve):
        parts = curve(correct, score, sample_weight=np.full(40, scale))
        assert all(np.isfinite(part[~np.isnan(part)]).all() and np.isfinite(part).any() for part in parts)


@pytest.mark.parametrize("name", MEASURES)
def test_a_weight_of_zero_is_no_sample(name):
    correct, score = scored(40)
    weight = np.where(np.arange(40) % 4 == 0, 0.0, 1.0)
    kept = weight > 0
    value = MEASURES[name](correct, score, sample_weight=weight)
    assert value == pytest.approx(MEASURES[name](correct[kept], score[kept]), abs=1e-9)


# weights in fits


def test_weights_of_a_probe_are_repetitions():
    X, y = overlapping(200, 3)
    weight = np.random.default_rng(0).integers(0, 4, size=200)
    weighted = abstain.LinearProbe(standardise=False, tol=1e-7).fit(X, y, sample_weight=weight)
    repeated = abstain.LinearProbe(standardise=False, tol=1e-7).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-4)


def test_weights_of_a_probe_are_those_of_scikit_learn():
    X, y = overlapping(200, 3)
    weight = np.random.default_rng(0).uniform(0, 2, size=200)
    probe = abstain.LinearProbe(standardise=False, tol=1e-7).fit(X, y, sample_weight=weight)
    reference = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(probe.predict_proba(X), reference.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("bad", [np.full(200, -1.0), np.zeros(200), np.full(200, np.nan), np.ones(3)], ids=len)
def test_a_probe_refuses_bad_weights(bad):
    X, y = overlapping(200)
    with pytest.raises(ValueError, match="sample_weight"):
        abstain.LinearProbe().fit(X, y, sample_weight=bad)


class Weighed(ClassifierMixin, BaseEstimator):
    """Logistic regression that checks that each row came with its own weight, which is the last column."""

    fits = 0

    def fit(self, X, y, sample_weight=None):
        assert sample_weight is not None, "the weights did not arrive"
        np.testing.assert_array_equal(np.asarray(X)[:, -1], sample_weight)
        Weighed.fits += 1
        self.model_ = LogisticRegression().fit(X, y, sample_weight=sample_weight)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)

    def predict(self, X):
        return self.model_.predict(X)


@pytest.mark.parametrize("kind", ["array", "list", "series"])
@pytest.mark.parametrize(
    "clf",
    [
        abstain.SelectiveClassifier(Weighed(), cv=3),
        abstain.CorrectnessTrust(Weighed(), cv=3, random_state=0),
        abstain.AutoTrust(Weighed(), cv=3, budget="fast", random_state=0),
    ],
    ids=["SelectiveClassifier", "CorrectnessTrust", "AutoTrust"],
)
def test_weights_reach_the_estimator_fold_by_fold(clf, kind):
    X, y = overlapping(240)
    weight = np.random.default_rng(0).uniform(0.5, 2, size=240)
    X[:, -1] = weight
    if kind == "list":
        weight = weight.tolist()
    if kind == "series":
        weight = pytest.importorskip("pandas").Series(weight, index=np.arange(240)[::-1])
    Weighed.fits = 0
    quiet(clf.fit, X, y, sample_weight=weight)
    assert Weighed.fits == 4


def test_weights_change_the_fit_and_groups_go_elsewhere():
    X, y = overlapping(240)
    weight = np.where(y == 1, 20.0, 1.0)
    group = np.arange(240) // 4
    plain = quiet(abstain.SelectiveClassifier(LogisticRegression(), cv=2).fit, X, y)
    weighted = quiet(abstain.SelectiveClassifier(LogisticRegression(), cv=2).fit, X, y, sample_weight=weight)
    both = quiet(abstain.SelectiveClassifier(LogisticRegression(), cv=2).fit, X, y, sample_weight=weight, groups=group)
    expected = LogisticRegression().fit(X, y, sample_weight=weight).predict_proba(X)
    np.testing.assert_allclose(weighted.predict_proba(X), expected, atol=1e-9)
    np.testing.assert_allclose(both.predict_proba(X), expected, atol=1e-9)
    assert not np.allclose(plain.predict_proba(X), expected, atol=0.05)


def test_parameters_of_fit_that_nobody_takes_are_named():
    X, y = overlapping(100)
    with pytest.raises((TypeError, ValueError), match="wieght"):
        quiet(abstain.SelectiveClassifier(LogisticRegression(), cv=2).fit, X, y, wieght=np.ones(100))


def test_weights_change_nothing_in_a_frozen_estimator():
    X, y = overlapping(200)
    base = FrozenEstimator(LogisticRegression().fit(X, y))
    fitted = quiet(abstain.SelectiveClassifier(base, cv=2).fit, X, y, sample_weight=np.ones(200))
    np.testing.assert_array_equal(fitted.predict(X), base.predict(X))
