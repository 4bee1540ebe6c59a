"""Features of pipelines, of transformers to be fitted, sparse and with gaps: found, not leaking, and used once."""

import warnings
from functools import partial

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectFromModel, SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, OneHotEncoder, StandardScaler, TargetEncoder
from small_problems import Sampler, SamplerPipeline, overlapping, quiet

import abstain
from abstain import AutoTrust, CorrectnessTrust, SelectiveClassifier, SteepSlopeTrust
from abstain.calibration import Temperature
from abstain.scores import RelativeMahalanobis
from abstain.selective.features import FeatureTable, has_transformers, learns_from_labels, split

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


def logistic(*steps):
    return make_pipeline(*steps, LogisticRegression())


def mixed_frame(n=400, seed=0):
    """A frame of numbers, gaps and words, with a rule that a linear classifier misses where the town is "a"."""
    pd = pytest.importorskip("pandas", reason="needs the test extra")
    rng = np.random.default_rng(seed)
    numbers, town = rng.normal(size=(n, 3)), rng.choice(list("abcd"), n)
    y = np.where(numbers[:, 0] + np.where(town == "a", 3 * np.sign(rng.normal(size=n)), 0) > 0, "yes", "no")
    frame = pd.DataFrame(numbers, columns=list("uvw")).assign(town=town)
    frame.loc[::9, "v"] = np.nan
    return frame, y


def columns(words=None):
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["u", "v", "w"]), (words or OneHotEncoder(), ["town"])
    )


@pytest.mark.parametrize("method", [SteepSlopeTrust, AutoTrust])
def test_a_frozen_pipeline_inside_is_the_same_as_its_transformers_outside(method):
    frame, y = mixed_frame()
    base = logistic(columns()).fit(frame[:150], y[:150])
    inside = method(FrozenEstimator(base), cv=2, random_state=0).fit(frame[150:], y[150:])
    outside = make_pipeline(FrozenEstimator(base[:-1]), method(FrozenEstimator(base[-1]), cv=2, random_state=0))
    outside.fit(frame[150:], y[150:])
    np.testing.assert_array_equal(inside.score_samples(frame), outside.score_samples(frame))
    np.testing.assert_array_equal(inside.predict(frame), base.predict(frame))


def test_evidence_in_a_column_of_words_is_found():
    frame, y = mixed_frame(1200)
    trust = CorrectnessTrust(logistic(columns()), cv=3, random_state=0).fit(frame[:800], y[:800])
    score, town = trust.score_samples(frame[800:]), frame["town"][800:]
    assert score[town == "a"].mean() < score[town != "a"].mean() - 0.2
    blind = CorrectnessTrust(logistic(columns()), head_inputs="confidence", cv=3, random_state=0)
    blind.fit(frame[:800], y[:800])
    right = trust.predict(frame[800:]) == y[800:]
    assert abstain.metrics.aurc(right, score) < 0.7 * abstain.metrics.aurc(right, blind.score_samples(frame[800:]))


