"""What is inside pipelines, rows, folds and groups is asked as it is, and not as its wrapping looks."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold, StratifiedShuffleSplit, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from small_problems import quiet

import abstain
from abstain import (
    CorrectnessTrust,
    FixedThreshold,
    OnAverageRisk,
    SelectiveClassifier,
    TargetCoverage,
    TargetRisk,
    TrustHead,
)
from abstain.calibration import Temperature
from abstain.monitoring import WarningLight
from abstain.warnings import OverlapWarning, UncertifiedWarning

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


@pytest.fixture
def three(problem):
    X, y = problem[0][problem[1] < 3], problem[1][problem[1] < 3]
    return X, y


@pytest.mark.parametrize(
    "around",
    [lambda svc: make_pipeline(StandardScaler(), svc), lambda svc: GridSearchCV(svc, {"C": [1.0]}, cv=2)],
    ids=["pipeline", "search"],
)
@pytest.mark.parametrize("frozen", [False, True])
def test_one_against_one_is_refused_wherever_it_is(three, around, frozen):
    """Three classes make three pairs, so that shapes do not tell."""
    base = around(SVC(decision_function_shape="ovo"))
    base = FrozenEstimator(base.fit(*three)) if frozen else base
    with pytest.raises(ValueError, match="One-against-one decisions are not logits"):
        SelectiveClassifier(base, response_method="decision_function", cv=2).fit(*three)


def test_answers_may_come_as_a_column(three):
    class Column(LogisticRegression):
        def predict(self, X):
            return super().predict(X)[:, None]

    X, y = three
    plain = LogisticRegression().fit(X, y)
    fitted = quiet(SelectiveClassifier(FrozenEstimator(Column().fit(X, y))).fit, X, y)
    np.testing.assert_array_equal(fitted.predict(X), plain.predict(X))


def test_fit_parameters_of_any_shape_are_handed_on(three):
    class Watched(LogisticRegression):
        def fit(self, X, y, eval_set=None, ragged=None, names=None):
            self.seen_ = len(eval_set[0][0]), ragged, len(names)
            return super().fit(X, y)

    X, y = three
    given = {"eval_set": [(X[:10], y[:10])], "ragged": [[1, 2], [3]], "names": [f"row {i}" for i in range(len(X))]}
    assert SelectiveClassifier(Watched(), cv=3).fit(X, y, **given).estimator_.seen_ == (10, [[1, 2], [3]], len(X))


class Logarithm(TransformerMixin, BaseEstimator):
    """Transformer that learns nothing, and leaves no sign of having been fitted."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.log1p(np.abs(X))


@pytest.mark.parametrize(
    "build",
    [
        lambda: CorrectnessTrust(make_pipeline(Logarithm(), LogisticRegression()), cv=2),
        lambda: CorrectnessTrust(make_pipeline(StandardScaler(), Logarithm(), LogisticRegression()), cv=2),
        lambda: CorrectnessTrust(LogisticRegression(), backbone=Logarithm(), cv=2),
    ],
    ids=["alone", "last", "backbone"],
)
def test_a_transformer_that_learns_nothing_is_gone_through(build, three):
    X, y = three
    assert np.isfinite(quiet(build().fit, X, y).score_samples(X)).all()


@pytest.mark.parametrize("value", [1e39, -np.finfo(float).max, np.inf, -np.inf, np.nan])
def test_a_row_that_is_refused_alone_does_not_take_others_with_it(value, three):
    """A finite number may be too large for a classifier, too."""
    X, y = three
    fitted = SelectiveClassifier(RandomForestClassifier(5, random_state=0), cv=2).fit(X, y)
    query = X[:20].copy()
    query[3, 0] = value
    scores, others = fitted.score_samples(query), np.arange(20) != 3
    assert np.isfinite(scores[others]).all()
    np.testing.assert_array_equal(scores[others], fitted.score_samples(X[:20])[others])
    assert fitted.decide(query)[3] == fitted.abstain_label_ or np.isfinite(scores[3])


def test_one_good_row_is_found_among_many_bad_ones(three):
    y = (three[1] > 0).astype(int)
    texts = ["cat dog" if label else "bird" for label in y]
    fitted = SelectiveClassifier(make_pipeline(TfidfVectorizer(), LogisticRegression()), cv=2).fit(texts, y)
    for at in (0, 19, 40):
        query = [None] * 41
        query[at] = "cat dog"
        np.testing.assert_array_equal(np.flatnonzero(np.isfinite(fitted.score_samples(query))), [at])


class Filling(ClassifierMixin, BaseEstimator):
    """Classifier that answers where values are missing, though its tags do not say so."""

    def fit(self, X, y):
        self.inner_ = LogisticRegression().fit(np.nan_to_num(X), y)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, X):
        return self.inner_.predict_proba(np.nan_to_num(X))

    def predict(self, X):
        return self.inner_.predict(np.nan_to_num(X))


