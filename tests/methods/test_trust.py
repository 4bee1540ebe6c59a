"""The presets: nothing but constants, the papers' protocol as an option, and honest company."""

import ast
import inspect

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

import abstain
from abstain import CorrectnessTrust, FocalTrust, SteepSlopeTrust, TCPTrust, Training
from abstain.datasets import load_hard_digits, make_known_posterior
from abstain.heads.confidence import RecalibratedConfidence
from abstain.heads.faded import FadedHead
from abstain.metrics import aurc, bootstrap_ci, expected_calibration_error
from abstain.scores import max_probability

PAPER = {"head_inputs": "features", "outcomes": "training", "guard": None}
PRESETS = [SteepSlopeTrust, TCPTrust, CorrectnessTrust, FocalTrust]


@pytest.fixture(scope="module")
def digits():
    return load_hard_digits(noise=8.0, random_state=0)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_a_constructor_and_a_hook(preset):
    tree = ast.parse(inspect.getsource(preset)).body[0]
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [f.name for f in functions] == ["__init__", "_make_scorer"]
    assert len(tree.body) == 3
    assert all(isinstance(statement, ast.Assign) for statement in functions[0].body)
    assert [type(statement) for statement in functions[1].body] == [ast.Return]
    parameters = list(inspect.signature(preset).parameters.values())
    assert parameters[0].name == "estimator"
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[1:])
    assert all(p.default is not p.empty for p in parameters)


def head_of(digits, preset, **knobs):
    X, y = digits
    return preset(cv=2, guard=None, **knobs).fit(X[:300], y[:300]).scorer_


def test_every_constant_reaches_its_loss(digits):
    assert head_of(digits, SteepSlopeTrust, alpha_pos=2.0, alpha_neg=5.0).loss == abstain.losses.SteepSlopeLoss(
        alpha_pos=2.0, alpha_neg=5.0
    )
    assert head_of(digits, SteepSlopeTrust, unit_norm=True).unit_norm
    assert head_of(digits, CorrectnessTrust, error_weight=3.0).loss.error_weight == 3.0
    assert head_of(digits, FocalTrust, gamma=5.0, error_weight=2.0).loss == abstain.losses.FocalLoss(
        gamma=5.0, error_weight=2.0
    )
    assert head_of(digits, TCPTrust).target == "tcp"
    assert head_of(digits, TCPTrust, ratio=True).target == "tcp_ratio"


@pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("hidden", [(), pytest.param((4,), marks=pytest.mark.torch)])
def test_every_knob_reaches_its_head(preset, hidden, digits):
    knobs = {"head_inputs": "features", "hidden": hidden, "training": Training(epochs=2), "random_state": 3}
    head = head_of(digits, preset, **knobs)
    assert {name: getattr(head, name) for name in knobs} == knobs


@pytest.mark.parametrize("preset", PRESETS)
def test_scores_beat_or_match_maximum_probability_on_hard_digits(preset, digits):
    X, y = digits
    model = preset(guard=None, random_state=0).fit(X[:900], y[:900])
    correct = model.predict(X[900:]) == y[900:]
    baseline = max_probability(model.predict_proba(X[900:]))
    ratio = bootstrap_ci(
        aurc, correct, model.score_samples(X[900:]), baseline=baseline, compare="ratio", n_resamples=200, random_state=0
    )
    assert ratio.low < 1.0
    assert ratio.estimate < 1.05
    assert model.report_.errors > 100


def test_what_a_score_means(digits):
    X, y = digits
    probability = SteepSlopeTrust(guard=None, random_state=0).fit(X[:900], y[:900])
    correct = probability.predict(X[900:]) == y[900:]
    assert expected_calibration_error(correct, probability.score_samples(X[900:]), n_bins=10) < 0.08
    tcp = TCPTrust(guard=None, random_state=0).fit(X[:900], y[:900])
    proba = tcp.predict_proba(X[900:])
    true = proba[np.arange(len(proba)), y[900:]]
    assert tcp.score_samples(X[900:]).mean() == pytest.approx(true.mean(), abs=0.03)
    calibrated = TCPTrust(calibrate=True, guard=None, random_state=0).fit(X[:900], y[:900])
    assert calibrated.score_samples(X[900:]).mean() == pytest.approx(correct.mean(), abs=0.04)
    np.testing.assert_array_equal(np.argsort(calibrated.score_samples(X[900:])), np.argsort(tcp.score_samples(X[900:])))


