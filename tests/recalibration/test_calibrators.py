"""All calibrators: the checks of scikit-learn with no expected failure, our own, and what each is by definition."""

import json
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.isotonic import isotonic_regression
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from abstain import LinearProbe, SelectiveClassifier, testing
from abstain.calibration import (
    Affine,
    Beta,
    Dirichlet,
    EnsembleTemperature,
    Histogram,
    Isotonic,
    MatrixScaling,
    Quadratic,
    ScalingBinning,
    Temperature,
    TopLabel,
    VectorScaling,
    VennAbers,
)
from abstain.calibration.venn_abers import with_one_more
from abstain.outputs import ClassOutputs
from abstain.solvers.mixture import fit_mixture
from abstain.solvers.temperature import fit_inverse_temperature
from abstain.testing import overconfident

FROZEN = json.loads((Path(__file__).parent / "frozen.json").read_text())
CALIBRATORS = testing.all_calibrators()


def _make(calibrator, **parameters):
    seeded = calibrator.__name__ in ("AutoCalibrator", "ASLPCalibrator")
    return calibrator(**parameters, **({"random_state": 0} if seeded else {}))


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@parametrize_with_checks(
    [
        *(_make(kind, estimator=LinearProbe(), cv=2) for kind in CALIBRATORS),
        Temperature(LogisticRegression(), kind="logits", cv=2),
        Isotonic(LinearProbe(), cv=2, strict=True),
    ]
)
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", testing.calibrator_checks(), ids=lambda c: c.__name__)
@pytest.mark.parametrize(
    "calibrator",
    [*map(_make, CALIBRATORS), Isotonic(strict=True), TopLabel(calibrator=Affine()), VectorScaling(temperature_l2=1.0)],
    ids=repr,
)
def test_calibrator(calibrator, check):
    check(calibrator)


def test_everything_public_is_found():
    assert {"Temperature", "MatrixScaling", "VennAbers", "AutoCalibrator"} <= {c.__name__ for c in CALIBRATORS}
    assert len(testing.calibrator_checks()) == 9


@pytest.mark.parametrize("kind", CALIBRATORS)
def test_the_answer_of_a_selective_classifier_is_that_of_its_calibrated_estimator(kind):
    X, y = testing.overlapping_classes(testing.LABELS["int"])
    model = SelectiveClassifier(_make(kind, estimator=LinearProbe(), cv=2), cv=2, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), model.estimator_.predict(X))


@pytest.mark.parametrize("true", [0.4, 1.0, 2.5])
def test_temperature_has_the_least_log_loss(true, rng):
    logits = rng.normal(size=(6000, 5))
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    found = Temperature().fit(true * logits, y).temperature_

    def loss(t):
        z = true * logits / t
        return (np.logaddexp.reduce(z, axis=1) - z[np.arange(len(y)), y]).mean()

    assert loss(found) <= min(loss(found * (1 - 1e-3)), loss(found * (1 + 1e-3)))
    assert found == pytest.approx(true, rel=0.1)


def test_temperature_equals_that_of_scikit_learn(rng):
    calibration = pytest.importorskip("sklearn.calibration")
    if not hasattr(calibration, "_TemperatureScaling"):
        pytest.skip("scikit-learn before 1.8 has no temperature")
    logits, y = overconfident(3000, 4)
    theirs = calibration._TemperatureScaling().fit(logits, y)
    assert Temperature().fit(logits, y).temperature_ == pytest.approx(1 / theirs.beta_, rel=1e-3)


def test_temperature_is_weighted_and_shrunk_by_hand(rng):
    logits, y = overconfident(200, 3)
    weight = rng.integers(1, 4, 200)
    repeated = np.repeat(np.arange(200), weight)
    assert fit_inverse_temperature(logits, y, weight.astype(float)) == pytest.approx(
        fit_inverse_temperature(logits[repeated], y[repeated]), rel=1e-6
    )
    certain = 4 * np.eye(3)[y]
    assert Temperature().fit(certain, y).temperature_ < 0.1
    assert 0.2 < Temperature(temperature_l2=1.0).fit(certain, y).temperature_ < 1


