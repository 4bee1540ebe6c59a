"""Adaptive label perturbation: the loss, the rule of its levels, and the calibrator."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from abstain.calibration import ASLPCalibrator, Temperature
from abstain.losses import LabelPerturbationLoss, SoftmaxLoss
from abstain.losses.label_perturbation import adapted, drawn_level, level_margin, perturbed
from abstain.metrics import aurc
from abstain.outputs import ClassOutputs


def bce(z, target):
    return np.logaddexp(0, z) - target * z


def pair(z):
    """Two logits whose log-odds of the second are z."""
    return np.column_stack([-z / 2, z / 2])


def interpolating(rng, n=1200, d=60, strength=1.0):
    """Logits of a classifier that was trained on the first half: too sure there, and less right elsewhere."""
    X = rng.normal(size=(n, d))
    y = (rng.logistic(size=n) < strength * X[:, :5].sum(axis=1)).astype(int)
    half = np.arange(n) < n // 2
    model = LogisticRegression(C=100, max_iter=5000).fit(X[half], y[half])
    return pair(model.decision_function(X)), y, half


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 2), (0.3, 1), (0.1, 1.5), (1, 0.2), (0.05, 4)])
def test_loss_is_cross_entropy_on_moved_labels_in_both_conventions(alpha, beta, rng):
    z, y = rng.normal(size=20) * 3, rng.integers(0, 2, 20)
    s = alpha * beta / 2
    # by hand: perturbed with probability alpha, where the label becomes y + beta (1/2 - y)
    expected = (1 - alpha) * bce(z, y) + alpha * bce(z, y + beta * (0.5 - y))
    for loss in (LabelPerturbationLoss.from_paper(alpha, beta), LabelPerturbationLoss.from_code(alpha, beta / 2)):
        assert loss.level == pytest.approx(s)
        np.testing.assert_allclose(loss.value_and_derivative(pair(z), y)[0], expected, atol=1e-12)
    np.testing.assert_allclose(expected, bce(z, y) + s * (2 * y - 1) * z)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_derivative_by_the_level_is_the_margin(k, rng):
    logits, y = rng.normal(size=(30, k)), rng.integers(0, k, 30)
    values = [LabelPerturbationLoss(level=s).value_and_derivative(logits, y)[0] for s in (0.1, 0.1 + 1e-6)]
    np.testing.assert_allclose((values[1] - values[0]) / 1e-6, level_margin(logits, y), atol=1e-6)


def test_the_names_of_the_field_are_one_loss():
    named = LabelPerturbationLoss
    assert named.label_smoothing(0.2).level == pytest.approx(0.1)
    assert named.disturb_label(0.2, 5).level == pytest.approx(named.label_smoothing(0.2, 5).level)
    assert named.hard_inversion(0.1).level == pytest.approx(named.from_paper(0.1, 2).level)
    assert named.soft_inversion(0.1).level == pytest.approx(named.from_paper(0.1, 1.5).level)
    assert named.moderation(0.1).level == pytest.approx(named.from_paper(0.1, 1).level)


@pytest.mark.parametrize("k", [2, 5])
def test_the_target_has_one_minus_s_at_the_true_class(k):
    moved = perturbed(np.eye(k), np.full(k, 0.3))
    np.testing.assert_allclose(np.diag(moved), 0.7)
    np.testing.assert_allclose(moved.sum(axis=1), 1.0)


def test_free_logit_has_confidence_one_minus_s():
    grid = np.linspace(-8, 8, 16_001)
    loss = LabelPerturbationLoss(level=0.12).value_and_derivative(pair(grid), np.ones(len(grid), dtype=int))[0]
    assert expit(grid[loss.argmin()]) == pytest.approx(0.88, abs=1e-3)


def test_level_zero_is_plain_cross_entropy(rng):
    logits, y = rng.normal(size=(20, 4)), rng.integers(0, 4, 20)
    for mine, plain in zip(
        LabelPerturbationLoss().value_and_derivative(logits, y),
        SoftmaxLoss().value_and_derivative(logits, y),
        strict=True,
    ):
        np.testing.assert_allclose(mine, plain)


@pytest.mark.parametrize(("beta", "fixed"), [(1, 0.053), (2, 0.0515)])
def test_proximal_step_has_the_fixed_point_of_the_published_rule(beta, fixed):
    level = np.zeros(1)
    for _ in range(500):
        level = adapted(level, np.array([6.0]), accuracy=0.95, eta=0.002, penalty=2000.0 * beta)
    assert level[0] == pytest.approx(fixed, abs=1e-6)


def test_levels_stay_within_their_bounds_and_fall_where_the_sample_is_wrong():
    level = np.array([0.4, 0.4])
    for _ in range(200):
        level = adapted(level, np.array([16.0, -3.0]), accuracy=0.3, eta=0.05, penalty=1.0)
        assert (level >= 0).all()
        assert (level <= 0.48).all()
    assert level[0] == pytest.approx(0.48)
    assert level[1] == 0


def test_maximum_entropy_levels_fall_with_the_accuracy():
    level = np.full(3, 0.2)
    kept = adapted(level, np.full(3, 1.0), accuracy=0.9, reference=0.9, eta=0.01)
    fallen = adapted(level, np.full(3, 1.0), accuracy=0.88, reference=0.9, eta=0.01, penalty=500.0)
    assert (kept > level).all()
    assert (fallen < level).all()


def test_drawn_levels_are_the_level_on_average():
    level = np.array([0.0, 0.1, 0.3])
    rng = np.random.RandomState(0)
    for size in (0.5, 1.0, 2.0):
        drawn = np.mean([drawn_level(level, size, rng) for _ in range(20_000)], axis=0)
        np.testing.assert_allclose(drawn, level, atol=0.015)


def test_sampled_labels_end_near_expected_ones():
    logits, y, half = interpolating(np.random.default_rng(0))
    options = {"held_out": ~half}
    expected = ASLPCalibrator(final_temperature=False, random_state=0).fit(logits, y, **options).head_.slope
    drawn = [
        ASLPCalibrator(expected=False, beta=4.0, final_temperature=False, random_state=i).fit(logits, y, **options)
        for i in range(12)
    ]
    assert np.mean([calibrator.head_.slope for calibrator in drawn]) == pytest.approx(expected, rel=0.25)


def test_a_group_has_one_level_and_pixels_have_no_order(rng):
    logits, y, half = interpolating(rng)
    groups = np.arange(len(y)) // 30
    one = ASLPCalibrator(random_state=0).fit(logits, y, held_out=~half, groups=groups)
    assert len(one.levels_) == half.sum() // 30
    order = rng.permutation(len(y))
    other = ASLPCalibrator(random_state=0).fit(logits[order], y[order], held_out=~half[order], groups=groups[order])
    np.testing.assert_allclose(other.levels_, one.levels_, atol=1e-6)
    alone = ASLPCalibrator(random_state=0).fit(logits, y, held_out=~half, groups=np.arange(len(y)))
    single = ASLPCalibrator(random_state=0).fit(logits, y, held_out=~half)
    np.testing.assert_allclose(alone.levels_, single.levels_)


def test_rows_of_no_weight_have_no_effect(rng):
    logits, y, half = interpolating(rng)
    weight = (np.arange(len(y)) % 4 > 0).astype(float)
    masked = ASLPCalibrator(random_state=0).fit(logits, y, held_out=~half, sample_weight=weight)
    there = weight > 0
    without = ASLPCalibrator(random_state=0).fit(logits[there], y[there], held_out=~half[there])
    np.testing.assert_allclose(masked.predict_proba(logits), without.predict_proba(logits), atol=1e-9)


@pytest.mark.parametrize("head", ["temperature", "affine", "linear"])
@pytest.mark.parametrize("mode", ["mc", "mei", "gap"])
def test_one_class_and_separable_samples_stay_finite(head, mode):
    logits = pair(np.linspace(-3, 3, 40))
    for y in (np.zeros(40, dtype=int), (np.arange(40) >= 20).astype(int)):
        calibrator = ASLPCalibrator(mode=mode, head=head, l2=1e-9, n_rounds=8, random_state=0).fit(logits, y)
        assert np.isfinite(calibrator.predict_proba(logits)).all()


def test_perturbation_is_undone_by_hand_where_the_law_is_known(rng):
    eta = rng.uniform(0.05, 0.95, 200_000)
    y = (rng.random(len(eta)) < eta).astype(int)
    z = np.log(eta / (1 - eta))
    # the population's optimum is (1 - 2 s) eta + s
    s, grid = 0.1, np.linspace(0.3, 1.2, 91)
    where = np.abs(eta - 0.8) < 0.01
    losses = [LabelPerturbationLoss(level=s).value_and_derivative(pair(g * z[where]), y[where])[0].mean() for g in grid]
    found = expit(grid[int(np.argmin(losses))] * np.log(4))
    assert (found - s) / (1 - 2 * s) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("mode", ["mc", "gap"])
def test_training_rows_that_are_learnt_by_heart_are_made_modest(mode):
    rng = np.random.default_rng(1)
    logits, y, half = interpolating(rng)
    raw = ClassOutputs(logits, "logits")
    gap_before = raw.proba[~half].max(axis=1).mean() - (raw.answer == y)[~half].mean()
    aslp = ASLPCalibrator(mode=mode, random_state=0).fit(logits, y, held_out=~half)
    proba = aslp.predict_proba(logits)
    gap = proba[~half].max(axis=1).mean() - (raw.answer == y)[~half].mean()
    assert abs(gap) < 0.03 < gap_before
    np.testing.assert_array_equal(aslp.predict(logits), raw.answer)
    # one factor keeps the order of a two-class problem, so that no ranking is lost
    correct = (raw.answer == y)[~half]
    assert aurc(correct, proba[~half].max(axis=1)) == pytest.approx(aurc(correct, raw.log_odds[~half]), abs=1e-6)


def test_a_saturated_model_has_the_confidence_of_its_targets():
    y = np.arange(400) % 2
    logits = pair(np.where(y == 1, 6.0, -6.0))
    held = np.arange(400) % 4 == 0
    wrong = held & (np.arange(400) % 40 == 0)  # one held-out row in ten is wrong
    y = np.where(wrong, 1 - y, y)
    fitted = ASLPCalibrator(final_temperature=False, n_rounds=60, random_state=0).fit(logits, y, held_out=held)
    confidence = fitted.predict_proba(logits)[~held].max(axis=1).mean()
    assert confidence == pytest.approx(1 - fitted.levels_.mean(), abs=0.01)
    assert confidence == pytest.approx(0.9, abs=0.02)


def test_a_class_that_no_row_holds_keeps_a_share_with_the_final_temperature():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 3)) * 4
    y, held, sure = logits[:, :2].argmax(axis=1), np.arange(200) % 4 == 0, [[900.0, 0.0, 0.0]]
    fitted = ASLPCalibrator(random_state=0).fit(logits, y, held_out=held)
    assert fitted.uniform_ == 1 / 51  # 50 rows are held out
    assert fitted.predict_proba(sure)[0, 2] >= 1 / 51 / 3
    twice = np.concatenate([logits, logits]), np.tile(y, 2), np.tile(held, 2), np.repeat([1.0, 0.0], 200)
    weighted = ASLPCalibrator(random_state=0).fit(*twice[:2], held_out=twice[2], sample_weight=twice[3])
    np.testing.assert_allclose(weighted.predict_proba(sure), fitted.predict_proba(sure))
    without = ASLPCalibrator(final_temperature=False, random_state=0).fit(logits, y, held_out=held)
    assert without.predict_proba(sure)[0, 2] < 1e-6


def test_on_calibration_rows_alone_it_makes_true_probabilities_too_modest():
    rng = np.random.default_rng(0)
    z = rng.normal(size=20_000) * 2
    y = (rng.logistic(size=20_000) < z).astype(int)
    fitted = ASLPCalibrator(mode="mc", final_temperature=False, random_state=0).fit(pair(z), y)
    assert fitted.head_.slope < 0.9
    assert Temperature().fit(pair(z), y).temperature_ == pytest.approx(1, abs=0.05)


def test_held_out_says_what_it_wants():
    logits, y, half = interpolating(np.random.default_rng(0), n=80)
    for wrong in (half[:-1], half.astype(int), np.ones(80, dtype=bool)):
        with pytest.raises(ValueError, match="held_out must be booleans"):
            ASLPCalibrator().fit(logits, y, held_out=wrong)
    with pytest.raises(ValueError, match="mode must be one of"):
        ASLPCalibrator(mode="mci").fit(logits, y)


@pytest.mark.parametrize("head", ["linear", "affine"])
def test_the_head_that_was_fitted_answers_whatever_is_set_since(head, rng):
    z = rng.normal(size=200) * 3 - 1
    y = (rng.logistic(size=200) < z + 1).astype(int)
    fitted = ASLPCalibrator(head=head, n_rounds=3, random_state=0).fit(pair(z), y)
    proba, answer = fitted.predict_proba(pair(z)), fitted.predict(pair(z))
    assert not fitted.keeps_answer
    fitted.set_params(head="temperature")
    assert not fitted.keeps_answer
    np.testing.assert_array_equal(fitted.predict_proba(pair(z)), proba)
    np.testing.assert_array_equal(fitted.predict(pair(z)), answer)
