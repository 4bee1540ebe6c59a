"""The linear probe against scikit-learn's logistic regression."""

import pickle

import joblib
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from abstain import LinearProbe
from abstain.solvers import multinomial
from abstain.warnings import ConvergenceWarning


@pytest.fixture
def sample(rng):
    y = rng.integers(0, 5, 1500)
    X = rng.normal(size=(1500, 20)) @ rng.normal(size=(20, 20)) + 2 * rng.normal(size=(5, 20))[y]
    return X, y


def objective(model, X, y, l2):
    coef = model.coef_ if len(model.coef_) > 1 else np.vstack([0 * model.coef_, model.coef_])
    intercept = np.broadcast_to(model.intercept_, len(model.coef_))
    intercept = intercept if len(model.coef_) > 1 else np.append(0, intercept)
    losses = -log_softmax(X @ coef.T + intercept, axis=1)[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    return losses.sum() + 0.5 * l2 * np.sum(model.coef_**2)


@pytest.mark.parametrize("l2", [0.1, 1.0, 100.0])
def test_same_optimum_as_logistic_regression(l2, sample):
    X, y = sample
    probe = LinearProbe(l2, standardise=False).fit(X, y)
    reference = LogisticRegression(C=1 / l2, max_iter=5000, tol=1e-8).fit(X, y)
    best = objective(reference, X, y, l2)
    assert objective(probe, X, y, l2) <= best * (1 + 5e-4)
    np.testing.assert_allclose(probe.loss_ * len(y), best, rtol=1e-3)
    np.testing.assert_allclose(probe.predict_proba(X), reference.predict_proba(X), atol=0.02)


def test_standardised_penalty_and_binary_labels(sample):
    X, y = sample
    for labels in (y, y > 2):
        probe = LinearProbe().fit(X, labels)
        reference = LogisticRegression(max_iter=2000, tol=1e-8)
        reference.fit(StandardScaler().fit_transform(X), labels)
        expected = reference.predict_proba(StandardScaler().fit_transform(X))
        np.testing.assert_allclose(probe.predict_proba(X), expected, atol=0.02)
        np.testing.assert_array_equal(probe.decision_function(X).shape, reference.decision_function(X).shape)


def test_l2_auto_takes_the_path_and_gains(rng):
    y = rng.integers(0, 3, 300)
    X = rng.normal(size=(300, 100)) + 0.15 * rng.normal(size=(3, 100))[y]
    chosen = LinearProbe("auto", random_state=0).fit(X[:150], y[:150])
    assert chosen.l2_ > 1

    def loss(probe):
        return -np.log(probe.predict_proba(X[150:])[np.arange(150), y[150:]]).mean()

    assert loss(chosen) < loss(LinearProbe(0.1).fit(X[:150], y[:150]))
    assert LinearProbe("auto").fit(X[:4], [0, 1, 0, 1]).l2_ == 1.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_from_disk_in_low_precision(dtype, sample, tmp_path):
    X, y = sample
    np.save(tmp_path / "X.npy", (X / 10).astype(dtype))
    stored = np.load(tmp_path / "X.npy", mmap_mode="r")
    probe = LinearProbe().fit(stored, y)
    exact = LinearProbe().fit(np.asarray(stored, dtype=np.float64), y)
    np.testing.assert_allclose(probe.loss_, exact.loss_, rtol=1e-3)
    np.testing.assert_allclose(probe.predict_proba(stored), exact.predict_proba(stored), atol=0.02)


def test_a_large_mean_costs_no_digits_in_float32(rng):
    y = rng.integers(0, 2, 500)
    X = (rng.normal(size=(500, 3)) + y[:, None] + 1000).astype(np.float32)
    probe, exact = LinearProbe().fit(X, y), LinearProbe().fit(X.astype(np.float64), y)
    np.testing.assert_allclose(probe.predict_proba(X), exact.predict_proba(X), atol=5e-3)


def test_workers_share_the_rows(sample):
    X, y = sample
    np.testing.assert_allclose(LinearProbe(n_jobs=2).fit(X, y).coef_, LinearProbe().fit(X, y).coef_, atol=1e-6)


def test_constant_features_and_repeated_ones(sample):
    X, y = sample
    wide = np.column_stack([X, np.ones(len(X)), X[:, 0]])
    probe = LinearProbe().fit(wide, y)
    assert np.isfinite(probe.coef_).all()
    np.testing.assert_allclose(probe.coef_[:, 20], 0, atol=1e-8)
    np.testing.assert_allclose(probe.coef_[:, 0], probe.coef_[:, 21], atol=1e-3)


def test_early_end_is_told(sample):
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        LinearProbe(max_iter=2).fit(*sample)


@pytest.mark.parametrize("l2", [-1.0, "big", None])
def test_bad_penalty_is_named(l2, sample):
    with pytest.raises(ValueError, match="l2 must be"):
        LinearProbe(l2).fit(*sample)


def test_a_failed_fit_leaves_the_probe_as_it_was(sample):
    X, y = sample
    probe = LinearProbe().fit(X, y)
    before = probe.predict_proba(X)
    with pytest.raises(ValueError, match="1 class"):
        probe.fit(X[:, :3], np.zeros(len(X)))
    np.testing.assert_array_equal(probe.predict_proba(X), before)


@pytest.mark.torch
def test_a_device_that_is_not_there_is_named(sample):
    with pytest.raises(ValueError, match="device must be"):
        LinearProbe(device="nonsense").fit(*sample)


@pytest.mark.parametrize(("name", "value"), [("max_iter", 0), ("max_iter", "many"), ("tol", 0.0), ("tol", "small")])
def test_bad_limits_are_named(name, value, sample):
    with pytest.raises(ValueError, match=name):
        LinearProbe(**{name: value}).fit(*sample)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_workers_read_their_rows_of_a_file_for_themselves(backend, rng, tmp_path):
    y = rng.integers(4, size=3000)
    X = (rng.normal(size=(4, 20))[y] + rng.normal(size=(3000, 20))).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    alone = LinearProbe().fit(X, y)
    with joblib.parallel_config(backend=backend):
        found = LinearProbe(n_jobs=2).fit(np.load(tmp_path / "X.npy", mmap_mode="r"), y)
    np.testing.assert_allclose(found.coef_, alone.coef_, atol=1e-5)


def test_a_worker_is_sent_a_place_and_not_the_rows(tmp_path):
    X = np.zeros((50_000, 40), dtype=np.float32)
    np.save(tmp_path / "X.npy", X)
    whole, few = np.load(tmp_path / "X.npy", mmap_mode="r"), np.zeros(50_000)
    rows = multinomial.Rows(whole, few.astype(int), few, None, np.zeros(40)).share(slice(100, 200))
    sent = pickle.dumps(rows)
    assert len(sent) < 10_000
    np.testing.assert_array_equal(pickle.loads(sent).features, X[100:200])
    assert multinomial.Rows(X, few.astype(int), few, None, np.zeros(40)).share(slice(0, 9)).features.base is X
