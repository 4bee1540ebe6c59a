"""Presets of learned selection: nothing but constants; two ways to train; several coverages; collapse is seen."""

import ast
import inspect
import itertools
import pickle
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from abstain import (
    GamblersClassifier,
    SelectiveNetClassifier,
    SelfAdaptiveClassifier,
    SYNCClassifier,
    TargetCoverage,
    TargetRisk,
    Training,
)
from abstain.losses import GamblersLoss, SelectiveNetLoss, SelfAdaptiveLoss, SYNCLoss
from abstain.metrics import augrc
from abstain.scores import max_probability
from abstain.warnings import AbstainWarning, CollapseWarning, FewErrorsWarning

PRESETS = [SelectiveNetClassifier, SYNCClassifier, GamblersClassifier, SelfAdaptiveClassifier]
POST_HOC = PRESETS[:3]
QUICK = Training(epochs=15, lr=0.01, batch_size=64)


def quick(preset, *arguments, **options):
    return preset(*arguments, **{"training": QUICK, "warm_up_epochs": 3, "hidden": (32,), "random_state": 0, **options})


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_a_constructor_and_a_hook(preset):
    tree = ast.parse(inspect.getsource(preset)).body[0]
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [f.name for f in functions] == ["__init__", "_loss"]
    assert all(isinstance(statement, ast.Assign) for statement in functions[0].body)
    assert [type(statement) for statement in functions[1].body] == [ast.Return]
    others = [node for node in tree.body[1:] if node not in functions]
    assert all(isinstance(node, ast.Assign) for node in others)
    assert all(p.default is not p.empty for p in inspect.signature(preset).parameters.values())


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")
def test_every_constant_reaches_its_loss(problem):
    X, y, *_ = problem

    def fitted(preset, **constants):
        still = Training(epochs=1, lr=1e-6)
        return preset(coverage=0.6, training=still, warm_up_epochs=0, hidden=(), random_state=0, **constants).fit(X, y)

    def loss(preset, **constants):
        (found,) = fitted(preset, **constants).learnt_.losses
        return found

    shared = {"lam": 8.0, "alpha": 0.7, "normalise": False}
    assert loss(SelectiveNetClassifier, **shared, risk="brier") == SelectiveNetLoss(
        coverage=0.6, risk="brier", **shared
    )
    own = {"beta": 2.0, "mode": "mse", "gamma": 3.0, "chance_correction": True, "prior_head": "auxiliary"}
    assert loss(SYNCClassifier, **shared, **own, detach_prior=False) == SYNCLoss(
        coverage=0.6, detach_prior=False, **shared, **own
    )
    assert loss(GamblersClassifier, reward=1.7) == GamblersLoss(reward=1.7)
    assert loss(SelfAdaptiveClassifier, momentum=0.5) == SelfAdaptiveLoss(momentum=0.5)
    assert loss(SelectiveNetClassifier).risk == "cross_entropy"
    (behind,) = fitted(SelectiveNetClassifier, estimator=LogisticRegression(), cv=2).scorer_.losses
    assert behind.risk == "error"


@pytest.mark.torch
def test_a_selector_without_penalty_abstains_on_everything(problem):
    X, y, *_ = problem
    with pytest.warns(CollapseWarning, match="abstains on all .* Raise lam"):
        quick(SelectiveNetClassifier, lam=0.0, normalise=False, training=Training(epochs=40, lr=0.02)).fit(X, y)
    with pytest.warns(CollapseWarning, match="abstains on all .* Raise it"):
        quick(GamblersClassifier, reward=1.05, training=Training(epochs=40, lr=0.02)).fit(X, y)


WAYS = [(preset, "joint") for preset in PRESETS] + [(preset, "post hoc") for preset in POST_HOC]


def build(preset, way, **options):
    return quick(preset, LogisticRegression(), **options) if way == "post hoc" else quick(preset, **options)


@pytest.mark.torch
@pytest.mark.parametrize(("preset", "way"), WAYS)
def test_it_learns_and_meets_its_coverage(preset, way, problem):
    X, y, X_cal, y_cal, X_test, y_test = problem
    model = build(preset, way, coverage=0.7).fit(X, y)
    plain = LogisticRegression().fit(X, y)
    assert model.score(X_test, y_test) > plain.score(X_test, y_test) - 0.05
    correct, score = model.predict(X_test) == y_test, model.score_samples(X_test)
    baseline = max_probability(plain.predict_proba(X_test))
    assert augrc(correct, score) < 1.15 * augrc(plain.predict(X_test) == y_test, baseline)
    noise = 4 * np.sqrt(0.21 * (1 / len(y_cal) + 1 / len(y_test)))
    model.fit_policy(X_cal, y_cal)
    assert abs(model.accept(X_test).mean() - 0.7) < noise
    assert model.history_[-1]["train_loss"] < model.history_[0]["train_loss"] or way == "post hoc"
    assert str(model.report_)