def test_the_classifier_answers_what_only_the_score_cannot_see(three):
    X, y = three
    base = make_pipeline(StandardScaler(), Filling())
    fitted = quiet(SelectiveClassifier(base, scorer=TrustHead(), cv=2, random_state=0).fit, X, y)
    query = X.copy()
    query[::2, 1] = np.nan
    np.testing.assert_array_equal(fitted.predict(query), fitted.estimator_.predict(query))
    np.testing.assert_allclose(fitted.predict_proba(query), fitted.estimator_.predict_proba(query))
    np.testing.assert_array_equal(np.isnan(fitted.score_samples(query)), np.arange(len(X)) % 2 == 0)
    assert (fitted.decide(query)[::2] == fitted.abstain_label_).all()


def test_a_check_on_the_rows_of_fit_guarantees_nothing(three):
    X, y = three
    fitted = SelectiveClassifier(RandomForestClassifier(5, random_state=0), cv=2, policy=FixedThreshold(-100.0))
    fitted.fit(X[::2], y[::2])
    with pytest.warns(OverlapWarning, match="were also in fit"):
        assert not fitted.check(X[::2], y[::2]).guaranteed
    fresh = fitted.check(X[1::2], y[1::2])
    assert fresh.guaranteed
    assert fresh.disjoint


@pytest.mark.parametrize("unit", ["D", "s", "ns"])
def test_groups_may_be_times(unit, three):
    X, y = three
    days = np.array(["2024-01-01", "2024-01-02"], dtype=f"datetime64[{unit}]")[np.arange(len(X)) % 2]
    fitted = SelectiveClassifier(cv=2).fit(X[:200], y[:200])
    checked = fitted.check(X[200:], y[200:], groups=days[200:])
    assert set(checked.groups) == {"2024-01-01", "2024-01-02"}
    assert sum(tally[1] for tally in checked.groups.values()) == checked.accepted
    policy = fitted.fit_policy(X[200:], y[200:], TargetRisk(0.9, groupwise=True), groups=days[200:]).policy_
    assert set(policy.threshold_) == set(checked.groups)
    assert policy.accept(np.full(2, 1e9), groups=days[:2]).all()


def test_missing_scores_of_nullable_columns_are_missing():
    pandas = pytest.importorskip("pandas", reason="needs pandas: pip install pandas")
    score = [0.1, 0.5, None, 0.9]
    of_array = TargetCoverage(0.5).fit(pandas.array(score, dtype="Float64"), [1, 1, 0, 1])
    of_numbers = TargetCoverage(0.5).fit([0.1, 0.5, np.nan, 0.9], [1, 1, 0, 1])
    assert of_array.threshold_ == of_numbers.threshold_
    assert of_array.certificate_.unscored == 1
    score = [0.9, 0.1, 0.5]
    assert abstain.metrics.aurc([1, 0, 1], pandas.array(score, dtype="Float64")) == abstain.metrics.aurc(
        [1, 0, 1], score
    )


def test_costs_that_are_named_are_those_of_the_names(three):
    pandas = pytest.importorskip("pandas", reason="needs pandas: pip install pandas")
    X, labels = three[0], np.array(["bird", "cat", "dog"])[three[1]]
    names = ["cat", "dog", "bird"]
    frame = pandas.DataFrame([[0.0, 1, 2], [3, 0, 4], [5, 6, 0]], index=names, columns=names)

    def costs(cost):
        return quiet(abstain.CostSensitiveClassifier(cost=cost, cv=2).fit, X, labels).cost_

    np.testing.assert_array_equal(costs(frame), [[0, 5, 6], [2, 0, 1], [4, 3, 0]])
    np.testing.assert_array_equal(costs(pandas.DataFrame(frame.to_numpy())), frame)
    with pytest.raises(ValueError, match="rows and columns must be named by the classes"):
        costs(frame.rename(index={"cat": "cow"}))


def test_folds_without_a_past_are_refused_by_what_needs_one():
    X, y = np.random.default_rng(0).normal(size=(300, 3)), np.arange(300) % 2
    with pytest.raises(ValueError, match="never held out, as TimeSeriesSplit"):
        quiet(abstain.AutoTrust(LogisticRegression(), cv=TimeSeriesSplit(4), budget="fast", random_state=0).fit, X, y)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_threshold_for_each_group_may_be_asked_for_from_the_start(frozen, three):
    X, y = three
    groups, policy = np.arange(len(X)) % 2, TargetRisk(0.9, groupwise=True)
    base = FrozenEstimator(LogisticRegression().fit(X[:150], y[:150])) if frozen else LogisticRegression()
    clf = SelectiveClassifier(base, policy=policy, cv=2)
    clf = clf if frozen else clf.fit(X[:150], y[:150], groups=groups[:150])
    clf.fit_policy(X[150:], y[150:], groups=groups[150:])
    assert set(clf.policy_.threshold_) == {0, 1}
    assert clf.accept(X[150:], groups=groups[150:]).any()


