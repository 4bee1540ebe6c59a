"""The head: inputs, penalty, held-out scores, recalibration."""

import warnings

import joblib
import numpy as np
import pytest
from made import made_view
from scipy.special import expit, logit
from scipy.stats import rankdata, spearmanr
from sklearn.linear_model import LogisticRegression

from abstain import SelectiveClassifier, TrustHead, testing
from abstain.calibration import AutoCalibrator, Beta, Isotonic, VennAbers
from abstain.folds import Folds
from abstain.losses import CrossEntropyLoss, FocalLoss, SteepSlopeLoss, TCPLoss
from abstain.metrics import aurc, expected_calibration_error, failure_report
from abstain.solvers.logistic import fit_platt
from abstain.solvers.training import Training


@pytest.fixture
def trust(rng):
    """Features that know which predictions are wrong, and probabilities that do not."""
    n = 3000
    features = rng.normal(size=(n, 5))
    eta = expit(1.5 + 1.5 * features[:, 0])
    p = rng.uniform(0.5, 0.99, n)
    log_proba = np.log(np.column_stack([p, 1 - p]))
    return made_view(features, log_proba), rng.random(n) < eta, eta


@pytest.mark.parametrize("kind", testing.all_losses())
def test_every_loss_finds_what_the_features_know(trust, kind):
    inputs, correct, eta = trust
    head = TrustHead(kind(), random_state=0).fit(inputs[:2000], correct[:2000])
    score = head.score_samples(inputs[2000:])
    assert spearmanr(score, eta[2000:])[0] > 0.97
    assert score.min() >= 0
    assert score.max() <= 1


@pytest.mark.parametrize(
    "loss",
    [SteepSlopeLoss(), SteepSlopeLoss(alpha_pos=2.0, alpha_neg=5.0), FocalLoss(), CrossEntropyLoss(error_weight=4.0)],
)
def test_recalibrated_scores_are_probabilities(trust, loss):
    inputs, correct, eta = trust
    head = TrustHead(loss, random_state=0).fit(inputs[:2000], correct[:2000])
    score = head.score_samples(inputs[2000:])
    assert np.abs(score - eta[2000:]).mean() < 0.045
    assert expected_calibration_error(correct[2000:], score, n_bins=10) < 0.06


def test_recalibration_keeps_the_order(trust):
    inputs, correct, _ = trust
    raw = TrustHead(SteepSlopeLoss(), calibrate=False, random_state=0).fit(inputs, correct)
    calibrated = TrustHead(SteepSlopeLoss(), random_state=0).fit(inputs, correct)
    np.testing.assert_array_equal(rankdata(raw.score_samples(inputs)), rankdata(calibrated.score_samples(inputs)))
    assert raw.recalibrator_ is None is not calibrated.recalibrator_


@pytest.mark.parametrize("recalibrator", [Isotonic(), Beta(), VennAbers(), AutoCalibrator(random_state=0)], ids=repr)
def test_any_calibrator_recalibrates(trust, recalibrator):
    inputs, correct, eta = trust
    head = TrustHead(SteepSlopeLoss(), recalibrator=recalibrator, random_state=0).fit(inputs[:2000], correct[:2000])
    assert type(head.recalibrator_) is type(recalibrator)
    assert np.abs(head.score_samples(inputs[2000:]) - eta[2000:]).mean() < 0.06


def test_a_recalibrator_is_a_calibrator_without_an_estimator(trust):
    inputs, correct, _ = trust
    for wrong in ("isotonic", Isotonic, Isotonic(LogisticRegression())):
        with pytest.raises(TypeError, match="recalibrator must be"):
            TrustHead(recalibrator=wrong).fit(inputs, correct)


def test_platt_against_scipy_and_upside_down(rng):
    odds = rng.normal(size=4000)
    correct = rng.random(4000) < expit(0.7 * odds + 1)
    (slope,), intercept = fit_platt(odds[:, None], correct)
    assert (slope, intercept) == (pytest.approx(0.7, abs=0.1), pytest.approx(1.0, abs=0.1))
    assert fit_platt(-odds[:, None], correct)[0][0] > 0


