"""A temperature in parts is the temperature of all, in whatever order, on whatever machine."""

import pickle

import joblib
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

import abstain
from abstain.calibration import Temperature
from abstain.outputs import ClassOutputs
from abstain.scores import fit_in_parts


def drawn(rng, n, n_classes, temperature):
    z = rng.normal(size=(n, n_classes))
    return temperature * z, (z + rng.gumbel(size=z.shape)).argmax(axis=1)


def best(logits, y, weight=None):
    """Temperature of least log-loss, by its definition."""

    def loss(u):
        z = np.exp(u) * logits
        return np.average(logsumexp(z, axis=1) - z[np.arange(len(y)), y], weights=weight)

    return np.exp(-minimize_scalar(loss, bracket=(-2, 2), options={"xtol": 1e-12}).x)


@pytest.mark.parametrize(("n_classes", "temperature"), [(2, 3.0), (3, 0.05), (10, 0.4), (50, 40.0)])
def test_parts_add_up_to_the_whole(n_classes, temperature, rng):
    logits, y = drawn(rng, 3000, n_classes, temperature)
    parts = np.array_split(rng.permutation(3000), 7)
    one, other = Temperature(), Temperature()
    for part in parts[:4]:
        one.partial_fit(logits[part], y[part], classes=range(n_classes))
    for part in parts[4:]:
        other.partial_fit(logits[part], y[part], classes=range(n_classes))
    before = one.temperature_
    merged = pickle.loads(pickle.dumps(one)).merge(other)
    assert merged.temperature_ == pytest.approx(best(logits, y), rel=1e-5)
    assert one.temperature_ == before
    whole = Temperature().fit(logits, y)
    assert merged.uniform_ == pytest.approx(whole.uniform_)
    np.testing.assert_allclose(merged.predict_proba(logits), whole.predict_proba(logits), rtol=2e-4, atol=1e-12)


def test_weights_count_over_all_parts(rng):
    logits, y = drawn(rng, 2000, 3, 2.0)
    weight = np.where(np.arange(2000) < 1000, 5.0, 0.5)
    found = Temperature().partial_fit(logits[:1000], y[:1000], weight[:1000])
    found.partial_fit(logits[1000:], y[1000:], weight[1000:])
    assert found.temperature_ == pytest.approx(best(logits, y, weight), rel=1e-5)
    assert found.uniform_ == pytest.approx(Temperature().fit(logits, y, sample_weight=weight).uniform_)


def test_parts_of_a_file_by_workers(rng, tmp_path):
    logits, y = drawn(rng, 4000, 5, 2.5)
    np.save(tmp_path / "logits.npy", logits)
    with joblib.parallel_config(backend="loky"):
        found = fit_in_parts(Temperature(), tmp_path / "logits.npy", y, n_jobs=2)
    assert found.temperature_ == pytest.approx(best(logits, y), rel=1e-5)


def test_labels_of_any_kind_with_their_classes(rng):
    logits, y = drawn(rng, 1000, 3, 2.0)
    names = np.array(["ant", "bee", "cat"])
    model = Temperature()
    for k in range(3):  # each part has one class
        model.partial_fit(logits[y == k], names[y[y == k]], classes=names)
    assert model.classes_.tolist() == names.tolist()
    assert model.temperature_ == pytest.approx(best(logits, y), rel=1e-5)


def test_where_there_are_no_errors_the_temperature_is_at_its_limit(rng):
    logits = 5 * np.eye(4)[rng.integers(4, size=200)]
    assert np.exp(-6) <= Temperature().partial_fit(logits, logits.argmax(axis=1)).temperature_ < 0.01
    assert Temperature().partial_fit(-logits, logits.argmax(axis=1)).temperature_ == pytest.approx(np.exp(6))
    ridged = [Temperature(temperature_l2=1.0) for _ in range(2)]
    ridged[0].partial_fit(logits, logits.argmax(axis=1))
    ridged[1].fit(logits, logits.argmax(axis=1))
    assert ridged[0].temperature_ == pytest.approx(ridged[1].temperature_, rel=1e-4)


def test_probabilities_and_what_cannot_be(rng):
    logits, y = drawn(rng, 1500, 3, 2.0)
    proba = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    found = Temperature(kind="proba").partial_fit(proba, y)
    assert found.temperature_ == pytest.approx(Temperature(kind="proba").fit(proba, y).temperature_, rel=1e-5)
    logits[::50, 0] = -np.inf
    y[::50] = 1
    found = Temperature().partial_fit(logits, y)
    assert found.temperature_ == pytest.approx(best(logits, y), rel=1e-4)


def test_a_fit_begins_anew_and_a_file_keeps_the_sums(rng, tmp_path):
    pytest.importorskip("skops", reason="needs skops: pip install '.[io]'")
    logits, y = drawn(rng, 1000, 3, 2.0)
    model = Temperature().partial_fit(logits[:500], y[:500])
    abstain.save(model, tmp_path / "t")
    again = abstain.load(tmp_path / "t").partial_fit(logits[500:], y[500:])
    assert again.temperature_ == pytest.approx(best(logits, y), rel=1e-5)
    model.fit(logits, y)
    assert not hasattr(model, "sums_")
    with pytest.raises(ValueError, match="merge needs two Temperature"):
        model.merge(again)