ROUTES = {
    "pipeline": lambda: logistic(columns()),
    "frozen": lambda: FrozenEstimator(logistic(columns()).fit(*mixed_frame(seed=1))),
    "search": lambda: GridSearchCV(logistic(columns()), {"logisticregression__C": [0.1, 1.0]}, cv=2),
    "nested": lambda: make_pipeline(columns(), logistic(StandardScaler(), PCA(4))),
    "passthrough": lambda: Pipeline([("c", columns()), ("p", "passthrough"), ("l", LogisticRegression())]),
    "words by target": lambda: logistic(columns(TargetEncoder())),
    "calibrated": lambda: CalibratedClassifierCV(logistic(columns()), cv=2),
    "calibrated once": lambda: CalibratedClassifierCV(logistic(columns()), cv=2, ensemble=False),
    "calibrated around it": lambda: CalibratedClassifierCV(ROUTES["frozen"]()),
    "calibrated, frozen": lambda: FrozenEstimator(ROUTES["calibrated"]().fit(*mixed_frame(seed=1))),
    "a threshold": lambda: FixedThresholdClassifier(logistic(columns()), threshold=0.4),
    "a tuned threshold": lambda: TunedThresholdClassifierCV(logistic(columns()), cv=2, random_state=0),
    "a threshold of a search": lambda: FixedThresholdClassifier(ROUTES["search"](), threshold=0.4),
    "our calibrator": lambda: Temperature(logistic(columns()), cv=2, random_state=0),
    "our calibrator, frozen": lambda: FrozenEstimator(ROUTES["our calibrator"]().fit(*mixed_frame(seed=1))),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", [SteepSlopeTrust, partial(AutoTrust, budget="fast")], ids=["head", "AutoTrust"])
def test_every_kind_of_pipeline_is_gone_through(method, route):
    frame, y = mixed_frame()
    trust = method(ROUTES[route](), cv=2, random_state=0).fit(frame, y)
    score = trust.score_samples(frame)
    assert np.isfinite(score).all()
    np.testing.assert_array_equal(trust.predict(frame), trust.estimator_.predict(frame))
    np.testing.assert_allclose(trust.score_samples(frame[:5]), score[:5], rtol=1e-6)
    if route != "words by target":  # an encoder that shuffles, of which only some versions take a seed
        np.testing.assert_array_equal(clone(trust).fit(frame, y).score_samples(frame), score)


def test_resampling_steps_are_passed_by():
    X, y = overlapping(300)
    base = SamplerPipeline([("s", Sampler()), ("scale", StandardScaler()), ("last", LogisticRegression())])
    base.__dict__["_estimator_type"] = "classifier"
    trust = quiet(SteepSlopeTrust(base, cv=2).fit, X, y)
    assert np.isfinite(trust.score_samples(X)).all()


class Counted(TransformerMixin, BaseEstimator):
    """Transformer that counts the rows that it is asked for."""

    asked = 0

    def fit(self, X, y=None):
        self.mean_ = np.mean(X, axis=0)
        return self

    def transform(self, X):
        Counted.asked += len(X)
        return X - self.mean_


@pytest.mark.parametrize("frozen", [True, False])
def test_a_pipeline_is_gone_through_once_for_a_decision(frozen):
    X, y = overlapping(300)
    base = logistic(Counted())
    trust = CorrectnessTrust(FrozenEstimator(base.fit(X, y)) if frozen else base, cv=2, guard=None)
    Counted.asked = 0
    trust.fit(X, y)
    if frozen:
        assert Counted.asked == 300
    Counted.asked = 0
    trust.decide(X[:7])
    assert Counted.asked == 7


class Remembers(TransformerMixin, BaseEstimator):
    """Transformer that gives away the labels of the rows that it was fitted on."""

    def fit(self, X, y):
        self.labels_ = {row.tobytes(): float(label) for row, label in zip(X, y, strict=True)}
        return self

    def transform(self, X):
        return np.column_stack([X, [self.labels_.get(row.tobytes(), 0.5) for row in X]])


@pytest.mark.parametrize("where", ["pipeline", "threshold", "backbone", "backbone alone"])
def test_labels_that_a_transformer_has_seen_do_not_leak_into_trust(where):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 3)), rng.integers(0, 2, 400)  # nothing to be learnt
    arguments = {
        "pipeline": {"estimator": logistic(Remembers())},
        "threshold": {"estimator": FixedThresholdClassifier(logistic(Remembers()), threshold=0.5)},
        "backbone": {"estimator": LogisticRegression(), "backbone": Remembers()},
        "backbone alone": {"backbone": Remembers()},
    }[where]
    trust = CorrectnessTrust(**arguments, cv=4, guard=None, random_state=0).fit(X, y)
    assert trust.report_.score > 0.4  # AURC of guessing is .5, and that of a head that sees labels 0


@pytest.mark.parametrize("around", [lambda base: CalibratedClassifierCV(base, cv=2), Temperature, logistic])
def test_steps_that_are_frozen_stay_as_they_are_inside_whatever(around):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 20))
    y = (X[:, 0] + rng.normal(size=600) > 0).astype(int)
    base = make_pipeline(SelectKBest(k=3), LinearDiscriminantAnalysis(), LogisticRegression()).fit(X[:200], y[:200])
    classifier = around(FrozenEstimator(base[:-1] if around is logistic else base))
    trust = CorrectnessTrust(classifier, head_inputs="features", cv=4, guard=None, random_state=0).fit(X[200:], y[200:])
    seen = base[:-1].transform(X[200:])
    assert trust.scorer_.mean_ == pytest.approx(seen.mean(axis=0))
    assert trust.scorer_.scale_ == pytest.approx(seen.std(axis=0))