def test_held_out_scores_have_not_seen_the_row(rng):
    """Labels are coin flips: training scores look informative, held-out scores do not."""
    X, y = rng.normal(size=(200, 60)), rng.random(200) < 0.5
    rows = np.arange(200)
    folds = Folds([(np.flatnonzero(rows % 4 != k), np.flatnonzero(rows % 4 == k)) for k in range(4)], 200)
    head = TrustHead(l2=1.0, random_state=0)
    held_out = head.fit_held_out(X, y, folds)
    assert failure_report(y, head.score_samples(X)).auroc > 0.75
    assert 0.35 < failure_report(y, held_out).auroc < 0.65


def test_held_out_scores_are_those_of_separate_fits(trust):
    inputs, correct, _ = trust
    n = len(correct)
    rows = np.arange(n)
    folds = Folds([(np.flatnonzero(rows % 3 != k), np.flatnonzero(rows % 3 == k)) for k in range(3)], n)
    shared = TrustHead(l2=10.0, calibrate=False).fit_held_out(inputs, correct, folds)
    for train, test in folds:
        alone = TrustHead(l2=10.0, calibrate=False).fit(inputs[train], correct[train])
        # standardisation differs a little: moments come from all rows, or from the fold
        np.testing.assert_allclose(shared[test], alone.score_samples(inputs[test]), atol=0.01)


def test_penalty_grows_when_samples_are_few(rng):
    features = rng.normal(size=(120, 300))
    p = rng.uniform(0.4, 1.0, 120)
    inputs = made_view(features, np.log(np.column_stack([p, 1 - p])))
    correct = rng.random(120) < p
    auto = TrustHead(random_state=0).fit(inputs, correct)
    assert auto.l2_ >= 100
    n = 4000
    features = rng.normal(size=(n, 5))
    many = TrustHead(random_state=0).fit(features, rng.random(n) < expit(features @ np.ones(5)))
    assert many.l2_ <= 10


def test_few_errors_do_no_harm_with_many_features(rng):
    """300 features of noise, 40 errors: the head stays near maximum probability, features alone do not."""
    ratios = {"both": [], "features": []}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        n = 1200
        p = 1 - 0.5 * rng.beta(0.3, 3, n)
        log_proba = np.log(np.column_stack([p, 1 - p]))
        inputs = made_view(rng.normal(size=(n, 300)), log_proba)
        correct = rng.random(n) < p
        test = np.arange(600, n)
        baseline = aurc(correct[test], p[test])
        for sees in ratios:
            view = inputs if sees == "both" else inputs.features
            head = TrustHead(head_inputs=sees, random_state=0).fit(view[:600], correct[:600])
            ratios[sees].append(aurc(correct[test], head.score_samples(view[600:])) / baseline)
    assert np.mean(ratios["both"]) < 1.15
    assert np.mean(ratios["features"]) > 1.5


def test_predicted_class_has_its_own_offset(rng):
    codes = rng.integers(0, 3, 3000)
    log_proba = np.log(np.where(np.eye(3)[codes] > 0, 0.8, 0.1))
    correct = rng.random(3000) < np.array([0.95, 0.6, 0.8])[codes]
    head = TrustHead(head_inputs="confidence", random_state=0).fit(made_view(None, log_proba), correct)
    by_class = [head.score_samples(made_view(None, log_proba[codes == k][:1]))[0] for k in range(3)]
    np.testing.assert_allclose(by_class, [0.95, 0.6, 0.8], atol=0.03)


def test_unit_norm_is_a_distance(trust):
    inputs, correct, _ = trust
    head = TrustHead(SteepSlopeLoss(), unit_norm=True, head_inputs="features", random_state=0).fit(
        inputs.features, correct
    )
    assert np.linalg.norm(head.layers_[0][:-1]) == pytest.approx(1, abs=1e-5)
    assert failure_report(correct, head.score_samples(inputs.features)).auroc > 0.75


def test_restarts_never_hurt_the_objective(rng):
    X = rng.normal(size=(300, 4))
    target = expit(X[:, 0] * X[:, 1])
    values = []
    for restarts in (1, 5):
        head = TrustHead(TCPLoss(), l2=0.1, restarts=restarts, calibrate=False, random_state=3).fit(X, target)
        values.append(((head.score_samples(X) - target) ** 2).mean())
    assert values[1] <= values[0] + 1e-4