def test_wrong_use_is_explained_and_changes_nothing(rng):
    logits, y = drawn(rng, 200, 3, 2.0)
    model = Temperature().partial_fit(logits, y)
    before = model.temperature_
    for act, message in (
        (lambda: model.partial_fit(logits[:, :2], y % 2), "X has the classes|2 features"),
        (lambda: model.partial_fit(logits, y[1:]), "y must hold a label for each of the 200 rows"),
        (lambda: model.partial_fit(logits, y, -np.ones(200)), "sample_weight"),
        (lambda: model.partial_fit(logits, np.full(200, 7), classes=range(3)), "not among the classes"),
        (lambda: model.merge(Temperature().partial_fit(logits[:, :2], y % 2)), "merge needs the same classes"),
    ):
        with pytest.raises(ValueError, match=message):
            act()
        assert model.temperature_ == before
    assert not hasattr(Temperature(abstain.LinearProbe()), "partial_fit")


def test_classes_are_those_of_the_columns_in_order(rng):
    logits, y = drawn(rng, 300, 4, 2.0)
    for classes in (list("dacb"), [0, 1, 2], [0, 1, 2, 2], [3, 2, 1, 0], [[0, 1, 2, 3]]):
        for X in (logits, ClassOutputs(logits, "logits")):
            with pytest.raises(ValueError, match="classes"):
                Temperature().partial_fit(X, y, classes=classes)
    with pytest.raises(ValueError, match="X must have shape"):
        Temperature().partial_fit(logits[:, 0], y, classes=range(4))


def test_columns_keep_their_names(rng):
    pd = pytest.importorskip("pandas", reason="needs the test extra")
    logits, y = drawn(rng, 400, 3, 2.0)
    frame = pd.DataFrame(logits, columns=list("abc"))
    model = Temperature().partial_fit(frame[:200], y[:200])
    with pytest.raises(ValueError, match="feature names"):
        model.partial_fit(frame[list("cab")][200:], y[200:])
    with pytest.raises(ValueError, match="same kind, temperature_l2 and columns"):
        model.merge(Temperature().partial_fit(frame[list("cab")], y))


def test_only_what_was_asked_alike_can_be_merged(rng):
    logits, y = drawn(rng, 200, 3, 2.0)
    with pytest.raises(ValueError, match="same kind, temperature_l2"):
        Temperature().partial_fit(logits, y).merge(Temperature(temperature_l2=1.0).partial_fit(logits, y))
    with pytest.raises(ValueError, match="cannot go on from fit"):
        Temperature().fit(logits, y).partial_fit(logits, y)


@pytest.mark.parametrize("size", [1, 100, 1000])
def test_classes_that_cannot_be_are_so_in_parts_of_any_size(size, rng):
    logits, y = drawn(rng, 1000, 4, 2.0)
    impossible = (rng.random(logits.shape) < 0.2) & (np.arange(4) != y[:, None])
    logits[impossible] = -np.inf
    weight = np.where(np.arange(1000) < 20, 0.0, 1.0)
    logits[:20, 1:] = -1e3  # rows of no weight say nothing, not even of what is small
    model = Temperature()
    for start in range(0, 1000, size):
        rows = slice(start, start + size)
        if weight[rows].any():
            model.partial_fit(logits[rows], y[rows], weight[rows], classes=range(4))
    there = weight > 0
    assert model.temperature_ == pytest.approx(best(logits[there], y[there]), rel=1e-4)
    assert model.lowest_ == pytest.approx(Temperature().fit(logits, y, sample_weight=weight).lowest_)
    logits[50, y[50]] = -np.inf
    with pytest.raises(ValueError, match="gives some labels the probability 0"):
        model.partial_fit(logits[50:60], y[50:60], classes=range(4))


def test_where_every_temperature_is_as_good_it_is_one():
    assert Temperature().partial_fit(np.zeros((20, 3)), np.arange(20) % 3).temperature_ == 1.0


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_weights_have_a_size(size, rng):
    logits, y = drawn(rng, 50, 3, 2.0)
    with pytest.raises(ValueError, match="sample_weight must be 0 or between"):
        Temperature().partial_fit(logits, y, np.full(50, size))


def test_parts_of_any_labels_by_workers(rng, tmp_path):
    logits, y = drawn(rng, 900, 3, 2.0)
    order = np.argsort(y, kind="stable")  # each part lacks a class
    np.save(tmp_path / "logits.npy", logits[order])
    found = fit_in_parts(Temperature(), tmp_path / "logits.npy", np.array(["ant", "bee", "cat"])[y[order]], n_parts=3)
    assert found.temperature_ == pytest.approx(best(logits, y), rel=1e-5)
    assert found.classes_.tolist() == ["ant", "bee", "cat"]
