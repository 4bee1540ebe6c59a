"""Estimator + scorer + policy: what a scorer sees, what it learns from, and how X travels."""

import contextlib

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import abstain
from abstain import CorrectnessTrust, LinearProbe, SelectiveClassifier, TargetRisk, TrustHead, linear_head
from abstain.asking import ask
from abstain.folds import make_folds
from abstain.metrics import aurc
from abstain.outputs import ClassOutputs
from abstain.scores import SIRC, MaxLogitPNorm, RelU, energy, entropy, gini, margin, max_logit, max_probability
from abstain.selective.outcomes import Outcome
from abstain.testing import CountingClassifier
from abstain.warnings import FewErrorsWarning, FlawlessWarning


def test_what_scorers_learn_from_by_hand():
    outputs = ClassOutputs([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]], classes=["a", "b", "c"])
    outcome = Outcome(outputs, outputs.answer, np.array([1, 1]), np.array([1.0, 0.0]))
    by_hand = {"correct": [False, True], "tcp": [0.3, 0.6], "tcp_ratio": [0.6, 1.0], "label": ["b", "b"]}
    assert {name: outcome.target(name).tolist() for name in by_hand} == by_hand
    assert outcome.target("outcome") is outcome


@pytest.mark.parametrize("score", [max_probability, margin, entropy, gini])
def test_functions_of_probabilities(problem, score):
    X, y, _, _, X_test, _ = problem
    model = SelectiveClassifier(LogisticRegression(), score, cv=2).fit(X, y)
    np.testing.assert_allclose(model.score_samples(X_test), score(model.predict_proba(X_test)))


@pytest.mark.parametrize("score", [max_logit, energy])
def test_logits_are_declared_never_guessed(problem, score):
    X, y, _, _, X_test, _ = problem
    base = LogisticRegression()
    with pytest.raises(ValueError, match=r'needs logits.*response_method="decision_function"'):
        SelectiveClassifier(base, score, cv=2).fit(X, y)
    model = SelectiveClassifier(base, score, cv=2, response_method="decision_function").fit(X, y)
    np.testing.assert_allclose(model.score_samples(X_test), score(model.estimator_.decision_function(X_test)))
    np.testing.assert_allclose(model.predict_proba(X_test), model.estimator_.predict_proba(X_test))


@pytest.mark.parametrize("scorer", [MaxLogitPNorm(), RelU(), SIRC(), TrustHead(random_state=0)], ids=repr)
def test_scorers_with_a_fit(problem, scorer):
    X, y, _, _, X_test, y_test = problem
    model = SelectiveClassifier(LogisticRegression(), scorer, cv=2, random_state=0).fit(X, y)
    assert model.scorer_ is not scorer
    correct = model.predict(X_test) == y_test
    assert aurc(correct, model.score_samples(X_test)) < 0.8 * (1 - correct.mean())


class LabelScorer(BaseEstimator):
    """Learns from labels and sees features; remembers what it was given."""

    sees, target = "features", "label"

    def fit(self, X, y):
        self.mean_ = np.array([X[y == c].mean(axis=0) for c in np.unique(y)])
        self.seen_ = len(X)
        return self

    def score_samples(self, X):
        return -np.linalg.norm(X[:, None] - self.mean_, axis=2).min(axis=1)


def test_a_users_scorer_and_its_held_out_scores(problem):
    X, y = problem[:2]
    model = SelectiveClassifier(LogisticRegression(), LabelScorer(), cv=3, random_state=0).fit(X, y)
    assert model.scorer_.seen_ == len(y)
    np.testing.assert_allclose(model.score_samples(X), LabelScorer().fit(X, y).score_samples(X))
    # the threshold was set on scores by scorers that had not seen the row
    folds = make_folds(3, X, y, seed=np.random.RandomState(0).randint(2**31))
    held_out = np.full(len(y), np.nan)
    for train, test in folds:
        held_out[test] = LabelScorer().fit(X[train], y[train]).score_samples(X[test])
    ranked, k = np.sort(held_out)[::-1], int(np.ceil(0.9 * len(y)))
    assert model.policy_.threshold_ == pytest.approx((ranked[k - 1] + ranked[k]) / 2)