@pytest.mark.torch
@pytest.mark.parametrize("preset", POST_HOC)
@pytest.mark.parametrize("hidden", [(), (16,)])
def test_a_selector_behind_a_classifier_starts_as_softmax_response(preset, hidden, problem):
    """With no step to speak of, the order is that of the maximum probability."""
    X, y, _, _, X_test, _ = problem
    still = Training(epochs=1, lr=1e-12, weight_decay=0.0)
    model = quick(preset, LogisticRegression(), hidden=hidden, training=still, rank_by="selector").fit(X, y)
    response = max_probability(model.predict_proba(X_test))
    np.testing.assert_allclose(model.score_samples(X_test), response, atol=1e-6)


@pytest.mark.torch
def test_a_frozen_classifier_is_used_as_it_is(problem):
    X, y, X_cal, y_cal, X_test, _ = problem
    frozen = LogisticRegression().fit(X, y)
    model = quick(SYNCClassifier, FrozenEstimator(frozen)).fit(X_cal, y_cal)
    np.testing.assert_allclose(model.predict_proba(X_test), frozen.predict_proba(X_test))


@pytest.mark.torch
@pytest.mark.parametrize(("preset", "way"), [w for w in WAYS if w[0] in PRESETS[:2]])
def test_one_fit_serves_several_coverages(preset, way, problem):
    X, y, X_cal, y_cal, X_test, _ = problem
    model = build(preset, way, coverage=0.8, coverages=[0.5, 0.8, 0.9], rank_by="selector").fit(X, y)
    assert list(model.reports_) == [0.8, 0.5, 0.9]
    before = model.decide(X_test)
    scores = {}
    for target in (0.5, 0.8, 0.9):
        served = model.at(target)
        assert served.coverage == target
        assert served.report_.coverage == target
        scores[target] = served.score_samples(X_test)
        assert abs(served.accept(X_test).mean() - target) < 0.12
        served.fit_policy(X_cal, y_cal)
        assert abs(served.accept(X_test).mean() - target) < 0.08
        again = pickle.loads(pickle.dumps(served))
        np.testing.assert_array_equal(again.decide(X_test), served.decide(X_test))
        asked = clone(served).get_params()
        assert asked["coverage"] == target
        assert {target, *asked["coverages"]} == {0.5, 0.8, 0.9}
        served.set_params(training__lr=0.5)
    assert list(clone(model.at(0.9)).fit(X, y).reports_) == [0.9, 0.8, 0.5]
    if way == "joint":  # behind a classifier the start may be the best there is, for every coverage
        assert np.corrcoef(scores[0.5], scores[0.9])[0, 1] < 1 - 1e-9
    np.testing.assert_array_equal(scores[0.8], model.score_samples(X_test))
    np.testing.assert_array_equal(model.decide(X_test), before)
    assert model.training.lr == QUICK.lr
    policy = model.fit_policy(X_cal, y_cal, TargetRisk(0.3)).policy_
    assert model.at(0.8).policy_ is policy
    with pytest.raises(ValueError, match=r"coverage must be one of .*0\.5.*got 0\.3"):
        model.at(0.3)
    with pytest.raises(ValueError, match=r"Move the threshold alone"):
        quick(GamblersClassifier).fit(X, y).at(0.3)


@pytest.mark.torch
def test_policies_and_coverage_one(problem):
    X, y, X_cal, y_cal, X_test, _ = problem
    model = quick(SYNCClassifier, policy=TargetRisk(0.2)).fit(X, y)
    assert model.fit_policy(X_cal, y_cal).policy_.certificate_.disjoint
    assert isinstance(model.fit_policy(X_cal, y_cal, TargetCoverage(0.5)).policy_, TargetCoverage)
    assert quick(SelectiveNetClassifier, coverage=1).fit(X, y).accept(X_test).mean() > 0.97


@pytest.mark.torch
def test_large_beta_orders_by_the_softmax_response(problem, monkeypatch):
    """Much beta leaves the power of the response, whose order is its own; trained to the end, whatever is held out."""
    X, y, _, _, X_test, _ = problem
    falling = itertools.count(0, -1)
    monkeypatch.setattr("abstain.heads.selective_head.held_out_area", lambda *_: next(falling))
    options = {"rank_by": "selector", "hidden": (), "training": Training(epochs=40, lr=0.02, batch_size=64)}
    drawn = quick(SYNCClassifier, LogisticRegression(), beta=1e3, **options).fit(X, y)
    plain = quick(SYNCClassifier, LogisticRegression(), beta=0.0, **options).fit(X, y)

    def agreement(model):
        response = max_probability(model.predict_proba(X_test))
        ranks = [np.argsort(np.argsort(s)) for s in (model.score_samples(X_test), response)]
        return np.corrcoef(*ranks)[0, 1]

    assert agreement(drawn) > 0.99
    assert agreement(drawn) > agreement(plain)


