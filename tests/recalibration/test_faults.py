"""What a reader who tried to break the calibrators found: each with its small input and the right value."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from abstain.calibration import (
    ASLPCalibrator,
    AutoCalibrator,
    EnsembleTemperature,
    Histogram,
    Isotonic,
    MatrixScaling,
    Quadratic,
    Temperature,
    TopLabel,
    VennAbers,
)
from abstain.dense import ContextCalibrator, image_outcomes
from abstain.metrics import calibration_report, expected_calibration_error, smooth_calibration_error
from abstain.outputs import ClassOutputs
from abstain.testing import overconfident, overlapping_classes
from abstain.warnings import ColumnsWarning, RefitWarning

LOGITS, Y = overconfident(300, 3)
NAMES = np.array(["a", "b", "c"])


def test_classes_in_another_order_are_refused():
    fitted = Temperature().fit(ClassOutputs(LOGITS, "logits", NAMES), NAMES[Y])
    for other in (NAMES[::-1], np.array(["x", "y", "z"])):
        with pytest.raises(ValueError, match="same columns in the same order"):
            fitted.predict(ClassOutputs(LOGITS, "logits", other))
    with pytest.raises(ValueError, match="same columns"):
        VennAbers().fit(LOGITS, Y).intervals(ClassOutputs(np.zeros((2, 5)), "logits"))
    with pytest.raises(ValueError, match="differently"):
        ClassOutputs(LOGITS, "logits", ["a", "a", "b"])


def test_columns_of_a_frame_in_another_order_are_refused():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(LOGITS, columns=list("abc"))
    fitted = Temperature().fit(frame, Y)
    np.testing.assert_allclose(fitted.predict_proba(frame), Temperature().fit(LOGITS, Y).predict_proba(LOGITS))
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame[["c", "b", "a"]])


def test_labels_that_may_begin_at_one_are_warned_of_and_booleans_name_two_columns():
    some = Y < 2
    with pytest.warns(ColumnsWarning, match="begin at 1"):
        Temperature().fit(LOGITS[some], Y[some] + 1)
    with pytest.raises(ValueError, match="3 columns"):
        Temperature().fit(LOGITS, Y > 0)
    many = np.zeros((30, 3000))
    assert len(np.unique(Temperature().fit(many, np.arange(30).astype(np.float16)).classes_)) == 3000


@pytest.mark.parametrize("kind", [EnsembleTemperature, AutoCalibrator])
@pytest.mark.parametrize("odds", [160, 500, 690, 740])
def test_one_error_of_thousands_that_was_all_but_impossible(kind, odds):
    y = np.arange(6000) % 2
    logits = np.zeros((6000, 2))
    logits[np.arange(6000), y] = 20.0
    logits[0] = 0, odds
    proba = kind().fit(logits, y).predict_proba(logits)
    assert np.isfinite(np.log(proba)).all()
    assert -np.log(proba[np.arange(6000), y]).mean() < 0.01


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1e4, 1e8])
@pytest.mark.parametrize("kind", [Temperature, MatrixScaling, AutoCalibrator])
def test_the_scale_of_logits_does_not_matter_to_a_temperature(kind, scale):
    options = {"guard": None, "random_state": 0, "members": [Temperature()]} if kind is AutoCalibrator else {}
    plain = kind(**options).fit(LOGITS, Y).predict_proba(LOGITS)
    scaled = kind(**options).fit(scale * LOGITS, Y).predict_proba(scale * LOGITS)
    # the outputs as they came are a member of the mixture, and scale with the logits
    np.testing.assert_allclose(scaled, plain, atol=0.05 if kind is AutoCalibrator else 1e-5)


def test_the_order_of_memory_does_not_matter():
    logits, y = overconfident(300, 12)
    fitted = VennAbers().fit(np.asfortranarray(logits), y)
    whole = fitted.predict_proba(np.asfortranarray(logits))
    np.testing.assert_array_equal(fitted.predict_proba(logits), whole)
    single = np.concatenate([fitted.predict_proba(logits[[i]]) for i in range(40)])
    np.testing.assert_allclose(single, whole[:40], rtol=1e-12)


def test_an_answer_that_is_not_the_largest_output_stays_whatever_fit_has_seen():
    p = np.repeat([0.1, 0.2, 0.7, 0.9], 10)
    values, true = np.column_stack([1 - p, p]), (p > 0.5).astype(int)
    true[0] = 1
    fitted = Isotonic().fit(ClassOutputs(values, answer=(p > 0.3).astype(int)), true)
    assert fitted.predict(ClassOutputs([[0.6, 0.4]], answer=[1])).tolist() == [1]


def test_misspelt_parameters_of_fit_are_named():
    with pytest.raises(TypeError, match="sample_wieght"):
        Temperature().fit(LOGITS, Y, sample_wieght=np.ones(300))


def test_parameters_of_fit_reach_the_estimator_of_aslp_by_routing():
    X, y = overlapping_classes(np.array([0, 1, 2]))
    weight = np.where(y == 0, 5.0, 1.0)
    aslp = ASLPCalibrator(GaussianNB(), n_rounds=3, random_state=0)
    plain = aslp.fit(X, y).estimator_.class_prior_
    with config_context(enable_metadata_routing=True):
        off = ASLPCalibrator(GaussianNB().set_fit_request(sample_weight=False), n_rounds=3, random_state=0)
        with pytest.raises(TypeError, match="not routed"):
            off.fit(X, y, sample_weight=weight)
        on = ASLPCalibrator(GaussianNB().set_fit_request(sample_weight=True), n_rounds=3, random_state=0)
        assert not np.allclose(on.fit(X, y, sample_weight=weight).estimator_.class_prior_, plain)
        frozen = FrozenEstimator(GaussianNB().fit(X, y))
        ASLPCalibrator(frozen, n_rounds=3).fit(X, y, held_out=np.arange(len(y)) % 2 == 0)
    aslp.fit(X, y, sample_weight=None)
    ASLPCalibrator(SGDClassifier(loss="log_loss"), n_rounds=3).fit(X, y, coef_init=np.zeros((3, 4)))


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_maps_that_are_not_finite_are_refused(bad):
    rng = np.random.default_rng(0)
    maps, masks = rng.normal(size=(6, 8, 8, 3)), rng.integers(0, 3, (6, 8, 8))
    fitted = ContextCalibrator(random_state=0).fit(maps, masks)
    maps[0, 0, 0, 0] = bad
    for call in (lambda: fitted.predict_proba(maps), lambda: image_outcomes(maps, masks, kind="logits")):
        with pytest.raises(ValueError, match="maps has NaN or infinite"):
            call()


def test_maps_of_probabilities_sum_to_one():
    masks = np.zeros((1, 2, 2), dtype=int)
    for row in ([0.9, 0.9, 0.0], [0.0, 0.0, 0.0]):
        with pytest.raises(ValueError, match="sum to one"):
            image_outcomes(np.tile(row, (1, 2, 2, 1)), masks)


@pytest.mark.parametrize("p", [0.5, 0.3, 0.9, 1 / 3])
def test_neighbouring_floats_part_bins(p):
    both = np.array([p, np.nextafter(p, 1)])
    error = expected_calibration_error([0, 1], both, strategy="mass", n_bins=2)
    assert error == pytest.approx((p + 1 - p) / 2)
    odds = np.array([1.0, np.nextafter(1.0, 2)])
    shares = Histogram(n_bins=2).fit(np.column_stack([-odds / 2, odds / 2]), [0, 1]).maps_[0][1]
    assert np.isfinite(shares).all()


def test_all_wrong_and_sure_is_an_error_of_one():
    for n in (1, 9, 11):
        assert smooth_calibration_error([0] * n, [1.0] * n) == pytest.approx(1)
        assert smooth_calibration_error([1] * n, [0.0] * n) == pytest.approx(1)


def test_rows_of_no_weight_are_not_drawn():
    proba, weight = np.full((5, 2), 0.5), [1, 0, 0, 0, 0]
    for seed in range(5):
        calibration_report([0, 1, 0, 1, 0], proba, sample_weight=weight, n_resamples=20, random_state=seed)
    report = calibration_report([0, 1, 0, 1, 0], proba, groups=list("abbbb"), sample_weight=weight, n_resamples=0)
    assert [row.name for row in report.rows] == ["all", "a"]


def test_errors_speak_of_kind():
    X, y = overlapping_classes(np.array([0, 1, 2]))
    with pytest.raises(TypeError) as caught:
        Temperature(LinearSVC()).fit(X, y)
    assert 'kind="logits"' in "".join(caught.value.__notes__)
    for calibrator in (AutoCalibrator(), ASLPCalibrator()):
        assert calibrator.keeps_answer is False


def test_far_logits_are_finite():
    far = np.array([[1e308, -1e308], [-1e308, 1e308], [1.0, 0.0], [0.0, 1.0]])
    for kind in (Temperature, Quadratic, Isotonic, Histogram):
        assert np.isfinite(kind().fit(far, [0, 1, 0, 1]).predict_proba(far)).all()


def test_numbers_of_folds_may_be_of_numpy():
    found = AutoCalibrator(cv=np.int64(2), random_state=0).fit(LOGITS, Y).report_
    assert found.mixture == AutoCalibrator(cv=2, random_state=0).fit(LOGITS, Y).report_.mixture


def test_members_and_inner_calibrators_have_no_estimator():
    around = Temperature(GaussianNB())
    for calibrator in (AutoCalibrator(members=[around]), TopLabel(calibrator=around)):
        with pytest.raises(TypeError, match="without an estimator"):
            calibrator.fit(LOGITS, Y)


def test_a_fitted_estimator_that_is_not_frozen_is_warned_of_by_all():
    X, y = overlapping_classes(np.array([0, 1, 2]))
    for kind in (Temperature, ASLPCalibrator):
        with pytest.warns(RefitWarning, match="fitted but not frozen"):
            kind(GaussianNB().fit(X, y)).fit(X, y)


def test_the_order_of_many_rows_does_not_matter_to_a_matrix_of_many_classes():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1500, 20)) @ rng.normal(size=(20, 150)) / 3
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    strong = np.linalg.svd(logits, full_matrices=False)[2][:3].T
    shown = logits + 0.8 * logits @ strong @ strong.T
    order = rng.permutation(1500)
    fitted, shuffled = MatrixScaling().fit(shown, y), MatrixScaling().fit(shown[order], y[order])
    assert fitted.directions_.factors.any()
    np.testing.assert_allclose(shuffled.predict_proba(shown), fitted.predict_proba(shown), atol=1e-6)


@pytest.mark.parametrize(
    "calibrator",
    [
        Temperature(), EnsembleTemperature(), AutoCalibrator(members=[Temperature()], random_state=0), TopLabel(),
        ASLPCalibrator(n_rounds=3, random_state=0), Isotonic(),
    ],
    ids=lambda c: type(c).__name__,
)  # fmt: skip
def test_what_cannot_be_is_never_likelier_than_what_can(calibrator):
    """Where a calibrator keeps the order of a row, or of each class."""
    logits = np.array([[0, -12, -np.inf], [0, -500, -np.inf], [-12, -np.inf, 0], [-np.inf, 0, -500]])
    proba = calibrator.fit(LOGITS, Y).predict_proba(logits)
    impossible = np.isneginf(logits)
    assert (proba[impossible] <= np.where(impossible, 1.0, proba).min(axis=1)).all()