def test_the_papers_protocol_is_worse():
    """Features alone, outcomes of the training fit, against held-out outcomes and all inputs."""
    X, y = load_hard_digits(noise=6.0, random_state=1)
    forest = RandomForestClassifier(20, min_samples_leaf=3, random_state=0)
    areas = {}
    for name, options in {"paper": PAPER, "default": {}}.items():
        model = CorrectnessTrust(forest, cv=3, random_state=0, **options)
        with pytest.warns(abstain.warnings.FewErrorsWarning) if name == "paper" else _nothing():
            model.fit(X[:900], y[:900])
        if name == "paper":
            # a forest makes next to no errors on its training data; give the head what there is
            model = CorrectnessTrust(LogisticRegression(C=1e-3, max_iter=2000), cv=3, random_state=0, **options).fit(
                X[:900], y[:900]
            )
        correct = model.predict(X[900:]) == y[900:]
        areas[name] = aurc(correct, model.score_samples(X[900:])) / aurc(
            correct, max_probability(model.predict_proba(X[900:]))
        )
    assert areas["paper"] > 1.2
    assert areas["default"] < 1.1


class SavedPosterior(ClassifierMixin, BaseEstimator):
    """The first three columns are log-probabilities."""

    classes_ = np.arange(3)

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        exp = np.exp(X[:, :3])
        return exp / exp.sum(axis=1, keepdims=True)


class _nothing:  # noqa: N801
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


@pytest.mark.torch
def test_deep_preset(digits):
    X, y = digits
    training = Training(epochs=8, batch_size=128, lr=0.005, device="cpu")
    model = SteepSlopeTrust(hidden=(16,), training=training, cv=2, guard=None, random_state=0).fit(X[:900], y[:900])
    assert model.scorer_.history_
    assert np.isfinite(model.score_samples(X[900:])).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_head_that_proves_nothing_is_maximum_probability(preset):
    """The features have nothing to add to the true posterior; and noise in a hundred columns is learnt from."""
    X, y, posterior = make_known_posterior(1600, n_classes=3, separation=1.0, random_state=0)
    X = np.column_stack([np.log(posterior), np.random.default_rng(0).normal(size=(1600, 100))])
    frozen = FrozenEstimator(SavedPosterior())
    est = preset(frozen, random_state=0).fit(X[:400], y[:400])
    assert isinstance(est.scorer_, RecalibratedConfidence)
    assert not all(check.passed for check in est.guard_)
    correct, top = est.predict(X[400:]) == y[400:], max_probability(posterior[400:])
    assert aurc(correct, est.score_samples(X[400:])) == pytest.approx(aurc(correct, top), rel=1e-6)
    bare = preset(frozen, guard=None, random_state=0).fit(X[:400], y[:400])
    assert isinstance(bare.scorer_, abstain.TrustHead)
    assert bare.guard_ == ()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_head_that_gains_is_kept(preset):
    """A classifier that knows half of what the features say, and is right for reasons that they show."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2400, 3))
    X[:, 2] = rng.random(2400) < 0.4  # a broken sensor: then the label is not what the others say
    y = np.where((X[:, 2] > 0) & (rng.random(2400) < 0.7), rng.integers(0, 2, 2400), X[:, 0] > 0).astype(int)
    est = preset(LogisticRegression(), random_state=0).fit(X[:1200], y[:1200])
    assert isinstance(est.scorer_, abstain.TrustHead | FadedHead)
    assert len(est.guard_) > 5
    assert all(check.passed for check in est.guard_)
    assert any("noise" in check.name for check in est.guard_)
    correct = est.predict(X[1200:]) == y[1200:]
    top = max_probability(est.predict_proba(X[1200:]))
    assert aurc(correct, est.score_samples(X[1200:])) < 0.9 * aurc(correct, top)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("n", [120, 180, 300])
def test_few_errors_speak_for_no_more_of_a_head(preset, n):
    """Errors are all in a broken sensor, so that every check passes; still few of them prove little."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 2))
    X[:, 1] = rng.random(n) < 0.5
    y = np.where((X[:, 1] > 0) & (rng.random(n) < 0.5), X[:, 0] < 0, X[:, 0] > 0).astype(int)
    est = preset(LogisticRegression(), random_state=0).fit(X, y)
    errors = np.count_nonzero((X[:, 0] > 0) != y)  # those of the classifier are some more
    assert isinstance(est.scorer_, FadedHead | RecalibratedConfidence)
    assert getattr(est.scorer_, "share", 0.0) <= max((errors + 10) / 100, 0.25)


def test_a_guard_of_another_name_is_refused(digits):
    with pytest.raises(ValueError, match="guard"):
        CorrectnessTrust(guard="aurc").fit(*digits)