@pytest.mark.torch
def test_no_beta_trains_selectivenet(problem):
    X, y, _, _, X_test, _ = problem
    models = [
        quick(SYNCClassifier, beta=0.0, rank_by="selector"),
        quick(SelectiveNetClassifier, rank_by="selector"),
    ]
    sync, plain = (model.fit(X, y).score_samples(X_test) for model in models)
    np.testing.assert_array_equal(sync, plain)


@pytest.mark.torch
def test_held_out_samples_are_held_out(problem):
    """The scores that set the threshold are those of the first split, by a network that has not seen it."""
    X, y, *_ = problem
    split = [(np.arange(400), np.arange(400, 600))]
    model = quick(SelectiveNetClassifier, cv=split).fit(X, y)
    assert model.policy_.certificate_.n == 200
    swapped = y.copy()
    swapped[400:] = (swapped[400:] + 1) % 4
    same_epoch = Training(epochs=4, lr=0.01, batch_size=64)
    options = {"cv": split, "training": same_epoch, "rank_by": "softmax"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)  # wrong labels cannot be told apart
        first, second = (quick(SelectiveNetClassifier, **options).fit(X, labels) for labels in (y, swapped))
    np.testing.assert_array_equal(first.learnt_.layers[0], second.learnt_.layers[0])


@pytest.mark.torch
@pytest.mark.parametrize("way", ["joint", "post hoc"])
@pytest.mark.parametrize("kind", ["selector", "softmax"])
def test_the_best_epoch_by_held_out_augrc_is_kept(way, kind, problem):
    """After the warm-up; behind a classifier the start may be better than any epoch."""
    X, y, *_ = problem
    model = build(SYNCClassifier, way, rank_by=kind, training=Training(epochs=30, lr=0.02, batch_size=64)).fit(X, y)
    areas = [epoch["validation_loss"] for epoch in model.history_]
    best = min(areas[3:] if way == "joint" else [*areas, model.report_.augrc["softmax"]])
    np.testing.assert_allclose(model.report_.augrc[kind], best, rtol=1e-3)
    assert max(areas) > best or (way, kind) == ("post hoc", "softmax")


@pytest.mark.torch
def test_entropy_weighs_on_the_predictions(problem):
    X, y, _, _, X_test, _ = problem

    def spread(entropy):
        proba = quick(SelfAdaptiveClassifier, entropy=entropy).fit(X, y).predict_proba(X_test)
        return -(proba * np.log(proba)).sum(axis=1).mean()

    assert spread(0.5) < 0.8 * spread(0.0)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coverage": 0.0}, "coverage"),
        ({"coverages": [0.5, 2.0]}, "coverage"),
        ({"hidden": (0,)}, "hidden"),
        ({"rank_by": "sr"}, "rank_by"),
        ({"warm_up_epochs": 15}, "warm_up_epochs"),
        ({"warm_up_epochs": 1.5e9}, "warm_up_epochs"),
        ({"risk": "error"}, "no gradient"),
        ({"lam": -1.0}, "lam"),
        ({"lam": "a"}, "lam"),
        ({"coverage": True}, "coverage"),
        ({"coverages": 0.9}, "coverages"),
        ({"hidden": True}, "hidden"),
        ({"head_inputs": "all"}, "head_inputs"),
        ({"entropy": -1}, "entropy"),
        ({"entropy_form": "h"}, "form"),
        ({"training": Training(epochs=2.5)}, "epochs"),
        ({"training": Training(device="abacus")}, "device"),
        ({"training": Training(lr=1e30, epochs=15)}, "diverged"),
        ({"cv": [([0, 1, 2, 3], [])]}, "cv"),
    ],
)
def test_errors_name_the_parameter(options, message, problem):
    X, y, *_ = problem
    with pytest.raises(ValueError, match=message):
        quick(SelectiveNetClassifier, **options).fit(X, y)


class Untouched(LogisticRegression):
    """A classifier that must not be fitted."""

    def fit(self, X, y):
        raise AssertionError("the estimator was fitted before the parameters were looked at")