def test_groups_that_cannot_be_certified_make_one_warning(recwarn):
    sizes = np.arange(1, 31)
    groups = np.repeat(np.arange(30), sizes)
    TargetRisk(0.01, groupwise=True).fit(np.linspace(0, 1, groups.size), np.ones(groups.size), groups=groups)
    told = [str(w.message) for w in recwarn if issubclass(w.category, UncertifiedWarning)]
    assert len(told) == 1
    assert "The group that fails is 29, with 30 samples. So do 29 other groups" in told[0]


def test_explanations_tell_the_threshold_that_decides():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 2))
    y = (X[:, 0] + 0.7 * rng.normal(size=900) > 0).astype(int)
    clf = SelectiveClassifier(cv=2).fit(X[:300], y[:300]).fit_policy(X[300:600], y[300:600], OnAverageRisk(0.1))
    for query in (X[600:], X[600:][np.abs(X[600:, 0]) > 1]):
        told = clf.explain(query)
        assert [t.accepted for t in told] == [t.score >= t.threshold for t in told]


def test_scores_that_are_missing_are_never_covered():
    light = WarningLight(-np.inf).set_reference(np.linspace(0, 1, 100))
    assert light.check([0.5, np.nan, 0.3, np.nan]).coverage == 0.5


@pytest.mark.parametrize(
    ("build", "changes"),
    [
        (abstain.CostSensitiveClassifier, [{"cost": None}, {"calibrator": None}]),
        (abstain.CostSensitiveClassifier, [{"cost": np.ones((3, 3)) - np.eye(3)}, {"calibrator": Temperature()}]),
        (abstain.HierarchicalClassifier, [{"rule": "climb"}, {"calibrator": None}, {"calibrator": Temperature()}]),
    ],
)
def test_parameters_that_are_set_after_fit_wait_for_the_next(build, changes, three):
    """Else other answers would stand under an old certificate."""
    X, y = three
    for change in changes:
        given = {"calibrator": Temperature()} if change.get("calibrator", 0) is None else {}
        given |= {"cost": np.array([[0.0, 9, 9], [1, 0, 1], [1, 1, 0]])} if change.get("cost", 0) is None else {}
        clf = quiet(build(cv=2, random_state=0, **given).fit, X, y)
        decided, proba, checked = clf.decide(X), clf.predict_proba(X), clf.check(X, y).errors
        clf.set_params(**change)
        np.testing.assert_array_equal(clf.decide(X), decided)
        np.testing.assert_array_equal(clf.predict_proba(X), proba)
        assert clf.check(X, y).errors == checked


@pytest.mark.parametrize("cv", [StratifiedShuffleSplit(5, random_state=0), StratifiedKFold(5), GroupKFold(3)])
def test_a_frozen_classifier_needs_no_folds_where_nothing_is_learnt(cv, three):
    """Else one error would be too few for a stratified splitter, and groups would be missed that nobody asks for."""
    X, y = three
    frozen = FrozenEstimator(LogisticRegression().fit(X, y))
    wrong = np.flatnonzero(frozen.predict(X) != y)[1:]
    X, y = np.delete(X, wrong, axis=0), np.delete(y, wrong)
    clf = SelectiveClassifier(frozen, policy=TargetCoverage(0.5), cv=cv).fit(X, y)
    plain = SelectiveClassifier(frozen, policy=TargetCoverage(0.5)).fit(X, y)
    np.testing.assert_array_equal(clf.accept(X), plain.accept(X))


@pytest.mark.torch
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_module_may_squeeze_its_outputs(n_classes, three):
    """A last batch of one row loses its axis, too."""
    torch = pytest.importorskip("torch", reason="needs torch: pip install '.[torch]'")

    class Squeezed(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x).squeeze()

    X = three[0][:9].astype(np.float32)
    module = Squeezed(X.shape[1], 1 if n_classes == 2 else n_classes)
    found = [abstain.torch_classifier(module, n_classes, batch_size=size).predict_proba(X) for size in (4, 9)]
    assert found[0].shape == (9, n_classes)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_an_abstention_may_be_what_pandas_calls_missing(three):
    pandas = pytest.importorskip("pandas", reason="needs pandas: pip install pandas")
    X, y = three
    decided = SelectiveClassifier(policy=TargetCoverage(0.5), cv=2, abstain_label=pandas.NA).fit(X, y).decide(X)
    assert any(label is pandas.NA for label in decided.tolist())
    assert any(label in (0, 1, 2) for label in decided.tolist() if label is not pandas.NA)
