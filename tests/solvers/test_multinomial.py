"""The multinomial solver: gradients, shares of workers, torch, penalties."""

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize

from abstain.losses import DifficultyEntropyLoss, SoftmaxLoss
from abstain.solvers.lbfgs import End
from abstain.solvers.multinomial import Rows, build_problem, partial_sums


@pytest.fixture
def sample(rng):
    X = rng.normal(size=(200, 4)) * [1, 5, 0.1, 1] + [0, 100, 0, 3]
    return X, rng.integers(0, 3, 200), rng.random(200)


@pytest.mark.parametrize("loss", [SoftmaxLoss(), DifficultyEntropyLoss(alpha=0.4)])
def test_optimum_equals_that_of_scipy(loss, sample):
    X, codes, strength = sample
    scale = X.std(axis=0)
    problem = build_problem(loss, X, codes, 3, strength=strength)
    fit = problem.solve(2.0, max_iter=500, tol=1e-9)

    def objective(flat):
        W, b = flat[:12].reshape(4, 3), flat[12:]
        value, slope = loss.value_and_derivative((X - X.mean(axis=0)) @ W + b, codes, strength)
        gradient = (X - X.mean(axis=0)).T @ slope / 200 + 2.0 / 200 * scale[:, None] ** 2 * W
        penalty = np.sum((scale[:, None] * W) ** 2) / 200
        return value.mean() + penalty, np.append(gradient.ravel(), slope.sum(axis=0) / 200)

    start = np.random.default_rng(1).normal(size=15) * 0.1
    assert check_grad(lambda x: objective(x)[0], lambda x: objective(x)[1], start) < 1e-5
    best = minimize(objective, np.zeros(15), jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-14})
    assert fit.end is End.SMALL_GRADIENT
    np.testing.assert_allclose(fit.value, best.fun, rtol=1e-7)
    W, b = best.x[:12].reshape(4, 3), best.x[12:]
    found, expected = X @ fit.weights + fit.intercept, (X - X.mean(axis=0)) @ W + b
    centred = (z - z.mean(axis=1, keepdims=True) for z in (found, expected))
    np.testing.assert_allclose(*centred, atol=1e-3)


def test_sums_over_shares_merge_to_the_whole(sample):
    X, codes, weight = sample
    rows = Rows(X, codes, weight, None, X.mean(axis=0))
    at = np.full((4, 3), 0.1), np.arange(3.0)
    whole = partial_sums(SoftmaxLoss(), rows, *at)
    parts = [partial_sums(SoftmaxLoss(), rows.share(slice(a, a + 50)), *at) for a in range(0, 200, 50)]
    merged = parts[0].merge(parts[1]).merge(parts[2]).merge(parts[3])
    for mine, theirs in zip(merged, whole, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10)
    assert parts[0].value < merged.value  # no operand changed


def test_a_warm_start_ends_where_a_cold_one_does_and_sooner(sample):
    X, codes, _ = sample
    problem = build_problem(SoftmaxLoss(), X, codes, 3)
    near = problem.solve(3.0, max_iter=300, tol=1e-8)
    cold, warm = problem.solve(2.0, max_iter=300, tol=1e-8), problem.solve(2.0, near, max_iter=300, tol=1e-8)
    np.testing.assert_allclose(warm.value, cold.value, rtol=1e-9)
    assert warm.evaluations < cold.evaluations


@pytest.mark.torch
def test_torch_computes_the_same(sample):
    X, codes, weight = sample
    fits = [
        build_problem(DifficultyEntropyLoss(), X, codes, 3, weight=weight, strength=weight, device=device).solve(
            1.0, max_iter=200, tol=1e-8
        )
        for device in ("cpu", "cpu:0")
    ]
    np.testing.assert_allclose(fits[1].weights, fits[0].weights, rtol=1e-6, atol=1e-9)


def test_a_weight_counts_as_so_many_rows(sample, rng):
    X, codes, strength = sample
    weight = rng.integers(1, 4, 200)
    options = {"max_iter": 500, "tol": 1e-9}
    loss = DifficultyEntropyLoss()
    weighed = build_problem(loss, X, codes, 3, weight=weight.astype(float), strength=strength).solve(1.0, **options)
    rows = np.repeat(np.arange(200), weight)
    repeated = build_problem(loss, X[rows], codes[rows], 3, strength=strength[rows]).solve(1.0, **options)
    np.testing.assert_allclose(weighed.weights, repeated.weights, rtol=1e-6, atol=1e-8)


def test_soft_labels_are_shares_of_rows(sample):
    """A row with the shares 1/4 and 3/4 is four rows, one of one class and three of another."""
    X, codes, _ = sample
    other = (codes + 1) % 3
    shares = 0.25 * np.eye(3)[codes] + 0.75 * np.eye(3)[other]
    soft = build_problem(SoftmaxLoss(), X, shares, 3).solve(1.0, max_iter=500, tol=1e-9)
    rows, labels = np.tile(np.arange(200), 4), np.concatenate([codes, other, other, other])
    hard = build_problem(SoftmaxLoss(), X[rows], labels, 3).solve(4.0, max_iter=500, tol=1e-9)
    np.testing.assert_allclose(soft.weights, hard.weights, rtol=1e-6, atol=1e-8)