@pytest.mark.parametrize("inner", [LogisticRegression, lambda: logistic(StandardScaler())])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_threshold_that_was_not_fitted_itself_is_seen_through(inner, frozen):
    X, y = overlapping(300)
    fitted = inner().fit(X[:100], y[:100])
    classifier = FixedThresholdClassifier(FrozenEstimator(fitted) if frozen else fitted, threshold=0.4)
    trust = SteepSlopeTrust(FrozenEstimator(classifier), cv=2, random_state=0).fit(X[100:], y[100:])
    assert np.isfinite(trust.score_samples(X)).all()
    np.testing.assert_array_equal(trust.predict(X), classifier.predict(X))


@pytest.mark.parametrize(
    "around",
    [lambda base: CalibratedClassifierCV(base, cv=2), lambda base: FixedThresholdClassifier(base), Temperature],
)
def test_gaps_that_a_classifier_inside_takes_are_filled(around):
    X, y = overlapping(400)
    X[::7, 0] = np.nan
    trust = SteepSlopeTrust(around(HistGradientBoostingClassifier(max_iter=5)), cv=2, random_state=0).fit(X, y)
    assert np.isfinite(trust.score_samples(X)).all()


def test_a_backbone_that_learns_is_fitted_without_the_rows_that_are_held_out():
    X, y = overlapping(400)
    words = np.floor(np.abs(X[:, :1]) * 5)
    trust = CorrectnessTrust(LogisticRegression(), backbone=TargetEncoder(), cv=4).fit(words, y)
    assert trust.backbone_ is not trust.backbone
    assert not hasattr(trust.backbone, "encodings_")
    assert np.isfinite(trust.score_samples(words)).all()


def test_a_backbone_to_be_fitted_and_no_classifier_are_a_pipeline():
    X, y = overlapping(200)
    trust = SelectiveClassifier(backbone=PCA(2), cv=2).fit(X, y)
    assert [name for name, _ in trust.estimator_.steps] == ["pca", "linearprobe"]
    np.testing.assert_array_equal(trust.predict(X), trust.estimator_.predict(X))


def test_a_refit_with_another_backbone_is_a_fit_of_its_own():
    X, y = overlapping(200)
    fitted, open_ = StandardScaler().fit(100 * X), PCA(2)
    for first, second in ((fitted, open_), (open_, fitted), (open_, None)):
        again = CorrectnessTrust(backbone=first, cv=2, random_state=0).fit(X, y).set_params(backbone=second).fit(X, y)
        alone = CorrectnessTrust(backbone=second, cv=2, random_state=0).fit(X, y)
        np.testing.assert_array_equal(again.score_samples(X), alone.score_samples(X))
    model = CorrectnessTrust(backbone=open_, cv=2, random_state=0).fit(X, y)
    said = model.score_samples(X)
    open_.fit(X)  # of no consequence for what was fitted
    np.testing.assert_array_equal(model.score_samples(X), said)


LABEL_FREE = [
    StandardScaler(), PCA(2), TruncatedSVD(2), SimpleImputer(), Normalizer(), FunctionTransformer(np.abs), Counted(),
    FrozenEstimator(SelectKBest(k=1)), abstain.TimmBackbone("resnet18"),
]  # fmt: skip
LABELLED = [SelectKBest(k=1), TargetEncoder(target_type="binary"), SelectFromModel(LogisticRegression()), Remembers()]


@pytest.mark.parametrize("transformer", [*LABEL_FREE, *LABELLED], ids=lambda t: type(t).__name__)
def test_transformers_that_learn_from_labels_are_told_by_exchanging_labels(transformer):
    X, y = overlapping(100, n_features=12, gap=0.7)
    assert learns_from_labels([transformer], X, y) == (transformer in LABELLED)


def test_the_seeds_of_a_trial_are_those_of_the_trial_alone():
    from sklearn.random_projection import GaussianRandomProjection

    X, y = overlapping(100, n_features=8)
    assert not learns_from_labels([GaussianRandomProjection(4)], X, y)


class Widths(TransformerMixin, BaseEstimator):
    """Selects more columns of more rows, and centres them at a class."""

    def fit(self, X, y):
        self.k_, self.centre_ = len(X) // 80, X[y == 1].mean()
        return self

    def transform(self, X):
        return X[:, : self.k_] - self.centre_


