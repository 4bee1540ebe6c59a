"""Maps of pixels: what counts, what an image is, and calibrators of both kinds."""

import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks as checks

from abstain import TargetRisk
from abstain.calibration import ASLPCalibrator, MatrixScaling, Temperature
from abstain.dense import ContextCalibrator, DenseCalibrator, dense_report, image_outcomes, pixel_outcomes
from abstain.dense.context import column_names
from abstain.metrics import aurc, expected_calibration_error
from abstain.solvers.shared_weights import fit_shared_weights


def scenes(n=40, side=16, n_classes=2, seed=0):
    """Logits of images, some of which are understood and some not; they do not say so pixel by pixel."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(n, side, side, n_classes)) * rng.choice([0.5, 2.0], size=(n, 1, 1, 1))
    masks = (true + rng.gumbel(size=true.shape)).argmax(axis=3)
    return (2 * true, masks) if n_classes > 2 else (2 * (true[..., 1] - true[..., 0]), masks)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_map_is_its_pixels(n_classes):
    logits, masks = scenes(n_classes=n_classes)
    dense = DenseCalibrator(pixels_per_image=256, random_state=0).fit(logits, masks)
    flat = np.column_stack([np.zeros(masks.size), logits.ravel()]) if n_classes == 2 else logits.reshape(-1, n_classes)
    alone = Temperature().fit(flat, masks.ravel())
    assert dense.calibrator_.temperature_ == pytest.approx(alone.temperature_, rel=1e-6)
    proba = alone.predict_proba(flat)
    expected = proba[:, 1].reshape(masks.shape) if n_classes == 2 else proba.reshape(logits.shape)
    np.testing.assert_allclose(dense.predict_proba(logits), expected, atol=1e-6)
    mapped = dense.transform(logits)
    assert mapped.shape == logits.shape
    assert mapped.dtype == np.float32
    if n_classes == 2:
        np.testing.assert_allclose(sigmoid(mapped.astype(float)), expected, atol=1e-6)


@pytest.mark.parametrize("calibrator", [DenseCalibrator(random_state=0), ContextCalibrator(random_state=0)])
def test_images_are_calibrated_alone_or_in_company_and_ignored_pixels_have_no_effect(calibrator):
    logits, masks = scenes()
    hidden = masks.copy()
    hidden[:, :4] = 255
    changed = logits.copy()
    changed[:, :4] = 9.0
    valid = hidden != 255
    fitted, other = clone(calibrator).fit(logits, hidden), clone(calibrator).fit(changed, hidden)
    proba = fitted.predict_proba(logits, valid=valid)
    np.testing.assert_allclose(other.predict_proba(changed, valid=valid)[valid], proba[valid], atol=1e-5)
    single = np.concatenate([fitted.predict_proba(logits[[i]], valid=valid[[i]]) for i in range(3)])
    np.testing.assert_allclose(single, proba[:3], atol=1e-6)
    order = np.random.default_rng(0).permutation(len(logits))
    np.testing.assert_allclose(fitted.predict_proba(logits[order], valid=valid[order]), proba[order], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_dtypes_agree_and_inputs_stay_as_they_are(dtype):
    logits, masks = scenes()
    logits = logits.astype(np.float16)
    before = logits.copy()
    for calibrator in (DenseCalibrator(random_state=0), ContextCalibrator(random_state=0)):
        wide = clone(calibrator).fit(logits.astype(np.float64), masks).predict_proba(logits)
        narrow = clone(calibrator).fit(logits.astype(dtype), masks.astype(np.uint8)).predict_proba(logits.astype(dtype))
        np.testing.assert_allclose(narrow, wide, atol=1e-5)
    np.testing.assert_array_equal(logits, before)


def test_probabilities_and_logits_are_one_map():
    logits, masks = scenes()
    by_logits = DenseCalibrator(random_state=0).fit(logits, masks)
    by_proba = DenseCalibrator(kind="proba", random_state=0).fit(sigmoid(logits), masks)
    np.testing.assert_allclose(by_proba.predict_proba(sigmoid(logits)), by_logits.predict_proba(logits), atol=1e-4)


def test_context_knows_an_image_that_is_understood():
    def shown(n, seed):
        """Half of the images are shown as if all were sure; they are not, but no pixel alone says so."""
        rng = np.random.default_rng(seed)
        flat = (np.arange(n) % 2 == 0)[:, None, None]
        true = rng.normal(size=(n, 16, 16)) * np.where(flat, 0.5, 3.0)
        masks = (rng.logistic(size=true.shape) < true).astype(int)
        return np.where(flat, 2.5 * np.sign(true), true), masks

    (logits, masks), (fresh, truth) = shown(120, 0), shown(80, 1)
    plain = dense_report(DenseCalibrator(random_state=0).fit(logits, masks).predict_proba(fresh), truth)
    context = dense_report(ContextCalibrator(random_state=0).fit(logits, masks).predict_proba(fresh), truth)
    assert context.log_loss < plain.log_loss - 0.005
    assert context.image_ece < plain.image_ece - 0.01
    assert context.image_aurc < plain.image_aurc
    assert context.accuracy >= plain.accuracy - 0.01


def test_context_does_not_know_which_class_is_which():
    logits, masks = scenes(n_classes=3)
    order = [2, 0, 1]
    fitted = ContextCalibrator(random_state=0).fit(logits, masks)
    renamed = ContextCalibrator(random_state=0).fit(logits[..., order], np.argsort(order)[masks])
    assert list(fitted.weights_) == column_names()
    np.testing.assert_allclose(
        renamed.predict_proba(logits[..., order]), fitted.predict_proba(logits)[..., order], atol=1e-4
    )


def test_flat_images_and_images_of_one_class_are_finite():
    logits, masks = scenes(6)
    logits[0], masks[0], masks[1] = 3.0, 1, 0
    for calibrator in (DenseCalibrator(random_state=0), ContextCalibrator(random_state=0)):
        assert np.isfinite(calibrator.fit(logits, masks).transform(logits)).all()


def test_one_pixel_an_image_is_a_table():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(400, 1, 1))
    masks = (rng.logistic(size=logits.shape) < logits / 2).astype(int)
    dense = DenseCalibrator(random_state=0).fit(logits, masks).predict_proba(logits).ravel()
    both = np.column_stack([np.zeros(400), logits.ravel()])
    np.testing.assert_allclose(dense, Temperature().fit(both, masks.ravel()).predict_proba(both)[:, 1], atol=1e-6)


def test_aslp_has_a_level_for_each_image():
    logits, masks = scenes(30)
    held_out = np.arange(30) % 3 == 0
    dense = DenseCalibrator(ASLPCalibrator(n_rounds=8), random_state=0).fit(logits, masks, held_out=held_out)
    assert dense.calibrator_.levels_.shape == (20,)


def test_weights_of_shared_columns_are_the_minimum(rng):
    x, codes = rng.normal(size=(200, 3, 4)), rng.integers(0, 4, 200)
    weight, ridge = np.full(200, 1 / 200), np.full(3, 0.01)

    def loss(w):
        z = np.einsum("njk,j->nk", x, w)
        return weight @ (np.logaddexp.reduce(z, axis=1) - z[np.arange(200), codes]) + 0.5 * ridge @ w**2

    found = fit_shared_weights(x, codes, weight, ridge, np.zeros(3))
    for step in np.eye(3):
        assert loss(found) <= min(loss(found + 1e-3 * step), loss(found - 1e-3 * step))


def test_report_by_hand():
    logits, masks = scenes(5)
    masks[0, 0] = 255
    proba = sigmoid(logits)
    report = dense_report(proba, masks)
    valid = masks != 255
    sure, right = np.maximum(proba, 1 - proba), (proba > 0.5) == masks
    # ten bins between one half and one are the upper ten of twenty
    assert report.ece == pytest.approx(expected_calibration_error(right[valid], sure[valid], n_bins=20))
    within = [expected_calibration_error(right[i][valid[i]], sure[i][valid[i]], n_bins=20) for i in range(5)]
    assert report.image_ece == pytest.approx(np.mean(within))
    assert report.accuracy == pytest.approx(right[valid].mean())
    assert report.pixel_aurc == pytest.approx(aurc(right[valid], sure[valid]))
    images = image_outcomes(proba, masks)
    np.testing.assert_allclose(images.loss, [1 - right[i][valid[i]].mean() for i in range(5)])
    np.testing.assert_allclose(images.confidence, [sure[i][valid[i]].mean() for i in range(5)])
    assert report.image_aurc == pytest.approx(aurc(None, images.confidence, loss=images.loss))
    pixels = pixel_outcomes(proba, masks)
    assert len(pixels.image) == valid.sum() == report.n_pixels
    np.testing.assert_array_equal(pixels.correct, right[valid])
    assert "5 images" in str(report)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("scale", "offset"), [(1e30, 0.0), (1e30, 1e17), (1e4, 1e19), (500.0, 1e17)])
def test_the_answer_of_far_logits_is_the_largest(scale, offset, dtype, rng):
    logits = (scale * rng.normal(size=(3, 8, 8, 4)) + offset).astype(dtype)
    masks = np.where(rng.random((3, 8, 8)) < 0.7, logits.argmax(axis=3), rng.integers(0, 4, (3, 8, 8)))
    report = dense_report(logits, masks, kind="logits")
    assert report.accuracy == pytest.approx((logits.argmax(axis=3) == masks).mean())


@pytest.mark.filterwarnings("ignore::abstain.warnings.UncertifiedWarning")
def test_a_promise_on_pixels_has_the_image_as_its_unit():
    """Images fail as a whole: a binomial over pixels takes each for thousands of witnesses, and breaks its promise."""
    rng = np.random.default_rng(0)
    wrong, risk, n_sets = 0.101, 0.1, 100
    broken = {"images": 0, "pixels": 0}
    for _ in range(n_sets):
        fails = rng.random(150) < wrong
        masks = np.ones((150, 4, 4), dtype=int)
        masks[fails] = 0
        pixels = pixel_outcomes(np.full(masks.shape, 0.9), masks)
        for name, clusters in (("images", pixels.image), ("pixels", None)):
            options = {} if clusters is None else {"clusters": clusters}
            policy = TargetRisk(risk, delta=0.1).fit(pixels.confidence, pixels.correct, **options)
            broken[name] += policy.accept(np.array([0.9])).any()
    assert broken["images"] <= 0.1 * n_sets + 3 * np.sqrt(0.09 * n_sets)
    assert broken["pixels"] > 0.15 * n_sets


@pytest.mark.slow
def test_ten_million_pixels_need_twice_the_memory_of_their_logits():
    logits, masks = scenes(40, side=16)
    maps = np.tile(logits.astype(np.float32), (8, 12, 11))
    truth = np.tile(masks.astype(np.uint8), (8, 12, 11))
    assert maps.size > 10_000_000
    tracemalloc.start()
    fitted = DenseCalibrator(random_state=0).fit(maps, truth)
    proba = fitted.predict_proba(maps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert proba.shape == maps.shape
    assert peak < 2 * maps.nbytes


@pytest.mark.parametrize(
    ("logits", "masks", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3), int), "maps must have shape"),
        (np.zeros((2, 3, 3)), np.zeros((2, 3, 4), int), "masks must have the shape"),
        (np.zeros((2, 3, 3)), np.full((2, 3, 3), 2), "there are 2 classes"),
        (np.zeros((2, 3, 3)), np.full((2, 3, 3), 255), "without a pixel that counts"),
        (np.zeros((2, 3, 3)), np.zeros((2, 3, 3)), "whole numbers"),
        (np.full((2, 3, 3), np.nan), np.zeros((2, 3, 3), int), "NaN"),
    ],
)
def test_malformed_maps_are_named(logits, masks, message):
    for calibrator in (DenseCalibrator(), ContextCalibrator()):
        with pytest.raises(ValueError, match=message):
            calibrator.fit(logits, masks)


def test_parameters_are_checked():
    logits, masks = scenes(4)
    for wrong, message in (
        ({"kind": "scores"}, "kind"), ({"pixels_per_image": 0}, "pixels_per"), ({"ignore_label": 1.5}, "ignore_label"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            DenseCalibrator(**wrong).fit(logits, masks)
    with pytest.raises(ValueError, match="l2"):
        ContextCalibrator(l2=-1).fit(logits, masks)
    with pytest.raises(TypeError, match="calibrator must be"):
        DenseCalibrator(MatrixScaling).fit(logits, masks)
    fitted = DenseCalibrator().fit(logits, masks)
    with pytest.raises(ValueError, match="2 were fitted"):
        fitted.transform(np.zeros((1, 3, 3, 4)))
    with pytest.raises(ValueError, match="valid must have shape"):
        fitted.transform(logits, valid=np.ones((2, 2)))


@pytest.mark.parametrize("kind", [DenseCalibrator, ContextCalibrator])
@pytest.mark.parametrize(
    "check",
    [
        checks.check_no_attributes_set_in_init, checks.check_parameters_default_constructible,
        checks.check_get_params_invariance, checks.check_set_params, checks.check_estimator_cloneable,
        checks.check_estimator_repr,
    ],
    ids=lambda c: c.__name__,
)  # fmt: skip
def test_conventions(kind, check):
    check(kind.__name__, kind())