@pytest.mark.torch
def test_a_deep_head_learns_interactions(rng):
    X = rng.normal(size=(3000, 2)).astype(np.float32)
    correct = X[:, 0] * X[:, 1] > -0.3
    settings = {"training": Training(epochs=30, lr=0.01, batch_size=256), "random_state": 0}
    deep = TrustHead(hidden=(32,), **settings).fit(X, correct)
    linear = TrustHead(random_state=0).fit(X, correct)
    assert failure_report(correct, deep.score_samples(X)).auroc > 0.97
    assert failure_report(correct, linear.score_samples(X)).auroc < 0.7
    assert deep.history_
    assert deep.l2_ is None
    again = TrustHead(hidden=(32,), **settings).fit(X, correct)
    np.testing.assert_array_equal(again.score_samples(X), deep.score_samples(X))


@pytest.mark.torch
def test_a_linear_head_does_not_depend_on_the_device(trust):
    inputs, correct, _ = trust
    plain = TrustHead(l2=100.0, random_state=0).fit(inputs, correct)
    named = TrustHead(l2=100.0, training=Training(device="cpu:0"), random_state=0).fit(inputs, correct)
    np.testing.assert_array_equal(named.score_samples(inputs), plain.score_samples(inputs))
    assert named.l2_ == 100.0
    with pytest.raises(ValueError, match=r"l2 is the penalty of linear heads.*weight_decay"):
        TrustHead(l2=100.0, hidden=(4,)).fit(inputs, correct)


def test_score_is_finite_for_extreme_inputs(trust):
    inputs, correct, _ = trust
    head = TrustHead(head_inputs="features", random_state=0).fit(inputs.features, correct)
    far = head.score_samples(np.full((1, 5), 1e12))
    assert np.isfinite(far).all()
    assert np.isfinite(logit(np.clip(far, 1e-15, 1 - 1e-15))).all()


@pytest.mark.parametrize(("name", "value"), [("target", "wrong"), ("head_inputs", "everything")])
def test_bad_choices_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be one of"):
        TrustHead(**{name: value}).fit(np.eye(4), [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"l2": -5.0}, ValueError, "l2 must be"),
        ({"l2": "strong"}, ValueError, "l2 must be"),
        ({"hidden": (0,)}, ValueError, "hidden must be"),
        ({"restarts": 0}, ValueError, "restarts must be"),
        ({"loss": SteepSlopeLoss}, TypeError, r"loss must be an instance, SteepSlopeLoss\(\)"),
    ],
)
def test_bad_parameters_are_named(options, error, message):
    with pytest.raises(error, match=message):
        TrustHead(**options).fit(np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 2)


def test_large_offsets_in_float32_cost_no_digits(rng):
    """Timestamps and identifiers: a mean a million times the spread."""
    X = (rng.normal(size=(2000, 2)) + np.array([1e6, 0])).astype(np.float32)
    correct = rng.random(2000) < expit(X[:, 1] + X[:, 0] - 1e6)
    single = TrustHead(random_state=0).fit(X, correct).score_samples(X)
    double = TrustHead(random_state=0).fit(X.astype(float), correct).score_samples(X.astype(float))
    np.testing.assert_allclose(single, double, atol=1e-6)


def test_constant_targets_are_no_crash():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = TrustHead().fit(np.random.default_rng(0).normal(size=(40, 3)), np.ones(40)).score_samples(np.eye(3))
    assert (score > 0.9).all()


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_workers_share_the_passes_over_a_file(backend, rng, tmp_path):
    X = rng.normal(size=(20_000, 60)).astype(np.float32)
    correct = rng.logistic(size=len(X)) < 1 + X[:, 0] - X[:, 1]
    np.save(tmp_path / "X.npy", X)
    alone = TrustHead(random_state=0).fit(X, correct)
    with joblib.parallel_config(backend=backend):
        shared = TrustHead(n_jobs=2, random_state=0).fit(np.load(tmp_path / "X.npy", mmap_mode="r"), correct)
    np.testing.assert_allclose(shared.layers_[0], alone.layers_[0], atol=1e-4)
    np.testing.assert_allclose(shared.score_samples(X), alone.score_samples(X), atol=1e-5)


def test_search_over_the_loss(problem):
    from sklearn.model_selection import GridSearchCV

    from abstain.metrics import make_selective_scorer

    X, y = problem[:2]
    model = SelectiveClassifier(scorer=TrustHead(random_state=0), cv=2, random_state=0)
    grid = {"scorer__loss": [CrossEntropyLoss(), SteepSlopeLoss()], "scorer__head_inputs": ["both", "confidence"]}
    search = GridSearchCV(model, grid, scoring=make_selective_scorer(aurc), cv=2).fit(X, y)
    assert len(search.cv_results_["params"]) == 4