def test_columns_that_differ_from_fold_to_fold_are_refused_with_a_remedy():
    X, y = overlapping(400, n_features=8)
    with pytest.raises(ValueError, match=r"Widths learn from labels, .*head_inputs="):
        CorrectnessTrust(logistic(Widths()), cv=2).fit(X, y)


def test_other_columns_of_the_same_number_are_refused_too():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 40))
    y = (X @ rng.normal(size=40) * 0.2 + rng.normal(size=400) > 0).astype(int)
    with pytest.raises(ValueError, match="SelectKBest learn from labels, and give other columns"):
        CorrectnessTrust(logistic(SelectKBest(k=6)), cv=3).fit(X, y)
    CorrectnessTrust(FrozenEstimator(logistic(SelectKBest(k=6)).fit(X, y)), cv=3).fit(X, y)


def test_a_frame_of_texts_is_not_taken_for_one_row():
    pd = pytest.importorskip("pandas")
    documents, y = texts(100)
    trust = CorrectnessTrust(logistic(TfidfVectorizer()), cv=2).fit(documents, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of scikit-learn, of names of columns
        with pytest.raises(ValueError, match="has 8 rows, of which the transformers of the pipeline made 1"):
            trust.decide(pd.DataFrame({"text": documents[:8]}))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("method", [SelectiveClassifier, CorrectnessTrust, AutoTrust])
def test_rows_of_mixed_frames_that_are_refused_are_abstained_on(method, bad):
    frame, y = mixed_frame()
    frame = frame.fillna({"v": 0.0})
    base = logistic(make_column_transformer((StandardScaler(), ["u", "v", "w"]), (OneHotEncoder(), ["town"])))
    trust = method(base, cv=2, random_state=0).fit(frame, y)
    query = frame[:40].copy()
    query.loc[7, "u"] = bad
    query.loc[23, "town"] = "elsewhere"  # which the encoder refuses
    score = trust.score_samples(query)
    assert np.flatnonzero(np.isnan(score)).tolist() == [7, 23]
    np.testing.assert_allclose(score[:7], trust.score_samples(frame[:7]), rtol=1e-6)
    assert [str(e) for e in trust.explain(query)][7] == "abstains: the row cannot be scored"
    assert quiet(trust.fit_policy, query, y[:40]).policy_.certificate_.unscored == 2


def test_texts_that_are_none_are_abstained_on_and_data_that_do_not_fit_are_refused():
    documents, y = texts(100)
    trust = CorrectnessTrust(logistic(TfidfVectorizer()), cv=2).fit(documents, y)
    score = trust.score_samples([*documents[:3], None, documents[4]])
    assert np.isnan(score).tolist() == [False, False, False, True, False]
    frame, labels = mixed_frame()
    tabular = CorrectnessTrust(logistic(columns()), cv=2).fit(frame, labels)
    with pytest.raises(ValueError, match="missing"):
        tabular.decide(frame[["u", "town"]])


def texts(n=300, seed=0):
    rng = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(200)]
    documents = [" ".join(rng.choice(words, 30)) for _ in range(n)]
    return documents, np.array([("w3" in d.split()) != ("w5" in d.split()) for d in documents])


@pytest.mark.parametrize("method", [CorrectnessTrust, AutoTrust])
def test_texts(method):
    documents, y = texts()
    trust = method(logistic(TfidfVectorizer()), cv=2, random_state=0).fit(documents[:200], y[:200])
    assert trust.features_.reducer_.n_components == 100
    assert trust.decide(documents[200:]).shape == (100,)
    one_by_one = [trust.score_samples([document])[0] for document in documents[200:]]
    np.testing.assert_allclose(trust.score_samples(documents[200:]), one_by_one, rtol=1e-6)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array, sparse.csc_array, sparse.coo_array])
@pytest.mark.parametrize("method", [CorrectnessTrust, AutoTrust])
def test_sparse_data_say_what_the_same_dense_data_say(method, container):
    X, y = overlapping(300, n_features=6)
    X[np.abs(X) < 0.5] = 0
    dense = method(LogisticRegression(), cv=2, random_state=0).fit(X, y)
    thin = method(LogisticRegression(), cv=2, random_state=0).fit(container(X), y)
    with_features = CorrectnessTrust(LogisticRegression(), cv=2, guard=None, random_state=0)
    np.testing.assert_allclose(
        clone(with_features).fit(container(X), y).score_samples(container(X)),
        clone(with_features).fit(X, y).score_samples(X), rtol=1e-4,
    )  # fmt: skip
    np.testing.assert_array_equal(thin.predict(container(X)), dense.predict(X))