class Coded(ClassifierMixin, BaseEstimator):
    """Classifier that takes words by itself."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))

    def predict(self, X):
        return self.classes_[np.zeros(len(X), dtype=int)]


def test_data_frames_with_strings_reach_the_estimator(problem):
    pd = pytest.importorskip("pandas", reason="needs the test extra")
    X, y = problem[:2]
    frame = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "high", "low"), "c": X[:, 2]})
    encoder = make_column_transformer((OneHotEncoder(), ["b"]), remainder="passthrough")
    model = SelectiveClassifier(make_pipeline(encoder, LogisticRegression()), cv=2).fit(frame, y)
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    assert model.decide(frame).shape == y.shape
    confident = CorrectnessTrust(make_pipeline(encoder, LogisticRegression()), head_inputs="confidence", cv=2)
    assert confident.fit(frame, y).score_samples(frame).min() >= 0
    seeing = CorrectnessTrust(make_pipeline(encoder, LogisticRegression()), cv=2).fit(frame, y)
    assert seeing.score_samples(frame).min() >= 0
    with pytest.raises(ValueError, match="could not convert string") as caught:
        CorrectnessTrust(Coded(), cv=2).fit(frame, y)
    for remedy in ("make_pipeline(transformers, CorrectnessTrust(classifier))", "backbone=", "head_inputs"):
        assert remedy in caught.value.__notes__[0]


def test_missing_values_and_sparse_data_are_the_estimators_business(problem):
    X, y = problem[:2]
    holes = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    model = SelectiveClassifier(HistGradientBoostingClassifier(max_iter=5), cv=2).fit(holes, y)
    assert np.isfinite(model.score_samples(holes)).all()
    assert model.__sklearn_tags__().input_tags.allow_nan
    sparse = SelectiveClassifier(LogisticRegression(), cv=2).fit(csr_array(X), y)
    assert sparse.decide(csr_array(X)).shape == y.shape
    headed = CorrectnessTrust(HistGradientBoostingClassifier(max_iter=5), guard=None, cv=2).fit(holes, y)
    assert headed.scorer_.n_features_in_ == 2 * X.shape[1]  # filled, and flagged
    assert np.isfinite(headed.score_samples(holes)).all()


def test_the_classifier_sees_x_and_the_head_sees_the_backbone(problem):
    X, y = problem[:2]
    backbone = FunctionTransformer(lambda Z: Z[:, :2] ** 2)
    model = CorrectnessTrust(LogisticRegression(), backbone=backbone, guard=None, cv=2, random_state=0).fit(X, y)
    assert model.estimator_.n_features_in_ == 4
    assert model.scorer_.n_features_in_ == 2
    assert model.decide(X).shape == y.shape


def test_images_travel_through_a_backbone(rng):
    images = rng.integers(0, 255, (120, 4, 4, 3), dtype=np.uint8)
    y = (images[:, 0, 0, 0] + rng.normal(scale=60, size=120) > 128).astype(int)
    flat = FunctionTransformer(lambda Z: Z.reshape(len(Z), -1) / 255.0)
    model = SelectiveClassifier(
        make_pipeline(flat, LogisticRegression()),
        TrustHead(head_inputs="confidence"),
        cv=2,
        backbone=flat,
        random_state=0,
    ).fit(images, y)
    assert model.decide(images).shape == (120,)


def test_saved_logits_need_no_network(problem):
    X, y, X_cal, y_cal, X_test, _ = problem
    net = LogisticRegression().fit(X, y)
    weight = net.coef_
    logits_cal = net.decision_function(X_cal)
    model = SelectiveClassifier(linear_head(np.eye(4)), cv=2).fit(logits_cal, y_cal)
    np.testing.assert_allclose(model.predict_proba(net.decision_function(X_test)), net.predict_proba(X_test))
    features = SelectiveClassifier(linear_head(weight, net.intercept_, net.classes_), cv=2).fit(X_cal, y_cal)
    np.testing.assert_allclose(features.predict_proba(X_test), net.predict_proba(X_test))


def test_few_errors_fall_back_to_maximum_probability(problem):
    X, y, X_cal, y_cal, X_test, _ = problem
    net = LogisticRegression().fit(X, y)
    frozen = FrozenEstimator(net)
    correct = np.flatnonzero(net.predict(X_cal) == y_cal)
    wrong = np.flatnonzero(net.predict(X_cal) != y_cal)
    for errors in (0, 19):
        rows = np.r_[correct, wrong[:errors]]
        flawless = contextlib.nullcontext() if errors else pytest.warns(FlawlessWarning, match="trained on")
        with flawless, pytest.warns(FewErrorsWarning, match=f"{errors} errors among {len(rows)}"):
            model = CorrectnessTrust(frozen, cv=2).fit(X_cal[rows], y_cal[rows])
        score, top = model.score_samples(X_test), net.predict_proba(X_test).max(axis=1)
        np.testing.assert_array_equal(np.argsort(score), np.argsort(top))
        assert 0 < score.min() < score.max() < 1
    rows = np.r_[correct, wrong[:20]]
    assert hasattr(CorrectnessTrust(frozen, cv=2, guard=None).fit(X_cal[rows], y_cal[rows]).scorer_, "layers_")


def test_report_is_on_held_out_data(problem):
    X, y = problem[:2]
    report = CorrectnessTrust(LogisticRegression(), cv=3, random_state=0).fit(X, y).report_
    assert report.n == len(y)
    assert report.low < report.difference < report.high
    assert report.difference == pytest.approx(report.score - report.baseline)
    plain = SelectiveClassifier(LogisticRegression(), cv=3, random_state=0).fit(X, y).report_
    assert plain.difference == 0
    assert plain.baseline == pytest.approx(report.baseline)


def test_large_data_go_through_in_blocks_with_one_pass(problem, monkeypatch):
    X, y = problem[:2]
    model = SelectiveClassifier(CountingClassifier(), cv=2).fit(X, y)
    whole = model.decide(X)
    monkeypatch.setattr(ask.data_blocks, "__defaults__", (4 * 64,))
    CountingClassifier.calls = 0
    np.testing.assert_array_equal(model.decide(X), whole)
    assert CountingClassifier.calls == -(-len(X) // 64)


@pytest.mark.slow
def test_a_memory_map_is_never_copied_whole(tmp_path, problem):
    """Peak memory of fit and decide on a 64 MB float32 map stays far below its size."""
    import tracemalloc

    from abstain import SteepSlopeTrust

    n, d = 20_000, 800
    rng = np.random.default_rng(0)
    X = np.lib.format.open_memmap(tmp_path / "X.npy", mode="w+", dtype=np.float32, shape=(n, d))
    for start in range(0, n, 5000):
        X[start : start + 5000] = rng.normal(size=(5000, d))
    y = (X[:, 0] + rng.normal(scale=0.7, size=n) > 0).astype(int)
    X.flush()
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    weight = np.zeros((2, d))
    weight[1, 0] = 2.0
    model = SteepSlopeTrust(linear_head(weight), cv=2, random_state=0)
    tracemalloc.start()
    model.fit(X, y).decide(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.75 * X.nbytes


def test_without_an_estimator_classifier_and_head_share_the_backbones_features(problem):
    X, y = problem[:2]
    calls = []

    def features(Z):
        calls.append(len(Z))
        return np.asarray(Z) * 2

    model = CorrectnessTrust(backbone=FunctionTransformer(features), cv=2, random_state=0).fit(X, y)
    assert calls == [len(X)]
    plain = CorrectnessTrust(cv=2, random_state=0).fit(2 * X, y)
    np.testing.assert_allclose(model.score_samples(X), plain.score_samples(2 * X))
    with pytest.raises(ValueError, match="or the files of a folder"):
        CorrectnessTrust(backbone=FunctionTransformer(features)).fit("folder", y)


def test_whole_numbers_are_not_widened_at_once(problem):
    X, y = problem[:2]
    counts = np.clip(X * 20 + 100, 0, 255).astype(np.uint8)
    whole = CorrectnessTrust(cv=2, random_state=0).fit(counts, y)
    wide = CorrectnessTrust(cv=2, random_state=0).fit(counts.astype(float), y)
    np.testing.assert_allclose(whole.score_samples(counts), wide.score_samples(counts.astype(float)), rtol=1e-6)


def test_a_backbone_that_a_clone_forgot_is_fitted_again(problem):
    X, y, *_ = problem
    fitted = StandardScaler().fit(100 * X)
    for estimator in (None, LogisticRegression()):
        again = clone(CorrectnessTrust(estimator, backbone=fitted, cv=2)).fit(X, y)
        frozen = clone(CorrectnessTrust(estimator, backbone=FrozenEstimator(fitted), cv=2)).fit(X, y)
        assert again.score_samples(X).std() > 0 < frozen.score_samples(X).std()


@pytest.mark.parametrize("name", ["estimator", "backbone"])
def test_names_are_no_parts(name, problem):
    X, y, *_ = problem
    with pytest.raises(TypeError, match=f"{name} must be None or a .*, with a method .*; got 'resnet50'"):
        CorrectnessTrust(**{name: "resnet50"}, cv=2).fit(X, y)


def test_the_default_classifier_is_logistic_regression_on_standardised_features(problem):
    X, y, _, _, X_test, _ = problem
    model = SelectiveClassifier(cv=2).fit(100 * X, y)
    assert isinstance(model.estimator_, LinearProbe)
    expected = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=1000)).fit(100 * X, y)
    np.testing.assert_allclose(model.predict_proba(100 * X_test), expected.predict_proba(100 * X_test), atol=1e-5)


@pytest.mark.parametrize("kind", ["list", "array", "series"])
def test_texts_in_any_vector(kind):
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    texts = [" ".join(rng.choice(["a1", "a2", "b1", "b2"], 3, p=[0.4, 0.3, 0.2, 0.1][:: 1 - 2 * label])) for label in y]
    if kind == "series":
        texts = pytest.importorskip("pandas").Series(texts)
    model = make_pipeline(CountVectorizer(token_pattern=r"\w+"), LogisticRegression())
    estimator = SelectiveClassifier(model, cv=2).fit(np.array(texts) if kind == "array" else texts, y)
    assert set(estimator.decide(texts)) <= {-1, 0, 1}


def test_a_fitted_model_needs_no_fit_where_nothing_is_learnt(problem):
    """The certificate is that of a model that was fitted on other rows; all rows are new to it."""
    X, y, X_cal, y_cal, X_test, _ = problem
    frozen = FrozenEstimator(LogisticRegression().fit(X, y))
    policy = TargetRisk(0.3, delta=0.1)
    for scorer in (None, margin):
        direct = SelectiveClassifier(frozen, scorer).fit_policy(X_cal, y_cal, policy)
        usual = SelectiveClassifier(frozen, scorer).fit(X, y).fit_policy(X_cal, y_cal, policy)
        assert direct.policy_.certificate_ == usual.policy_.certificate_
        assert direct.policy_.certificate_.guaranteed
        np.testing.assert_array_equal(direct.decide(X_test), usual.decide(X_test))
    assert abstain.fit_policy(SelectiveClassifier(frozen), X_cal, y_cal, policy).certificate_.guaranteed
    for needs_fit in (SelectiveClassifier(LogisticRegression()), SelectiveClassifier(frozen, TrustHead())):
        with pytest.raises(NotFittedError):
            needs_fit.fit_policy(X_cal, y_cal, policy)
    failing = SelectiveClassifier(frozen)
    with pytest.raises(ValueError, match="delta"):
        failing.fit_policy(X_cal, y_cal, TargetRisk(0.1, delta=2))
    assert not hasattr(failing, "policy_")
