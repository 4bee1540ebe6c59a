"""Linear heads against scikit-learn and SciPy, for every loss."""

import pickle

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from abstain import testing
from abstain.losses import CrossEntropyLoss
from abstain.solvers.design import Design
from abstain.solvers.linear import Share, gradient_at, partial_sums, solve, weight_norm


@pytest.fixture
def data(rng):
    X = rng.normal(size=(700, 6)) * [1, 2, 5, 0.1, 1, 1] + 3
    target = (rng.random(700) < 1 / (1 + np.exp(-(X[:, 0] - 3 + X[:, 1] / 2)))).astype(float)
    return X, target


def penalties(design, values):
    l2 = np.tile(np.asarray(values, dtype=float), (design.size, 1))
    l2[design.blocks["intercept"]] = 0
    return l2


def test_cross_entropy_is_logistic_regression(data):
    X, target = data
    design = Design(X)
    fit = solve(CrossEntropyLoss(), design, target, l2=penalties(design, [0.5, 10.0]), tol=1e-7)
    standard = (X - X.mean(axis=0)) / X.std(axis=0)
    for j, C in enumerate([2.0, 0.1]):
        reference = LogisticRegression(C=C, tol=1e-8, max_iter=1000).fit(standard, target)
        np.testing.assert_allclose(fit.parameters[:-1, j], reference.coef_[0], atol=1e-4)
        np.testing.assert_allclose(fit.parameters[-1, j], reference.intercept_[0], atol=1e-4)


@pytest.mark.parametrize("unit_norm", [False, True])
@pytest.mark.parametrize("kind", testing.all_losses())
def test_every_loss_against_scipy(data, rng, kind, unit_norm):
    X, target = data
    design, loss = Design(X), kind()
    start = rng.normal(size=(design.size, 1)) * 0.3
    l2 = penalties(design, [0.0 if unit_norm else 1.0])
    standard = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(700)])

    def value(w):
        norm = np.linalg.norm(w[:-1]) + 1e-7 if unit_norm else 1.0
        return loss.value(standard @ w / norm, target).mean() + 0.5 * (l2[:, 0] * w**2).sum() / 700

    fit = solve(loss, design, target, l2=l2, starts=start, unit_norm=unit_norm, tol=1e-7)
    reference = minimize(value, start[:, 0], method="L-BFGS-B", options={"maxiter": 2000, "ftol": 1e-14})
    assert fit.value[0] == pytest.approx(value(fit.parameters[:, 0]), abs=1e-10)
    assert fit.value[0] <= reference.fun + 1e-6
    if unit_norm:
        assert weight_norm(design, fit.parameters / weight_norm(design, fit.parameters)) == pytest.approx(1, abs=1e-5)


def test_columns_see_their_own_rows(data):
    X, target = data
    design = Design(X)
    included = np.ones((700, 3), dtype=bool)
    included[:200, 1] = False
    included[300:, 2] = False
    fit = solve(CrossEntropyLoss(), design, target, l2=penalties(design, [1.0] * 3), included=included, tol=1e-7)
    for j in range(3):
        rows = included[:, j]
        alone = Design(X[rows], mean=design.mean, scale=design.scale)
        expected = solve(CrossEntropyLoss(), alone, target[rows], l2=penalties(alone, [1.0]), tol=1e-7)
        np.testing.assert_allclose(fit.parameters[:, [j]], expected.parameters, atol=1e-4)


def test_gradient_at(data):
    X, target = data
    design = Design(X)
    gradient = gradient_at(CrossEntropyLoss(), design, target, np.zeros((design.size, 1)))
    standard = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(700)])
    np.testing.assert_allclose(gradient[:, 0], standard.T @ (0.5 - target) / 700, atol=1e-12)


def test_sums_over_shares_are_the_sum_over_all_rows_and_travel_without_them(rng, tmp_path):
    n, columns = 3000, np.arange(2)
    np.save(tmp_path / "X.npy", rng.normal(size=(n, 40)).astype(np.float32))
    features = np.load(tmp_path / "X.npy", mmap_mode="r")
    design = Design(features, rng.normal(size=(n, 2)), rng.integers(3, size=n), 3)
    target, included = rng.random(n), rng.random((n, 2)) < 0.7
    parameters = rng.normal(size=(design.size, 2))
    at = columns, parameters, *design.unscaled(parameters)
    whole = partial_sums(CrossEntropyLoss(), Share(design, target, included), *at)
    total = None
    for rows in (slice(0, 100), slice(100, 1700), slice(1700, n)):
        sent = pickle.dumps(design.share(rows))
        assert len(sent) < 30 * (rows.stop - rows.start) + 10_000  # of what is in memory, not of the file
        share = Share(pickle.loads(sent), target[rows], included[rows])
        found = partial_sums(CrossEntropyLoss(), share, *at)
        total = found if total is None else total.merge(found)
    np.testing.assert_allclose(total.value, whole.value)
    np.testing.assert_allclose(total.gradient, whole.gradient, atol=1e-8)