@pytest.mark.torch
@pytest.mark.parametrize(
    ("preset", "options", "message"),
    [
        (SYNCClassifier, {"mode": "kl"}, "mode"),
        (SYNCClassifier, {"prior_head": "auxiliary"}, "prior_head"),
        (SYNCClassifier, {"rank_by": "sr"}, "rank_by"),
        (SYNCClassifier, {"entropy": 0.1}, "entropy"),
        (SYNCClassifier, {"head_inputs": "all"}, "head_inputs"),
        (GamblersClassifier, {"reward": 4.0}, "reward"),
    ],
)
def test_errors_come_before_the_estimator_is_fitted(preset, options, message, problem):
    with pytest.raises(ValueError, match=message):
        quick(preset, Untouched(), **options).fit(*problem[:2])


@pytest.mark.torch
@pytest.mark.parametrize("head_inputs", ["both", "features", "confidence"])
def test_what_a_selector_sees(head_inputs, problem):
    X, y, _, _, X_test, _ = problem
    model = quick(SYNCClassifier, LogisticRegression(), head_inputs=head_inputs).fit(X, y)
    assert np.isfinite(model.score_samples(X_test)).all()


@pytest.mark.torch
def test_the_softmax_response_of_a_certain_classifier_does_not_tie(rng):
    """Naive Bayes is certain to hundreds of digits; its order is still there, and so is the coverage."""
    from sklearn.naive_bayes import GaussianNB

    codes = rng.integers(3, size=900)
    X = 2 * np.repeat(np.eye(3)[codes] + rng.normal(scale=0.6, size=(900, 3)), 20, axis=1)
    model = quick(SYNCClassifier, GaussianNB(), coverage=0.5, rank_by="softmax").fit(X[:600], codes[:600])
    score = model.score_samples(X[600:])
    assert np.unique(score).size > 280
    np.testing.assert_array_equal(score, max_probability(np.log(model.predict_proba(X[600:])), input="logits"))


@pytest.mark.torch
@pytest.mark.parametrize("way", ["joint", "post hoc"])
def test_frames_with_mixed_columns(way, problem):
    pandas = pytest.importorskip("pandas")
    X, y, *_ = problem
    frame = pandas.DataFrame(X, columns=list("abcd")).assign(e=X[:, 0] > 0)
    build(SYNCClassifier, way).fit(frame, y).decide(frame)


@pytest.mark.torch
def test_few_errors_are_said(problem):
    X, y, *_ = problem
    easy = X + 8 * np.eye(4)[y]
    with pytest.warns(FewErrorsWarning, match="too few to compare"):
        model = quick(SYNCClassifier, LogisticRegression()).fit(easy, y)
    assert model.report_.chosen == "softmax"
    with pytest.warns(FewErrorsWarning, match="held out"):  # whatever ranks, there is nothing to learn from
        quick(SYNCClassifier, LogisticRegression(), rank_by="selector").fit(easy, y)
    nearly = np.where(np.arange(len(y)) % 60 == 0, (y + 1) % 4, y)
    quick(SYNCClassifier, LogisticRegression(), rank_by="selector").fit(easy, nearly)


@pytest.mark.torch
def test_the_other_way_after_a_fit(problem):
    X, y, _, _, X_test, _ = problem
    model = quick(SYNCClassifier).fit(X, y)
    decided = model.decide(X_test)
    np.testing.assert_array_equal(model.set_params(estimator=LogisticRegression()).decide(X_test), decided)
    model.fit(X, y)
    assert hasattr(model, "scorer_")
    model.set_params(estimator=None).fit(X, y)
    assert not hasattr(model, "scorer_")


@pytest.mark.torch
def test_features_on_disk_and_images(problem, tmp_path):
    from sklearn.preprocessing import StandardScaler

    X, y, _, _, X_test, _ = problem
    np.save(tmp_path / "X.npy", X.astype(np.float32))
    mapped = quick(SYNCClassifier).fit(np.load(tmp_path / "X.npy", mmap_mode="r"), y)
    assert mapped.decide(X_test).shape == (len(X_test),)
    scaler = StandardScaler().fit(X)
    behind = quick(SYNCClassifier, backbone=scaler).fit(X, y)
    ahead = quick(SYNCClassifier).fit(scaler.transform(X), y)
    np.testing.assert_allclose(behind.score_samples(X_test), ahead.score_samples(scaler.transform(X_test)))


def test_torch_is_named_where_it_is_missing(monkeypatch, problem):
    monkeypatch.setitem(sys.modules, "torch", None)
    for estimator in (None, Untouched()):
        with pytest.raises(ImportError, match=r"pip install 'torch>="):
            SYNCClassifier(estimator).fit(*problem[:2])