def test_uniform_share_bounds_the_loss_of_what_was_never_seen():
    logits = np.array([[50.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    proba = Temperature().fit(logits, [0, 0, 1]).predict_proba(logits)
    np.testing.assert_allclose(proba.min(axis=1), 1 / 4 / 2, rtol=1e-9)


@pytest.mark.parametrize(
    ("kind", "name", "atol"),
    [
        (Temperature, "ts-mix", 1e-6),
        (VectorScaling, "exact-svs", 1e-5),
        (MatrixScaling, "exact-sms", 1e-5),
        (VectorScaling, "svs", 3e-4),
        (MatrixScaling, "sms", 3e-4),
    ],
)
@pytest.mark.parametrize("data", ["multi", "missing"])
def test_scalings_equal_those_of_the_reference(kind, name, atol, data):
    frozen = FROZEN[data]
    fitted = kind().fit(np.array(frozen["logits"]), np.array(frozen["labels"]))
    found = fitted.predict_proba(np.array(frozen["query_logits"]))
    np.testing.assert_allclose(found, frozen["calibrators"][name], atol=atol)


def test_venn_abers_equals_that_of_the_reference():
    frozen = FROZEN["binary"]
    scores, query = np.array(frozen["scores"]), np.array(frozen["query_scores"])
    fitted = VennAbers(kind="proba").fit(np.column_stack([1 - scores, scores]), np.array(frozen["labels"]))
    low, high = fitted.intervals(np.column_stack([1 - query, query]))
    np.testing.assert_allclose(low[:, 1], frozen["venn_abers_p0"], atol=1e-9)
    np.testing.assert_allclose(high[:, 1], frozen["venn_abers_p1"], atol=1e-9)


def isotonic_with_one_more(mass, ones, label):
    """By brute force: a regression for every place that one more sample may take."""
    level = []
    for place in range(2 * len(mass) + 1):
        i, same = divmod(place, 2)
        weight, total = mass.copy(), ones.copy()
        if same:
            weight[i], total[i] = weight[i] + 1, total[i] + label
        else:
            weight, total = np.insert(weight, i, 1.0), np.insert(total, i, label)
        level.append(isotonic_regression(total / weight, sample_weight=weight)[i])
    return np.array(level)


@pytest.mark.parametrize("seed", range(20))
def test_venn_abers_is_an_isotonic_fit_with_one_more_sample(seed):
    rng = np.random.default_rng(seed)
    mass = rng.integers(1, 4, rng.integers(1, 12)).astype(float)
    ones = rng.binomial(mass.astype(int), 0.5).astype(float)
    for label in (0.0, 1.0):
        found, expected = with_one_more(mass, ones, label), isotonic_with_one_more(mass, ones, label)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_venn_abers_of_separated_classes_is_right_and_takes_no_longer_than_of_others():
    """Runs of one label are one block, and not a block a sample, which took the square of the time."""
    border, few = 7.2, np.linspace(-9, 9, 40)
    query = np.sort(np.concatenate([few, few + 0.1, [-10.0]]))  # each place once
    fitted = VennAbers().fit(np.column_stack([-few / 2, few / 2]), few > border)
    low, high = fitted.intervals(np.column_stack([-query / 2, query / 2]))
    for found, label in ((low, 0.0), (high, 1.0)):
        expected = isotonic_with_one_more(np.ones(40), (few > border).astype(float), label)
        np.testing.assert_allclose(found[:, 1], expected, rtol=0, atol=1e-12)

    score = np.linspace(-9, 9, 6000)
    seconds = []
    for y in (np.random.default_rng(0).random(6000) < 0.5, score > border):
        start = time.process_time()
        VennAbers().fit(np.column_stack([-score / 2, score / 2]), y)
        seconds.append(time.process_time() - start)
    assert seconds[1] < 10 * seconds[0]


@pytest.mark.parametrize("kind", [Affine, Beta, Quadratic, Isotonic, Histogram, ScalingBinning, VennAbers, TopLabel])
def test_the_mean_probability_of_a_class_is_its_frequency(kind, rng):
    p = rng.beta(1, 2, 4000)
    y = rng.random(4000) < p**1.5
    proba = kind(kind="proba").fit(np.column_stack([1 - p, p]), y).predict_proba(np.column_stack([1 - p, p]))
    assert proba[:, 1].mean() == pytest.approx(y.mean(), abs=0.01)


def test_affine_is_logistic_regression_of_the_log_odds(rng):
    odds = rng.normal(size=3000)
    y = rng.logistic(size=3000) < 1.5 * odds - 1
    slope, intercept = Affine().fit(np.column_stack([-odds / 2, odds / 2]), y).maps_[0]
    theirs = LogisticRegression(C=1e9, tol=1e-8).fit(odds[:, None], y)
    assert slope == pytest.approx(theirs.coef_[0, 0], rel=0.01)
    assert intercept == pytest.approx(theirs.intercept_[0], rel=0.01)


def test_slopes_of_affine_and_beta_are_never_negative(rng):
    p = rng.random(500)
    y = rng.random(500) > p
    both = np.column_stack([1 - p, p])
    for kind in (Affine, Beta):
        assert (kind(kind="proba").fit(both, y).maps_[0][:-1] >= 0).all()


def test_isotonic_steps_make_ties_and_lines_do_not(rng):
    p = rng.random(400)
    both, y = np.column_stack([1 - p, p]), rng.random(400) < p
    flat, strict = (Isotonic(kind="proba", strict=s).fit(both, y).predict_proba(both)[:, 1] for s in (False, True))
    assert len(np.unique(flat)) < 60
    inside = (p > np.quantile(p, 0.1)) & (p < np.quantile(p, 0.9))
    assert len(np.unique(strict[inside].round(12))) == inside.sum()
    assert (np.diff(strict[np.argsort(p)]) >= 0).all()


def test_histogram_is_the_share_of_each_bin(rng):
    p = rng.permutation(np.repeat(np.linspace(0.05, 0.95, 10), 30))
    y = rng.random(300) < p
    found = Histogram(kind="proba", n_bins=10).fit(np.column_stack([1 - p, p]), y).maps_[0][1]
    np.testing.assert_allclose(found, [y[p == value].mean() for value in np.unique(p)])


def test_dirichlet_with_strong_penalties_leaves_the_diagonal_alone(rng):
    logits, y = overconfident(2000, 3)
    fitted = Dirichlet(off_diagonal=1e6, intercept=1e6).fit(logits, y)
    assert np.abs(fitted.scaling_.others).max() < 1e-3
    assert np.abs(fitted.scaling_.intercept).max() < 1e-3
    np.testing.assert_allclose(1 + fitted.scaling_.own, 0.5, atol=0.12)


def test_a_calibrator_of_probabilities_takes_zeros_and_ones(rng):
    proba = np.eye(3)[rng.integers(0, 3, 200)]
    y = np.where(rng.random(200) < 0.8, proba.argmax(axis=1), rng.integers(0, 3, 200))
    for kind in CALIBRATORS:
        found = _make(kind, kind="proba").fit(proba, y).predict_proba(proba)
        assert np.isfinite(np.log(found)).all(), kind


@pytest.mark.parametrize(
    ("kind", "fit_at_most"), [(Temperature, 0.3), (VectorScaling, 2.2), (MatrixScaling, 2.2)], ids=lambda x: str(x)
)
def test_large_outputs_are_not_copied_many_times(kind, fit_at_most, rng):
    """On top of the logits, as shares of them; what `transform` returns is 1."""
    logits = 3 * rng.normal(size=(8000, 300))
    y = (logits / 2 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    model = kind()
    peaks = []
    for work in (lambda: model.fit(logits, y), lambda: model.transform(logits)):
        tracemalloc.start()
        work()
        peaks.append(tracemalloc.get_traced_memory()[1] / logits.nbytes)
        tracemalloc.stop()
    assert peaks[0] < fit_at_most
    assert peaks[1] < 1.5


@pytest.mark.slow
def test_a_matrix_for_a_thousand_classes_takes_twice_the_memory_of_the_logits_at_most(rng):
    logits = 3 * rng.normal(size=(25_000, 1000))
    y = (logits / 2 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    tracemalloc.start()
    MatrixScaling().fit(logits, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * logits.nbytes


def test_what_a_map_does_to_accuracy_is_told(rng):
    logits = rng.normal(size=(2000, 3))
    y = (logits + np.array([0, 0, 2]) + rng.gumbel(size=logits.shape)).argmax(axis=1)
    fitted = MatrixScaling().fit(logits, y)
    gained = (fitted.predict(logits) == y).mean() - (logits.argmax(axis=1) == y).mean()
    assert fitted.accuracy_change_ == pytest.approx(gained)
    assert gained > 0.05
    assert not hasattr(Temperature().fit(logits, y), "accuracy_change_")


def test_mixture_weights_are_the_optimum(rng):
    likelihood = rng.dirichlet([1, 1, 1], 400)[:, :2] + 0.01
    found = fit_mixture(likelihood)
    values = [np.log(likelihood @ [w, 1 - w]).mean() for w in np.linspace(0, 1, 1001)]
    assert np.log(likelihood @ found).mean() >= max(values) - 1e-8
    assert found.sum() == pytest.approx(1)


def test_ensemble_temperature_finds_a_mixture(rng):
    logits = 3 * rng.normal(size=(20_000, 4))
    y = np.where(
        rng.random(20_000) < 0.3, rng.integers(0, 4, 20_000), (logits + rng.gumbel(size=logits.shape)).argmax(1)
    )
    weights = EnsembleTemperature().fit(logits, y).weights_
    assert weights[2] > 0.1


@pytest.mark.parametrize("seed", range(3))
def test_many_classes_gain_from_directions_where_these_are_overstated(seed):
    rng = np.random.default_rng(seed)
    logits = 0.5 * rng.normal(size=(3000, 30)) @ rng.normal(size=(30, 200)) / 2
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    strong = np.linalg.svd(logits, full_matrices=False)[2][:7].T
    shown = logits + 0.6 * logits @ strong @ strong.T

    def loss(calibrator):
        z = calibrator.fit(shown[:2000], y[:2000]).transform(shown[2000:])
        return (np.logaddexp.reduce(z, axis=1) - z[np.arange(1000), y[2000:]]).mean()

    fitted = MatrixScaling()
    assert loss(fitted) < loss(VectorScaling()) - 0.005
    assert fitted.directions_.factors[0] < -0.1
    honest = MatrixScaling().fit(2 * logits, y)
    assert not honest.directions_.factors.any()


def test_labels_that_do_not_name_the_columns_are_refused():
    logits, y = overconfident(60, 3)
    with pytest.raises(ValueError, match="3 columns"):
        Temperature().fit(logits, np.minimum(y, 1) + 5)
    with pytest.raises(ValueError, match="not among the classes"):
        Temperature().fit(ClassOutputs(logits, "logits", ["a", "b", "c"]), np.where(y == 0, "a", "z"))
    with pytest.raises(TypeError, match="calibrated without one"):
        Temperature(LinearProbe()).fit(ClassOutputs(logits, "logits"), y)
    with pytest.raises(ValueError, match='Then pass kind="logits"'):
        Temperature(kind="proba").fit(logits, y)
