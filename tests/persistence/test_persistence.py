"""Saved and loaded: the same decisions, bit for bit, here and in another process; written whole or not at all."""

import importlib
import json
import os
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import check_array

pytest.importorskip("skops", reason="needs skops: pip install '.[io]'")

from persistence_cases import opened

import abstain
from abstain import testing
from abstain.calibration import Affine, AutoCalibrator, Isotonic, MatrixScaling, Temperature, TopLabel
from abstain.dense import ContextCalibrator, DenseCalibrator
from abstain.metrics import make_selective_scorer
from abstain.persistence import names
from abstain.persistence.soundness import reachable
from abstain.policies import Policy
from abstain.semantics import DARTS, ClassSemantics, Climb, LeafOrRoot, LeastCost, MaxCoverage, NodeSets

METHODS = ("predict", "predict_proba", "decision_function", "score_samples", "accept", "decide", "transform")
SEMANTICS = ClassSemantics.from_tree([("root", "pet"), ("pet", "cat"), ("pet", "dog"), ("root", "emu")])
pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


class Own(ClassifierMixin, BaseEstimator):
    """A classifier of the user's."""

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)

    def predict(self, X):
        return self.model_.predict(X)


@pytest.fixture(scope="module")
def problem():
    return testing.overlapping_classes(testing.LABELS["str"], n=150)


def again(model, tmp_path, **options):
    abstain.save(model, tmp_path / "model.abstain", **options)
    return abstain.load(tmp_path / "model.abstain", **options)


def answers(model, X):
    found = {}
    for name in METHODS:
        if callable(getattr(model, name, None)):
            found[name] = np.asarray(getattr(model, name)(X))
    return found


def assert_same(model, other, X):
    """Every answer has the same bits and the same dtype."""
    expected, found = answers(model, X), answers(other, X)
    assert expected
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert type(other) is type(model)
    policy = getattr(model, "policy_", None)
    if policy is not None:
        assert other.policy_.threshold_ == policy.threshold_
        assert repr(other.policy_.certificate_) == repr(policy.certificate_)


# Parity

_IMAGES = ("TimmBackbone", "FineTunedClassifier")
_HELD_OUT = ("MaxLogitPNorm", "RelU", "TrustHead", "SIRC")
FITTED = [
    c for c in testing.all_public(BaseEstimator)
    if hasattr(c, "fit") and not issubclass(c, Policy) and not hasattr(c, "fit_outputs")
    and c.__name__ not in (*_IMAGES, *_HELD_OUT)
]  # fmt: skip


@pytest.mark.parametrize("kind", FITTED, ids=lambda c: c.__name__)
def test_every_public_estimator_comes_back(kind, problem, tmp_path):
    X, y = problem
    if issubclass(kind, abstain.BaseSelectiveClassifier):
        pytest.importorskip("torch", reason="needs torch: pip install '.[torch]'")
    model = testing.small(kind)
    codes = np.unique(y, return_inverse=True)[1]
    model.fit(X, codes if kind.__name__ == "WLFClassifier" else y)
    assert_same(model, again(model, tmp_path), X)


def test_what_watches_a_promise_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    score, correct = rng.random(300), rng.random(300) > 0.02
    monitor = again(abstain.RiskMonitor(0.05).update(score > 0.5, correct), tmp_path)
    assert monitor.update(True, False).labelled_ == (score > 0.5).sum() + 1
    running = again(abstain.RunningCertificate([0.5, 0.9]).update(score, correct), tmp_path)
    assert running.update(0.95, True).labelled_.tolist() == [(score >= t).sum() + 1 for t in (0.5, 0.9)]
    light = abstain.WarningLight(0.5).set_reference(score)
    assert again(light, tmp_path).check(score[:50]) == light.check(score[:50])


def test_every_public_estimator_comes_back_unfitted(tmp_path):
    for kind in testing.all_public(BaseEstimator):
        model = kind()
        assert repr(again(model, tmp_path)) == repr(model)


def _calibrator(of, **options):
    return of(**options, **({"random_state": 0} if "random_state" in of._get_param_names() else {}))