def test_wide_sparse_columns_are_reduced_and_gaps_in_them_count_as_nothing():
    rng = np.random.default_rng(0)
    X = sparse.csr_array(np.where(rng.random((60, 500)) < 0.05, rng.random((60, 500)), 0))
    table = FeatureTable(gaps=True).fit(X)
    assert table.transform(X).shape == (60, 59)
    holed = X.copy()
    holed.data[:5] = np.nan
    zeroed = X.copy()
    zeroed.data[:5] = 0
    np.testing.assert_array_equal(table.transform(holed), table.transform(zeroed))
    assert np.isnan(holed.data[:5]).all()


def test_gaps_that_the_last_step_takes_are_filled_and_flagged():
    X, y = overlapping(300)
    X[::3, 1] = np.nan
    base = make_pipeline(FunctionTransformer(np.negative), HistGradientBoostingClassifier(max_iter=5, random_state=0))
    trust = CorrectnessTrust(base, cv=2, guard=None, random_state=0).fit(X, y)
    assert trust.features_.transform(X).shape == (300, 5)  # with a flag
    assert np.isfinite(trust.score_samples(X)).all()
    gap = X[:1].copy()
    gap[0, 3] = np.nan  # of a column that had none
    assert np.isfinite(trust.score_samples(gap)).all()


def test_a_row_that_the_transformers_refuse_is_abstained_on():
    X, y = overlapping(300)
    trust = CorrectnessTrust(logistic(StandardScaler()), cv=2, random_state=0).fit(X, y)
    broken = X[:20].copy()
    broken[3, 0] = np.inf
    assert np.flatnonzero(np.isnan(trust.score_samples(broken))).tolist() == [3]


def test_scorers_of_features_are_shown_those_of_the_last_step():
    X, y = overlapping(300)
    inner = SelectiveClassifier(logistic(PCA(2)), RelativeMahalanobis(), cv=2).fit(X, y)
    steps, last = split(inner.estimator_)
    assert len(steps) == 1
    assert inner.scorer_.n_features_in_ == 2 == last.n_features_in_


def test_what_has_transformers():
    assert has_transformers(logistic(PCA()))
    assert has_transformers(FrozenEstimator(GridSearchCV(logistic(PCA()), {})))
    assert has_transformers(make_pipeline(logistic(PCA())))
    for one in (LogisticRegression(), logistic(), GridSearchCV(LogisticRegression(), {})):
        assert not has_transformers(one)


def test_a_saved_trust_in_a_pipeline_says_the_same(tmp_path):
    pytest.importorskip("skops")
    frame, y = mixed_frame()
    trust = CorrectnessTrust(logistic(columns()), cv=2, guard=None, random_state=0).fit(frame, y)
    path = abstain.save(trust, tmp_path / "trust.abstain")
    np.testing.assert_array_equal(abstain.load(path or tmp_path / "trust.abstain").decide(frame), trust.decide(frame))


def test_an_exported_pipeline_decides_as_it_did():
    torch = pytest.importorskip("torch")
    X, y = overlapping(400)
    trust = CorrectnessTrust(logistic(StandardScaler(), PCA(3)), cv=2, guard=None, random_state=0).fit(X, y)
    _, proba, score, _ = abstain.to_torch(trust)(torch.from_numpy(X).float())
    proba, score = proba.detach(), score.detach()
    np.testing.assert_allclose(score.numpy(), trust.score_samples(X), atol=1e-5)
    np.testing.assert_allclose(proba.numpy(), trust.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize(
    ("X", "message"), [("a good film", "X is one text or path, 'a good film'"), ([], "no samples")]
)
def test_one_text_and_no_text_are_explained(X, message):
    texts, y = ["good film", "bad film", "nice", "awful"] * 20, [1, 0, 1, 0] * 20
    model = SelectiveClassifier(make_pipeline(TfidfVectorizer(), LogisticRegression()), cv=2).fit(texts, y)
    for act in (model.decide, model.predict, model.score_samples, lambda X: model.fit(X, y)):
        with pytest.raises(ValueError, match=message):
            act(X)
