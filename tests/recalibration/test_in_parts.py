"""A temperature in parts is the temperature of all, in whatever order, on whatever machine."""

import pickle

import joblib
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

import abstain
from abstain.calibration import Temperature
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
    assert found.temperature_ == pytest.approx(Temperature().fit(logits, y).temperature_, rel=1e-4)


def test_a_fit_begins_anew_and_a_file_keeps_the_sums(rng, tmp_path):
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
