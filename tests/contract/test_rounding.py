"""The certified rule is the deployed rule: no verdict hangs on rounding (C1)."""

import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_problems import quiet
from threadpoolctl import threadpool_limits

import abstain
from abstain import testing

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning", "ignore:Stochastic Optimizer")

POLICIES = {
    "risk": abstain.TargetRisk(0.1),
    "risk, sgr": abstain.TargetRisk(0.1, method="sgr"),
    "risk, bonferroni": abstain.TargetRisk(0.1, method="bonferroni"),
    "coverage": abstain.TargetCoverage(0.5),
    "coverage, delta": abstain.TargetCoverage(0.5, delta=0.1),
    "cost": abstain.RejectCost(0.2),
}


def discrete_rows(n=400, kinds=4, n_features=40, seed=0, dtype="float64"):
    """Draw rows of a few distinct kinds, each with an error rate of its own."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(size=(kinds, n_features)).astype(dtype)
    kind = rng.integers(kinds, size=n)
    wrong = rng.random(n) < np.linspace(0.02, 0.45, kinds)[kind]
    return patterns[kind], (kind + wrong) % 2, kind


def shaken(n, dtype, ulps=40, seed=0):
    """Draw factors that differ from one by a few units in the last place of a dtype."""
    eps = np.finfo(dtype).eps
    return 1 + np.random.default_rng(seed).integers(-ulps, ulps + 1, size=n) * eps


class Trembling(BaseEstimator):
    """Score that moves in its last places with the size of the batch and the place in it, as products of BLAS do."""

    sees = "features"
    target = "label"

    def __init__(self, dtype="float64", offset=0.0):
        self.dtype = dtype
        self.offset = offset

    def fit(self, X, y):
        return self

    def score_samples(self, X):
        score = np.asarray(X)[:, 0] + self.offset
        steps = (len(score) * 7 + np.arange(len(score)) * 3) % 9 - 4
        return (score * (1 + steps * np.finfo(self.dtype).eps)).astype(self.dtype)


def verdicts(fitted, X, size):
    return np.concatenate([fitted.accept(X[i : i + size]) for i in range(0, len(X), size)])


def assert_verdicts_do_not_depend_on_batches(fitted, X, sizes=(1, 2, 3, 7)):
    X = X[:60]
    whole = fitted.accept(X)
    for size in sizes:
        np.testing.assert_array_equal(verdicts(fitted, X, size), whole, err_msg=f"batches of {size}")
    order = np.random.default_rng(3).permutation(len(X))
    np.testing.assert_array_equal(fitted.accept(X[order]), whole[order])
    distinct = np.unique(X, axis=0, return_inverse=True)[1].ravel()
    for row in range(distinct.max() + 1):
        assert len(set(whole[distinct == row])) == 1, "identical rows of one batch have different verdicts"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", POLICIES)
def test_scores_that_rounding_tells_apart_are_one_candidate(name, dtype):
    _, _, kind = discrete_rows(1500)
    rng = np.random.default_rng(1)
    correct = rng.random(1500) > np.linspace(0.01, 0.45, 4)[kind]
    level = np.array([3.1, 1.7, 0.4, -2.3])[kind]
    score = (level * shaken(1500, dtype)).astype(dtype)
    policy = quiet(clone(POLICIES[name]).fit, score, correct)
    accepted = policy.accept(score)
    for k in range(4):
        assert len(set(accepted[kind == k])) == 1
    again = (level * shaken(1500, dtype, ulps=60, seed=9)).astype(dtype)
    np.testing.assert_array_equal(policy.accept(again), accepted)
    assert policy.certificate_.accepted == accepted.sum()
    assert policy.certificate_.errors == (accepted & ~correct).sum()


@pytest.mark.parametrize("name", POLICIES)
def test_thresholds_lie_in_gaps(name):
    rng = np.random.default_rng(0)
    score = rng.normal(size=800)
    correct = rng.random(800) < 0.7 + 0.3 * (score > 0)
    policy = quiet(clone(POLICIES[name]).fit, score, correct)
    threshold = policy.threshold_
    assert not np.isin(threshold, score)
    if np.isfinite(threshold):
        assert score.min() < threshold < score.max()
    np.testing.assert_array_equal(policy.accept(score * shaken(800, "float64", ulps=4)), policy.accept(score))


@pytest.mark.parametrize("name", ["risk", "coverage", "cost"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_distinct_scores_stay_apart_on_any_scale(name, scale, offset):
    rng = np.random.default_rng(0)
    plain = np.round(rng.random(600), 3)
    correct = rng.random(600) < 0.6 + 0.4 * plain
    reference = quiet(clone(POLICIES[name]).fit, plain, correct).accept(plain)
    moved = (plain + offset) * scale
    np.testing.assert_array_equal(quiet(clone(POLICIES[name]).fit, moved, correct).accept(moved), reference)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ties_at_zero_are_ties(dtype):
    rng = np.random.default_rng(0)
    level = rng.integers(-1, 2, size=900).astype(float)
    noise = rng.integers(-40, 41, size=900) * np.finfo(dtype).eps
    score = (level + noise).astype(dtype)  # rounding of values around zero is that of what they were summed from
    policy = abstain.TargetCoverage(0.5).fit(score, np.ones(900, bool))
    np.testing.assert_array_equal(policy.accept(score), level >= 0)


@pytest.mark.parametrize("name", ["risk", "coverage", "cost"])
@pytest.mark.parametrize(("dtype", "offset"), [("float64", 0.0), ("float32", 0.0), ("float64", 50.0)])
def test_a_trembling_score_has_one_verdict(name, dtype, offset):
    X, y, kind = discrete_rows(600)
    X[:, 0] = np.array([2.0, 1.0, 0.5, -1.0])[kind]
    base = FrozenEstimator(LogisticRegression().fit(X[:200], y[:200]))
    clf = abstain.SelectiveClassifier(base, Trembling(dtype, offset), policy=clone(POLICIES[name]), cv=2)
    fitted = quiet(clf.fit, X[:300], y[:300])
    assert_verdicts_do_not_depend_on_batches(fitted, X[300:])
    quiet(fitted.fit_policy, X[300:], y[300:])
    assert_verdicts_do_not_depend_on_batches(fitted, X[300:])
    certificate = fitted.policy_.certificate_
    one_by_one = verdicts(fitted, X[300:], 1)
    assert one_by_one.sum() == certificate.accepted
    assert (one_by_one & (fitted.predict(X[300:]) != y[300:])).sum() == certificate.errors


CLASSIFIERS = {
    "default": abstain.SelectiveClassifier(cv=2),
    "logistic regression": abstain.SelectiveClassifier(LogisticRegression(), cv=2),
    "naive Bayes": abstain.SelectiveClassifier(GaussianNB(var_smoothing=1e-2), cv=2),
    "network": abstain.SelectiveClassifier(MLPClassifier((16,), max_iter=20, random_state=0), cv=2),
    "forest": abstain.SelectiveClassifier(RandomForestClassifier(8, random_state=0), cv=2),
    "logits": abstain.SelectiveClassifier(LogisticRegression(), cv=2, response_method="decision_function"),
    "probe": abstain.SelectiveClassifier(abstain.LinearProbe(), cv=2),
    "Mahalanobis": abstain.SelectiveClassifier(scorer=abstain.RelativeMahalanobis(), cv=2),
    "neighbours": abstain.SelectiveClassifier(scorer=abstain.NearestNeighbours(3), cv=2),
    "ratio": abstain.SelectiveClassifier(scorer=abstain.NearestNeighbours(3, measure="ratio"), cv=2),
    "SIRC": abstain.SelectiveClassifier(scorer=abstain.SIRC(), cv=2),
    "head": abstain.CorrectnessTrust(cv=2, random_state=0),
    "steep slope": abstain.SteepSlopeTrust(cv=2, random_state=0),
    "difficulty": abstain.DifficultyAwareClassifier(cv=2, random_state=0),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_identical_rows_have_one_verdict(name, dtype):
    X, y, _ = discrete_rows(400, dtype=dtype)
    clf = clone(CLASSIFIERS[name]).set_params(policy=abstain.TargetCoverage(0.6))
    fitted = quiet(clf.fit, X[:200], y[:200])
    assert_verdicts_do_not_depend_on_batches(fitted, X[200:])
    quiet(fitted.fit_policy, X[200:], y[200:], abstain.TargetRisk(0.2, delta=0.2))
    assert_verdicts_do_not_depend_on_batches(fitted, X[200:])
    assert_verdicts_do_not_depend_on_batches(pickle.loads(pickle.dumps(fitted)), X[200:], sizes=(1, 5))


def test_identical_rows_have_one_verdict_with_auto_trust():
    X, y, _ = discrete_rows(300, dtype="float32", n_features=12)
    fitted = quiet(abstain.AutoTrust(budget="fast", cv=2, random_state=0).fit, X[:150], y[:150])
    quiet(fitted.fit_policy, X[150:], y[150:], abstain.TargetCoverage(0.6))
    assert_verdicts_do_not_depend_on_batches(fitted, X[150:], sizes=(1, 3))


@pytest.mark.torch
@pytest.mark.parametrize("name", ["SYNCClassifier", "SelectiveNetClassifier", "GamblersClassifier"])
def test_identical_rows_have_one_verdict_with_networks(name):
    X, y, _ = discrete_rows(300, dtype="float32")
    training = abstain.Training(epochs=2, device="cpu")
    fitted = quiet(
        getattr(abstain, name)(hidden=(16,), warm_up_epochs=1, training=training, random_state=0).fit, X[:150], y[:150]
    )
    quiet(fitted.fit_policy, X[150:], y[150:], abstain.TargetCoverage(0.6))
    assert_verdicts_do_not_depend_on_batches(fitted, X[150:], sizes=(1, 3))


def test_a_frozen_head_one_by_one_keeps_its_certificate():
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(3, 256)).astype("float32")
    kind = rng.integers(3, size=1200)
    y = ((rng.random(1200) < np.array([0.02, 0.09, 0.45])[kind]) ^ (kind == 1)).astype(int)
    X = patterns[kind]
    base = FrozenEstimator(abstain.LinearProbe().fit(X[:300], y[:300]))
    fitted = quiet(abstain.SelectiveClassifier(base, cv=2).fit, X[300:600], y[300:600])
    quiet(fitted.fit_policy, X[600:], y[600:], abstain.TargetRisk(0.1, delta=0.05))
    certificate = fitted.policy_.certificate_
    for size in (1, 2, 3, 5, 600):
        assert verdicts(fitted, X[600:], size).sum() == certificate.accepted


def test_pipelines_decide_alike_in_any_batch():
    X, y, _ = discrete_rows(300)
    clf = abstain.SelectiveClassifier(LogisticRegression(), policy=abstain.TargetCoverage(0.5), cv=2)
    pipeline = quiet(make_pipeline(StandardScaler(), clf).fit, X, y)
    quiet(abstain.fit_policy, pipeline, X, y)
    whole = abstain.decide(pipeline, X[:60])
    np.testing.assert_array_equal(np.concatenate([abstain.decide(pipeline, X[[i]]) for i in range(60)]), whole)


class Exact(BaseEstimator):
    """Policy whose threshold is a calibration score itself, within the copies of one row where rows have copies."""

    def fit(self, score, correct=None, **kwargs):
        self.threshold_ = float(np.sort(score)[len(score) // 2 + 4])
        return self

    def accept(self, score, groups=None):
        return np.asarray(score) >= self.threshold_


def test_the_checks_of_the_library_catch_a_rule_that_hangs_on_rounding():
    class Ours(abstain.SelectiveClassifier):
        def __init__(self, policy=None, abstain_label=None):
            super().__init__(LogisticRegression(), None, policy, 2, abstain_label=abstain_label)

        def evaluate(self, X):
            evidence = super().evaluate(X)
            return evidence._replace(score=Trembling().score_samples(evidence.score[:, None]))

    def failures(policy):
        caught = []
        for check in testing.selective_classifier_checks():
            try:
                quiet(check, Ours(policy))
            except AssertionError:
                caught.append(check.__name__)
            except Exception:
                pass  # other checks may ask for more than this classifier has
        return caught

    assert set(failures(Exact())) - set(failures(abstain.TargetCoverage(0.5)))


THREADED = {
    "default": abstain.SelectiveClassifier(cv=2),
    "relative Mahalanobis": abstain.SelectiveClassifier(scorer=abstain.RelativeMahalanobis(), cv=2),
    "a head": abstain.SteepSlopeTrust(cv=2, random_state=0),
    "automatic": abstain.AutoTrust(budget="fast", cv=2, random_state=0),
}


@pytest.mark.parametrize("name", THREADED)
def test_no_verdict_hangs_on_the_number_of_threads(name):
    X, y, _ = discrete_rows(3000, n_features=256, dtype="float32")
    with threadpool_limits(1):
        fitted = quiet(clone(THREADED[name]).fit, X[:1000], y[:1000])
        fitted.fit_policy(X[1000:2000], y[1000:2000], abstain.TargetCoverage(0.5))
        accepted = fitted.accept(X[2000:])
    assert 0 < accepted.mean() < 1
    for threads in (2, 4):
        with threadpool_limits(threads):
            np.testing.assert_array_equal(fitted.accept(X[2000:]), accepted)
