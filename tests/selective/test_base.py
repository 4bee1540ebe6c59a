"""The public methods: labels of every kind, calibration sets of every kind, and errors that say what to do."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import abstain
from abstain import FixedThreshold, SelectiveClassifier, TargetCoverage, TargetRisk, TrustHead
from abstain.warnings import OverlapWarning, UncertifiedWarning


@pytest.fixture
def fitted(problem):
    return SelectiveClassifier(cv=2, random_state=0).fit(*problem[:2])


@pytest.mark.parametrize(
    ("classes", "sentinel", "kind"),
    [
        ([0, 1, 2, 3], -1, "i"),
        ([-1, 0, 1, 2], -2, "i"),
        ([-7, -1, 3, 4], -8, "i"),
        (["a", "b", "c", "d"], "abstain", "U"),
        ([0.0, 1.0, 2.0, 3.0], np.nan, "f"),
    ],
)
def test_abstentions_by_kind_of_label(problem, classes, sentinel, kind):
    X, y = problem[:2]
    labels = np.array(classes)[y]
    model = SelectiveClassifier(cv=2, policy=TargetCoverage(0.5)).fit(X, labels)
    decided = model.decide(X)
    assert decided.dtype.kind == kind
    assert model.abstain_label_ == sentinel or np.isnan(sentinel)
    rejected = ~model.accept(X)
    assert rejected.any()
    np.testing.assert_array_equal(decided[rejected], np.full(rejected.sum(), sentinel))
    np.testing.assert_array_equal(decided[~rejected], model.predict(X)[~rejected])


def test_boolean_and_unsigned_labels_become_integers(problem):
    X, y = problem[:2]
    for labels in (y > 1, (y > 1).astype(np.uint8)):
        decided = SelectiveClassifier(cv=2, policy=TargetCoverage(0.5)).fit(X, labels).decide(X)
        assert decided.dtype == np.int64
        assert set(decided.tolist()) == {-1, 0, 1}


def test_long_and_foreign_sentinels(problem):
    X, y = problem[:2]
    short = SelectiveClassifier(cv=2, policy=FixedThreshold(np.inf)).fit(X, np.array(list("abcd"))[y])
    assert set(short.decide(X)) == {"abstain"}
    foreign = SelectiveClassifier(cv=2, policy=FixedThreshold(np.inf), abstain_label="ask").fit(X, y)
    assert foreign.decide(X).dtype == object
    nothing = SelectiveClassifier(cv=2, policy=TargetCoverage(0.5), abstain_label=-99).fit(X, y)
    assert nothing.decide(X).min() == -99


@pytest.mark.parametrize("labels", [["abstain", "b"], [0, 1]])
def test_a_sentinel_that_is_a_class_is_refused(problem, labels):
    X, y = problem[:2]
    named = np.array(labels)[y % 2]
    label = None if "abstain" in labels else 1
    with pytest.raises(ValueError, match=r"abstain_label=.* is one of the classes"):
        SelectiveClassifier(cv=2, abstain_label=label).fit(X, named)


def test_fit_policy_with_a_guarantee(fitted, problem):
    _, _, X_cal, y_cal, X, y = problem
    assert fitted.policy_.certificate_.guaranteed is False
    fitted.fit_policy(X_cal, y_cal, TargetRisk(0.15, delta=0.1))
    certificate = fitted.policy_.certificate_
    assert certificate.disjoint is True
    assert certificate.guaranteed
    assert certificate.n == len(y_cal)
    answered = fitted.accept(X)
    assert 1 - (fitted.predict(X) == y)[answered].mean() < 0.2


def test_training_data_as_calibration_set_is_noticed(fitted, problem):
    X, y, X_cal, y_cal = problem[:4]
    for again in (X, X.astype(np.float32), X[:50], X.tolist()):
        with pytest.warns(OverlapWarning, match="were also in fit"):
            fitted.fit_policy(again, y[: len(again)])
        assert fitted.policy_.certificate_.disjoint is False
    mixed = np.r_[X[:40], X_cal], np.r_[y[:40], y_cal]
    with pytest.warns(OverlapWarning, match="40 of the 640"):
        fitted.fit_policy(*mixed)


def test_repeats_that_chance_explains_are_no_reuse():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, (900, 3)).astype(float)
    y = (X.sum(axis=1) + rng.normal(size=900) > 3).astype(int)
    model = SelectiveClassifier(cv=2).fit(X[:450], y[:450]).fit_policy(X[450:], y[450:])
    certificate = model.policy_.certificate_
    assert certificate.disjoint is True
    assert certificate.seen > 300
    assert f"{certificate.seen} samples are equal to some of fit" in str(certificate)


def test_fit_policy_with_groups(fitted, problem):
    _, _, X_cal, y_cal, _, _ = problem
    fitted.fit_policy(X_cal, y_cal, TargetRisk(0.3), groups=y_cal % 2)
    assert set(fitted.policy_.certificate_.groups) == {0, 1}


def test_calibration_set_may_lack_classes_but_not_bring_new_ones(fitted, problem):
    _, _, X_cal, y_cal, _, _ = problem
    some = y_cal < 2
    assert fitted.fit_policy(X_cal[some], y_cal[some]).policy_.certificate_.n == some.sum()
    with pytest.raises(ValueError, match=r"not among the classes of the classifier: \[9\]"):
        fitted.fit_policy(X_cal, np.where(y_cal == 1, 9, y_cal))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X[:0], y[:0]), "0 sample"),
        (lambda X, y: (X[:-1], y), "inconsistent numbers of samples"),
        (lambda X, y: (X[:, :2], y), "features"),
        (lambda X, y: (X[:, 0], y), "Reshape your data"),
    ],
)
def test_bad_data_are_refused_and_nothing_is_lost(fitted, problem, change, message):
    _, _, X_cal, y_cal, X, _ = problem
    before = fitted.decide(X)
    with pytest.raises(ValueError, match=message):
        fitted.fit_policy(*change(X_cal, y_cal))
    np.testing.assert_array_equal(fitted.decide(X), before)
    if "features" not in message:
        with pytest.raises(ValueError, match=message):
            SelectiveClassifier(cv=2).fit(*change(X_cal, y_cal))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_cannot_be_scored_are_abstained_on_and_counted(fitted, problem, value):
    _, _, X_cal, y_cal, X, _ = problem
    whole = fitted.decide(X)
    holed, bad = X.copy(), np.arange(len(X)) % 7 == 0
    holed[bad, 1] = value
    np.testing.assert_array_equal(fitted.decide(holed), np.where(bad, -1, whole))
    evidence = fitted.evaluate(holed)
    assert np.isnan(evidence.score[bad]).all()
    assert (evidence.answer[bad] == -1).all()
    assert np.isfinite(evidence.proba[~bad]).all()
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        fitted.predict(holed)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        SelectiveClassifier(cv=2).fit(holed[: len(y_cal)], y_cal[: len(holed)])
    broken = X_cal.copy()
    broken[:50] = value
    certificate = fitted.fit_policy(broken, y_cal, TargetCoverage(0.5)).policy_.certificate_
    assert (certificate.unscored, certificate.n) == (50, len(y_cal))
    assert certificate.coverage == pytest.approx(0.5, abs=0.01)
    assert (fitted.decide(np.full((3, 4), value)) == -1).all()


def test_one_class_and_regression_targets_are_refused(problem):
    X, y = problem[:2]
    with pytest.raises(ValueError, match="holds 1 class"):
        SelectiveClassifier(cv=2).fit(X, np.zeros(len(y)))
    with pytest.raises(ValueError, match="continuous"):
        SelectiveClassifier(cv=2).fit(X, X[:, 0])


def test_a_column_of_labels_is_raveled_with_a_warning(problem):
    from sklearn.exceptions import DataConversionWarning

    X, y = problem[:2]
    with pytest.warns(DataConversionWarning):
        column = SelectiveClassifier(cv=2, random_state=0).fit(X, y[:, None])
    np.testing.assert_array_equal(column.decide(X), SelectiveClassifier(cv=2, random_state=0).fit(X, y).decide(X))


def test_not_fitted():
    from sklearn.exceptions import NotFittedError

    for method in ("predict", "predict_proba", "score_samples", "accept", "decide"):
        with pytest.raises(NotFittedError):
            getattr(SelectiveClassifier(), method)([[0.0, 1.0]])
    with pytest.raises(NotFittedError):
        SelectiveClassifier().fit_policy([[0.0, 1.0]], [0])


def test_functions_reach_through_wrappers(problem):
    X, y, X_cal, y_cal, X_test, _ = problem
    inner = make_pipeline(StandardScaler(), SelectiveClassifier(cv=2, random_state=0))
    search = GridSearchCV(inner, {"selectiveclassifier__cv": [2]}, cv=2).fit(X, y)
    policy = abstain.fit_policy(search, X_cal, y_cal, TargetCoverage(0.4))
    assert search.best_estimator_[-1].policy_ is policy
    decided = abstain.decide(search, X_test)
    np.testing.assert_array_equal(
        decided, search.best_estimator_[-1].decide(search.best_estimator_[0].transform(X_test))
    )
    assert 0.5 < (decided == -1).mean() < 0.7
    np.testing.assert_allclose(search.score_samples(X_test), search.best_estimator_.score_samples(X_test))
    with pytest.raises(TypeError, match=r"SelectiveClassifier\(estimator\)"):
        abstain.decide(StandardScaler(), X)


def test_a_failed_refit_leaves_the_fitted_estimator(fitted, problem):
    _X, _y, X_cal, y_cal, _, _ = problem
    before = fitted.decide(X_cal)
    for change in ({"cv": 1}, {"policy": TargetRisk(2.0)}):
        settings = fitted.get_params(deep=False)
        with pytest.raises(ValueError, match=r"cv must be|risk must lie"):
            fitted.set_params(**change).fit(X_cal, np.array(list("wxyz"))[y_cal])
        fitted.set_params(**{name: settings[name] for name in change})
        np.testing.assert_array_equal(fitted.decide(X_cal), before)


def test_warnings_point_at_the_caller(fitted, problem):
    X, y, X_cal, y_cal, _, _ = problem
    with pytest.warns(OverlapWarning) as caught:
        abstain.fit_policy(fitted, X, y)
    assert caught[0].filename == __file__
    with pytest.warns(UncertifiedWarning) as caught:
        fitted.fit_policy(X_cal, y_cal, TargetRisk(1e-4))
    assert caught[0].filename == __file__


@pytest.mark.parametrize("policy", ["risk", TargetRisk, 0.5])
def test_what_is_no_policy_is_named(problem, policy):
    with pytest.raises(TypeError, match="policy must be a policy"):
        SelectiveClassifier(policy=policy).fit(*problem[:2])


@pytest.mark.parametrize("scorer", ["max", TrustHead])
def test_what_is_no_scorer_is_named(problem, scorer):
    with pytest.raises(TypeError, match="scorer must be a function"):
        SelectiveClassifier(scorer=scorer, cv=2).fit(*problem[:2])