@pytest.mark.parametrize("kind", testing.all_calibrators(), ids=lambda c: c.__name__)
def test_every_calibrator_comes_back_of_outputs_and_around_a_classifier(kind, problem, tmp_path):
    X, y = problem
    proba = LogisticRegression().fit(X, y).predict_proba(X)
    alone = _calibrator(kind, kind="proba").fit(proba, y)
    assert_same(alone, again(alone, tmp_path), proba)
    around = _calibrator(kind, estimator=LogisticRegression(), cv=2).fit(X, y)
    assert_same(around, again(around, tmp_path), X)


@pytest.mark.parametrize("kind", [MatrixScaling, AutoCalibrator])
def test_calibrators_of_many_classes_come_back(kind, tmp_path):
    """A matrix of many classes is a few directions, and a class of its own."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(500, 130))
    fitted = _calibrator(kind).fit(logits, (logits / 2 + rng.gumbel(size=logits.shape)).argmax(axis=1))
    assert_same(fitted, again(fitted, tmp_path), logits)


@pytest.mark.parametrize(
    "policy",
    [
        *(c() for c in testing.all_public(Policy)), abstain.TargetCoverage(0.8, delta=0.1),
        abstain.TargetRisk(0.2, method="sgr"), abstain.TargetRisk(0.2, method="bonferroni"),
    ],
    ids=repr,
)  # fmt: skip
def test_every_policy_comes_back_with_its_certificate(policy, tmp_path):
    rng = np.random.default_rng(0)
    score = rng.uniform(size=300)
    correct = rng.uniform(size=300) < 0.6 + 0.4 * score
    grouped = isinstance(policy, abstain.TargetRisk) and policy.method == abstain.TargetRisk().method
    policy.fit(score, correct, groups=np.arange(300) % 3 if grouped else None)
    other = again(policy, tmp_path)
    np.testing.assert_array_equal(other.accept(score), policy.accept(score))
    assert other.threshold_ == policy.threshold_
    assert repr(other.certificate_) == repr(policy.certificate_)


@pytest.mark.parametrize(
    "calibrator", [DenseCalibrator(random_state=0), ContextCalibrator(random_state=0)], ids=lambda c: type(c).__name__
)
def test_calibrators_of_maps_come_back(calibrator, tmp_path):
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(12, 8, 8))
    calibrator.fit(logits, (logits + rng.logistic(size=logits.shape) > 0).astype(int))
    other = again(calibrator, tmp_path)
    np.testing.assert_array_equal(other.predict_proba(logits), calibrator.predict_proba(logits))
    np.testing.assert_array_equal(other.transform(logits), calibrator.transform(logits))


@pytest.mark.parametrize(
    "rule", ["darts", "climb", DARTS(), Climb(), LeafOrRoot(), LeastCost(), MaxCoverage(), NodeSets()], ids=repr
)
def test_answers_at_the_nodes_of_a_tree_come_back(rule, problem, tmp_path):
    X, y = problem
    model = abstain.HierarchicalClassifier(
        LogisticRegression(), SEMANTICS, rule=rule, calibrator=Temperature(), cv=2, random_state=0
    ).fit(X, y)
    other = again(model, tmp_path)
    np.testing.assert_array_equal(other.decide(X), model.decide(X))
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))


def test_semantics_and_costs_come_back(problem, tmp_path):
    X, y = problem
    other = again(SEMANTICS, tmp_path)
    np.testing.assert_array_equal(other.classes, SEMANTICS.classes)
    cost = np.array([[0.0, 1.0, 8.0], [2.0, 0.0, 1.0], [1.0, 3.0, 0.0]])
    model = abstain.CostSensitiveClassifier(
        LogisticRegression(), cost, reject_cost=0.5, calibrator=Temperature(), cv=2, random_state=0
    ).fit(X, y)
    assert_same(model, again(model, tmp_path), X)


@pytest.mark.parametrize("budget", ["fast", "full"])
def test_automatic_trust_comes_back(budget, problem, tmp_path):
    X, y = problem
    model = abstain.AutoTrust(
        LogisticRegression(), budget=budget, scorers=[abstain.SIRC(), abstain.scores.gen], cv=2, random_state=0
    ).fit(X, y)
    other = again(model, tmp_path)
    assert_same(model, other, X)
    assert repr(other.report_) == repr(model.report_)


SELECTION = [
    abstain.SelectiveNetClassifier, abstain.SYNCClassifier, abstain.GamblersClassifier, abstain.SelfAdaptiveClassifier
]  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("way", ["joint", "post hoc"])
@pytest.mark.parametrize("kind", SELECTION, ids=lambda c: c.__name__)
def test_learnt_selection_comes_back(kind, way, problem, tmp_path):
    if way == "post hoc" and kind is abstain.SelfAdaptiveClassifier:
        pytest.skip("its classes are learnt with the selection")
    X, y = problem
    model = clone(testing.small(kind)).set_params(hidden=(8,))
    several = "coverages" in model.get_params()
    if several:
        model.set_params(coverages=[0.5])
    if way == "post hoc":
        model.set_params(estimator=FrozenEstimator(LogisticRegression().fit(X, y)))
    model.fit(X, y)
    other = again(model, tmp_path)
    assert_same(model, other, X)
    if several:
        np.testing.assert_array_equal(other.at(0.5).decide(X), model.at(0.5).decide(X))


def _pipes(*bases):
    return [(str(i), make_pipeline(PCA(2), base)) for i, base in enumerate(bases)]


def _tree():
    return DecisionTreeClassifier(max_depth=3, random_state=0)


BASES = {
    "tree": _tree(),
    "forest": RandomForestClassifier(5, max_depth=4, random_state=0),
    "extra trees": ExtraTreesClassifier(5, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=3, random_state=0),
    "boosting, stopped early": GradientBoostingClassifier(n_estimators=5, n_iter_no_change=1, random_state=0),
    "histograms": HistGradientBoostingClassifier(max_iter=3, random_state=0),
    "histograms, stopped early": HistGradientBoostingClassifier(max_iter=3, early_stopping=True, random_state=0),
    "machine": SVC(random_state=0),
    "linear machine": LinearSVC(random_state=0),
    "nu machine": NuSVC(kernel="poly", random_state=0),
    "network": MLPClassifier((5,), max_iter=5, random_state=0),
    "network by sgd": MLPClassifier((5,), max_iter=5, solver="sgd", early_stopping=True, random_state=0),
    "path of penalties": LogisticRegressionCV(Cs=2, cv=2, scoring="accuracy"),
    "naive": GaussianNB(),
    "brute neighbours": KNeighborsClassifier(algorithm="brute"),
    "one against the rest": OneVsRestClassifier(LogisticRegression()),
    "ada": AdaBoostClassifier(_tree(), n_estimators=3, random_state=0),
    "bagging": BaggingClassifier(_tree(), n_estimators=3, max_features=2, random_state=0),
    "bagging of pipelines": BaggingClassifier(make_pipeline(PCA(2), _tree()), n_estimators=2, random_state=0),
    "voting": VotingClassifier([("a", _tree()), ("b", LogisticRegression())], voting="soft"),
    "voting of forests": VotingClassifier(
        [(str(i), RandomForestClassifier(2, random_state=i)) for i in range(2)], voting="soft"
    ),
    "voting of pipelines": VotingClassifier(_pipes(_tree(), _tree()), voting="soft"),
    "stacking": StackingClassifier([("a", _tree()), ("b", GaussianNB())], cv=2),
    "stacking of pipelines": StackingClassifier(_pipes(_tree(), _tree()), cv=2),
    "grid": GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
    "random search": RandomizedSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [1, 2]}, n_iter=2, cv=2),
    "grid by name of a score": GridSearchCV(_tree(), {"max_depth": [1, 2]}, cv=2, scoring="neg_log_loss"),
    "calibrated": CalibratedClassifierCV(_tree(), cv=2),
    "calibrated, isotonic": CalibratedClassifierCV(LinearSVC(), method="isotonic", cv=2),
    "calibrated, frozen": CalibratedClassifierCV(method="temperature"),
    "sgd": SGDClassifier(loss="log_loss", random_state=0),
    "union": make_pipeline(
        FeatureUnion([("a", PCA(1)), ("b", StandardScaler())]), FunctionTransformer(check_array), LogisticRegression()
    ),
    "best columns": make_pipeline(SelectKBest(k=2), LogisticRegression()),
}  # fmt: skip


@pytest.mark.parametrize("name", BASES)
def test_classifiers_of_scikit_learn_come_back_alone_and_within(name, problem, tmp_path):
    X, y = problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = clone(BASES[name]).fit(X, y)
        response = "predict_proba" if hasattr(base, "predict_proba") else "decision_function"
        scorer = None if response == "predict_proba" else abstain.scores.max_logit
        model = abstain.SelectiveClassifier(base, scorer, cv=2, response_method=response, random_state=0).fit(X, y)
    assert_same(base, again(base, tmp_path), X)
    assert_same(model, again(model, tmp_path), X)


@pytest.mark.parametrize(
    ("base", "part"),
    [(SGDClassifier(loss="modified_huber", random_state=0), "ModifiedHuber"), (KNeighborsClassifier(), "KDTree")],
)
def test_compiled_parts_that_cannot_be_checked_are_refused_by_name(base, part, problem, tmp_path):
    with pytest.raises(TypeError, match=f"estimator cannot be saved: .*{part}"):
        abstain.save(base.fit(*problem), tmp_path / "model.abstain")


def test_two_classes_with_a_tuned_threshold_come_back(tmp_path):
    X, y = testing.overlapping_classes(testing.LABELS["bool"], n=150)
    for tuned in (
        TunedThresholdClassifierCV(LogisticRegression(), cv=2),
        TunedThresholdClassifierCV(_tree(), cv=2, random_state=0),
    ):
        model = abstain.SelectiveClassifier(tuned, cv=2, random_state=0).fit(X, y)
        assert_same(model, again(model, tmp_path), X)


@pytest.mark.parametrize("labels", testing.LABELS)
def test_labels_of_every_kind_come_back(labels, tmp_path):
    X, y = testing.overlapping_classes(testing.LABELS[labels], n=120)
    for labelled in (y, y.astype(object)) if labels == "str" else (y,):
        model = abstain.SelectiveClassifier(LogisticRegression(), cv=2, random_state=0).fit(X, labelled)
        assert_same(model, again(model, tmp_path), X)


def _frame(pd, X):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["colour"] = rng.choice(["red", "green", "blue"], len(X))
    frame["kind"] = pd.Categorical(rng.choice(["x", "y"], len(X)))
    frame.loc[::7, "a"] = np.nan
    return frame


def test_pipelines_on_frames_come_back(problem, tmp_path):
    pd = pytest.importorskip("pandas", reason="needs pandas")
    X, y = problem
    frame = _frame(pd, X)
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), list("abcd")),
            ("names", OneHotEncoder(handle_unknown="ignore"), ["colour", "kind"]),
        ],
        remainder="drop",
    )
    for last in (LogisticRegression(), RandomForestClassifier(3, random_state=0)):
        model = abstain.SelectiveClassifier(make_pipeline(columns, last), cv=2, random_state=0).fit(frame, pd.Series(y))
        other = again(model, tmp_path)
        assert_same(model, other, frame)
        np.testing.assert_array_equal(other.feature_names_in_, frame.columns)


def test_boosting_on_categories_comes_back(problem, tmp_path):
    pd = pytest.importorskip("pandas", reason="needs pandas")
    X, y = problem
    frame = _frame(pd, X)[["a", "b", "kind"]]
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype", random_state=0).fit(frame, y)
    assert_same(model, again(model, tmp_path), frame)


def test_pipelines_on_text_come_back(tmp_path):
    words, y = np.array(["a cat", "a dog", "the cat", "the dog"] * 10), np.arange(40) % 2
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(words, y)
    assert_same(model, again(model, tmp_path), words)


def test_a_machine_on_a_precomputed_kernel_comes_back(problem, tmp_path):
    X, y = problem
    kernel = X @ X.T
    model = SVC(kernel="precomputed").fit(kernel, y)
    assert_same(model, again(model, tmp_path), kernel)


@pytest.mark.parametrize("name", ["energy", "entropy", "gen", "gini", "margin", "max_logit", "max_probability"])
def test_every_score_function_comes_back(name, problem, tmp_path):
    X, y = problem
    response = "decision_function" if name in ("energy", "max_logit") else "predict_proba"
    model = abstain.SelectiveClassifier(
        LogisticRegression(), getattr(abstain.scores, name), cv=2, response_method=response, random_state=0
    ).fit(X, y)
    assert_same(model, again(model, tmp_path), X)


@pytest.mark.parametrize(
    "scorer",
    [
        abstain.MaxLogitPNorm(), abstain.RelU(), abstain.SIRC(), abstain.Mahalanobis(), abstain.RelativeMahalanobis(),
        abstain.NearestNeighbours(), abstain.NearestNeighbours(measure="ratio"), abstain.SecondOpinion(random_state=0),
        abstain.ViM(),
        pytest.param(abstain.NearestNeighbours(index="ivf", engine="faiss"), marks=pytest.mark.faiss),
        pytest.param(abstain.NearestNeighbours(index="hnsw", engine="faiss"), marks=pytest.mark.faiss),
    ],
    ids=repr,
)  # fmt: skip
def test_every_fitted_score_comes_back(scorer, problem, tmp_path):
    X, y = problem
    response = "decision_function" if isinstance(scorer, abstain.MaxLogitPNorm | abstain.ViM) else "predict_proba"
    model = abstain.SelectiveClassifier(
        LogisticRegression(), scorer, cv=2, response_method=response, random_state=0
    ).fit(X, y)
    assert_same(model, again(model, tmp_path), X)


def test_certificates_of_groups_and_clusters_come_back(problem, tmp_path):
    X, y = problem
    model = abstain.SelectiveClassifier(LogisticRegression(), cv=2, random_state=0).fit(X, y)
    X_new, y_new = testing.overlapping_classes(testing.LABELS["str"], n=200, random_state=3)
    for options in (
        {"groups": np.array(["a", "b"])[np.arange(200) % 2]}, {"clusters": np.arange(200) // 4},
    ):  # fmt: skip
        model.fit_policy(X_new, y_new, abstain.TargetRisk(0.8), **options)
        other = again(model, tmp_path)
        assert repr(other.policy_.certificate_) == repr(model.policy_.certificate_)
        manifest = opened(tmp_path / "model.abstain")[0]
        certificate = manifest["certificate"]
        assert certificate["n"] == model.policy_.certificate_.n
        threshold = model.policy_.threshold_
        assert certificate["threshold"] == (threshold if np.isfinite(threshold) else None)


def test_a_loaded_estimator_knows_old_rows_and_can_be_fitted_again(problem, tmp_path):
    X, y = problem
    model = abstain.SelectiveClassifier(LogisticRegression(), cv=2, random_state=0).fit(X, y)
    other = again(model, tmp_path)
    X_new, y_new = testing.overlapping_classes(testing.LABELS["str"], n=200, random_state=3)
    assert other.fit_policy(X_new, y_new).policy_.certificate_.disjoint is True
    assert other.fit_policy(X, y).policy_.certificate_.disjoint is False
    np.testing.assert_array_equal(clone(other).fit(X, y).decide(X), model.decide(X))


def test_a_search_over_selective_classifiers_comes_back(problem, tmp_path):
    X, y = problem
    search = GridSearchCV(
        abstain.SelectiveClassifier(LogisticRegression(), cv=2, random_state=0),
        {"policy": [abstain.TargetCoverage(0.7)]}, cv=2,
    ).fit(X, y)  # fmt: skip
    other = again(search, tmp_path)
    np.testing.assert_array_equal(abstain.decide(other, X), abstain.decide(search, X))
    with pytest.raises(TypeError, match="cannot be saved"):
        abstain.save(search.set_params(scoring=make_selective_scorer(lambda *_: 0.0)), tmp_path / "other")


def test_another_process_answers_with_the_same_bits(problem, tmp_path):
    X, y = problem
    models = {
        "auto": abstain.AutoTrust(LogisticRegression(), budget="fast", cv=2, random_state=0),
        "forest": abstain.SelectiveClassifier(RandomForestClassifier(5, random_state=0), cv=2, random_state=0),
        "neighbours": abstain.SelectiveClassifier(scorer=abstain.NearestNeighbours(), cv=2, random_state=0),
        "trust": testing.small(abstain.SteepSlopeTrust),
        "histograms": abstain.SelectiveClassifier(HistGradientBoostingClassifier(max_iter=3), cv=2, random_state=0),
        "isotonic": Isotonic(LogisticRegression(), cv=2),
        "top": TopLabel(LogisticRegression(), calibrator=Affine(), cv=2),
    }
    np.save(tmp_path / "X.npy", X)
    for name, model in models.items():
        abstain.save(model.fit(X, y), tmp_path / f"{name}.abstain")
    script = (
        "import sys, numpy as np, abstain\n"
        "X = np.load('X.npy')\n"
        "for name in sys.argv[1:]:\n"
        "    model = abstain.load(f'{name}.abstain')\n"
        "    methods = [m for m in ('predict', 'predict_proba', 'score_samples', 'decide') if hasattr(model, m)]\n"
        "    np.savez(f'{name}.npz', **{m: getattr(model, m)(X) for m in methods})\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", script, *models], cwd=tmp_path, env=environment, check=True)
    for name, model in models.items():
        with np.load(tmp_path / f"{name}.npz", allow_pickle=False) as found:
            assert {"predict", "predict_proba"} <= set(found.files)
            for method in found.files:
                np.testing.assert_array_equal(found[method], getattr(model, method)(X), err_msg=f"{name}.{method}")


def test_names_are_classes_and_functions_that_are_there():
    known = names.classes() | frozenset().union(*names.WAYS.values())
    assert len(known) > 200
    for name in sorted(known):
        module, _, attribute = name.rpartition(".")
        assert callable(getattr(importlib.import_module(module), attribute)), name
    for name in names.OWN | names.WAYS["FunctionNode"]:
        module, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(module), attribute).__module__ == module, name


@pytest.mark.slow
def test_automatic_trust_on_digits_is_small(tmp_path):
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    model = abstain.AutoTrust(random_state=0).fit(X[:900], y[:900])
    abstain.save(model, tmp_path / "digits.abstain")
    assert (tmp_path / "digits.abstain").stat().st_size <= 3 * 2**20
    np.testing.assert_array_equal(abstain.load(tmp_path / "digits.abstain").decide(X[900:]), model.decide(X[900:]))


# Networks


@pytest.fixture
def network(tmp_path):
    """A backbone whose weights are in a file."""
    pytest.importorskip("timm", reason="needs timm: pip install '.[vision]'")
    import timm
    import torch

    torch.manual_seed(7)
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")
    return abstain.TimmBackbone(
        "test_resnet", weights=tmp_path / "weights.pth", input_size=32, batch_size=16, device="cpu"
    )


@pytest.fixture
def images():
    from bars import bars

    return bars(24)


@pytest.mark.vision
def test_weights_go_with_a_backbone_and_are_stored_once(network, images, tmp_path):
    X, y = images
    model = abstain.SelectiveClassifier(
        make_pipeline(FrozenEstimator(network), abstain.LinearProbe()), backbone=network, cv=2, random_state=0
    ).fit(X, y)
    features, decided = network.transform(X), model.decide(X)
    abstain.save(model, tmp_path / "model.abstain")
    abstain.save(network, tmp_path / "network.abstain")
    (tmp_path / "weights.pth").unlink()
    other, alone = abstain.load(tmp_path / "model.abstain"), abstain.load(tmp_path / "network.abstain")
    np.testing.assert_array_equal(alone.transform(X), features)
    np.testing.assert_array_equal(other.decide(X), decided)
    with zipfile.ZipFile(tmp_path / "model.abstain") as one, zipfile.ZipFile(tmp_path / "network.abstain") as two:
        weights = one.getinfo("weights.safetensors").file_size
        assert weights == two.getinfo("weights.safetensors").file_size > 10**5
    assert sum(isinstance(part, abstain.TimmBackbone) for part in reachable(other)) >= 1
    abstain.save(alone, tmp_path / "again.abstain")
    np.testing.assert_array_equal(abstain.load(tmp_path / "again.abstain").transform(X), features)


@pytest.mark.vision
def test_a_clone_of_a_loaded_backbone_keeps_its_weights(network, images, tmp_path):
    X, _ = images
    loaded = again(network, tmp_path)
    for other in (clone(loaded), clone(FrozenEstimator(loaded))):
        np.testing.assert_array_equal(other.transform(X), network.transform(X))
    with pytest.raises(NotFittedError, match="has none"):
        abstain.TimmBackbone(loaded.model_name, weights="kept").transform(X)


@pytest.mark.vision
def test_random_weights_are_drawn_again_and_not_stored(images, tmp_path):
    from bars import backbone

    model = backbone()
    other = again(model, tmp_path)
    np.testing.assert_array_equal(other.transform(images[0]), model.transform(images[0]))
    assert len(opened(tmp_path / "model.abstain")[3]) < 100


@pytest.mark.vision
@pytest.mark.parametrize(
    "kind",
    [abstain.FineTunedClassifier, abstain.SteepSlopeTrust, abstain.SYNCClassifier, abstain.GamblersClassifier],
    ids=lambda c: c.__name__,
)
def test_what_was_trained_with_its_backbone_comes_back(kind, tmp_path):
    pytest.importorskip("timm", reason="needs timm: pip install '.[vision]'")
    from bars import backbone, bars, hidden_bars

    X, y = hidden_bars(80)
    knobs = abstain.FineTuning(epochs=1, batch_size=16, lr=3e-3, device="cpu")
    options = {"backbone": backbone(), "training": knobs, "random_state": 0}
    if kind is not abstain.FineTunedClassifier:
        options["fit_backbone"] = True
    if issubclass(kind, abstain.SteepSlopeTrust):
        probe = make_pipeline(FrozenEstimator(backbone()), abstain.LinearProbe()).fit(*bars(60, seed=3))
        options["estimator"] = FrozenEstimator(probe)
    model = kind(**options).fit(X, y)
    other = again(model, tmp_path)
    for method in ("predict_proba", "score_samples", "decide"):
        if hasattr(model, method):
            np.testing.assert_array_equal(getattr(other, method)(X[:20]), getattr(model, method)(X[:20]))


# What cannot be saved, and what is in a file


def _unsaveable(what, tmp_path):
    """Return an estimator that holds what has no place in a file, and the name that the message says."""
    if what == "lambda":
        return abstain.SelectiveClassifier(LogisticRegression(), lambda proba: proba.max(axis=1), cv=2), "lambda"
    if what == "own class":
        return abstain.SelectiveClassifier(Own(), cv=2), "Own"
    model = abstain.SelectiveClassifier(LogisticRegression(), cv=2)
    if what == "open file":
        model.log = (tmp_path / "log").open("w")
        return model, "TextIOWrapper"
    torch = pytest.importorskip("torch", reason="needs torch: pip install '.[torch]'")
    model.network = torch.nn.Linear(2, 2)
    return model, "torch"


@pytest.mark.parametrize(
    "what",
    [
        "lambda",
        "own class",
        "open file",
        "torch module",
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_cannot_be_saved_is_named_and_leaves_everything_as_it_was(what, problem, tmp_path):
    model, name = _unsaveable(what, tmp_path)
    model.fit(*problem)
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "model.abstain"
    path.write_bytes(b"what was there")
    with pytest.raises(TypeError, match=f"(?s)estimator cannot be saved.*{name}"):
        abstain.save(model, path)
    assert path.read_bytes() == b"what was there"
    assert list(folder.iterdir()) == [path]


def test_classes_of_ones_own_are_trusted_by_name(problem, tmp_path):
    X, y = problem
    model = abstain.SelectiveClassifier(Own(), cv=2, random_state=0).fit(X, y)
    trusted = [f"{Own.__module__}.Own"]
    assert_same(model, again(model, tmp_path, trusted=trusted), X)
    with pytest.raises(ValueError, match=r"holds .*Own.*trusted="):
        abstain.load(tmp_path / "model.abstain")
    with pytest.raises(ValueError, match=r"holds .*Own"):
        abstain.load(tmp_path / "model.abstain", trusted=["other.Own"])


def test_a_manifest_says_what_is_promised(problem, tmp_path):
    import hashlib

    X, y = problem
    model = abstain.SelectiveClassifier(LogisticRegression(), policy=abstain.TargetRisk(0.4), cv=2).fit(X, y)
    abstain.save(model, tmp_path / "model.abstain")
    with zipfile.ZipFile(tmp_path / "model.abstain") as archive:
        assert sorted(archive.namelist()) == ["manifest.json", "model.skops", "weights.safetensors"]
        manifest = json.loads(archive.read("manifest.json"))
        hashes = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()[1:]}
    assert manifest["format"] == 1
    assert manifest["class"] == "abstain.selective.classifier.SelectiveClassifier"
    assert manifest["sha256"] == hashes
    assert manifest["versions"]["abstain"] == abstain.__version__
    assert {"python", "numpy", "scipy", "scikit-learn", "skops"} <= set(manifest["versions"])
    assert manifest["certificate"]["n"] == model.policy_.certificate_.n
    abstain.save(LogisticRegression().fit(X, y), tmp_path / "plain.abstain")
    assert opened(tmp_path / "plain.abstain")[0]["certificate"] is None


@pytest.mark.parametrize("function", ["replace", "fsync", "chmod"])
def test_a_write_that_fails_leaves_the_old_file_whole(function, problem, tmp_path, monkeypatch):
    X, y = problem
    model = abstain.SelectiveClassifier(LogisticRegression(), cv=2, random_state=0).fit(X, y)
    path = tmp_path / "model.abstain"
    abstain.save(model, path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(OSError, match="disk is full"):
            abstain.save(abstain.SelectiveClassifier(GaussianNB(), cv=2).fit(X, y), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.abstain"]
    assert_same(model, abstain.load(path), X)


def test_a_file_is_written_over_and_folders_are_made(problem, tmp_path):
    X, y = problem
    path = tmp_path / "new" / "folder" / "model.abstain"
    for model in (LogisticRegression().fit(X, y), GaussianNB().fit(X, y)):
        abstain.save(model, str(path))
        assert_same(model, abstain.load(str(path)), X)
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_without_skops_the_install_command_is_named(problem, tmp_path, monkeypatch):
    path = tmp_path / "model.abstain"
    model = LogisticRegression().fit(*problem)
    abstain.save(model, path)
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(ImportError, match="pip install 'skops>="):
        abstain.load(path)
    with pytest.raises(ImportError, match="pip install 'skops>="):
        abstain.save(model, path)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        abstain.load(tmp_path / "nothing")


def test_folders_and_files_of_a_backbone_stay_behind(tmp_path):
    model = abstain.TimmBackbone("test_resnet", weights="random", cache=tmp_path / "features")
    found = again(model, tmp_path)
    assert found.cache is None
    assert found.weights == "random"


@pytest.mark.parametrize(
    "options",
    [{"cache": "/tmp/elsewhere"}, {"weights": "/etc/passwd"}, {"pretrained": True, "weights": "kept"}],
    ids=str,
)
def test_a_backbone_that_would_open_files_when_it_is_used_is_refused(options, tmp_path, monkeypatch):
    model = abstain.TimmBackbone("test_resnet", **options)
    monkeypatch.delattr(abstain.TimmBackbone, "__getstate__")  # which leaves them out
    abstain.save(model, tmp_path / "model.abstain")
    with pytest.raises(ValueError, match="would read or write files of its own choice"):
        abstain.load(tmp_path / "model.abstain")


@pytest.mark.torch
def test_a_torch_module_is_refused_with_what_to_do(tmp_path):
    import torch

    classifier = abstain.torch_classifier(torch.nn.Linear(3, 2), np.arange(2))
    for estimator in (classifier, abstain.SelectiveClassifier(classifier)):
        with pytest.raises(TypeError, match=r"holds a torch module \(torch.nn.*saved_outputs\(classes\) in its place"):
            abstain.save(estimator, tmp_path / "module")
