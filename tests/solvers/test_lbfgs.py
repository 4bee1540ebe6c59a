"""Batched L-BFGS against SciPy, column by column."""

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from abstain.solvers.lbfgs import End, minimise


def columnwise(function, derivative):
    def objective(x, columns):
        return (
            np.array([function(x[:, i], c) for i, c in enumerate(columns)]),
            np.stack([derivative(x[:, i], c) for i, c in enumerate(columns)], axis=1),
        )

    return objective


def test_quadratics_of_any_condition_are_solved_apart(rng):
    A = [
        Q @ np.diag(np.geomspace(1, c, 12)) @ Q.T
        for c in (1, 1e2, 1e4)
        for Q in [np.linalg.qr(rng.normal(size=(12, 12)))[0]]
    ]
    b = rng.normal(size=(3, 12))
    objective = columnwise(lambda x, c: 0.5 * x @ A[c] @ x - b[c] @ x, lambda x, c: A[c] @ x - b[c])
    result = minimise(objective, np.zeros((12, 3)), tol=1e-6, max_iter=500)
    assert result.converged.all()
    for c in range(3):
        np.testing.assert_allclose(A[c] @ result.x[:, c], b[c], atol=2e-6)


def test_rosenbrock_from_several_starts():
    objective = columnwise(lambda x, c: rosen(x), lambda x, c: rosen_der(x))
    starts = np.array([[-1.2, 1.0, -1.2, 1.0], [2.0, 2.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0]]).T
    result = minimise(objective, starts, max_iter=500, tol=1e-7)
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)


def test_a_batch_gives_what_single_runs_give(rng):
    shifts = rng.normal(size=(4, 5))
    objective = columnwise(
        lambda x, c: np.logaddexp(0, x).sum() + 0.5 * ((x - shifts[c]) ** 2).sum() * (c + 1),
        lambda x, c: 1 / (1 + np.exp(-x)) + (x - shifts[c]) * (c + 1),
    )
    together = minimise(objective, np.zeros((5, 4)))
    for c in range(4):
        alone = minimise(lambda x, _, c=c: objective(x, np.array([c])), np.zeros((5, 1)))
        np.testing.assert_allclose(together.x[:, [c]], alone.x, atol=1e-10)
        scipy_x = minimize(
            lambda x, c=c: objective(x[:, None], [c])[0][0], np.zeros(5),
            jac=lambda x, c=c: objective(x[:, None], [c])[1][:, 0], method="L-BFGS-B",
        ).x  # fmt: skip
        np.testing.assert_allclose(together.x[:, c], scipy_x, atol=1e-4)


def test_what_runs_out_of_iterations_says_so():
    objective = columnwise(lambda x, c: rosen(x), lambda x, c: rosen_der(x))
    result = minimise(objective, np.full((4, 1), -1.0), max_iter=3)
    assert (result.end == End.OUT_OF_ITERATIONS).all()


def test_a_start_at_the_minimum_costs_one_evaluation():
    objective = columnwise(lambda x, c: (x**2).sum(), lambda x, c: 2 * x)
    assert minimise(objective, np.zeros((3, 2))).evaluations == 1


@pytest.mark.parametrize("seed", range(40))
def test_converged_means_a_small_gradient(seed):
    """Of badly conditioned problems whose least value is not 0, none stops early and calls that the end."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    A, b = Q @ np.diag(np.geomspace(1e-4, 1, 20)) @ Q.T, rng.normal(size=20)
    objective = columnwise(lambda x, c: 1 + 0.5 * (x - b) @ A @ (x - b), lambda x, c: A @ (x - b))
    result = minimise(objective, np.zeros((20, 1)), tol=1e-8, max_iter=2000)
    gradient = np.abs(A @ (result.x[:, 0] - b)).max()
    assert result.end[0] in (End.SMALL_GRADIENT, End.STALLED)
    assert (gradient <= 1e-8) == (result.end[0] == End.SMALL_GRADIENT)
    assert gradient < 1e-6


def nan_beyond(x, c):
    return (np.exp(-x) if (x < 1).all() else x * np.nan).sum()


@pytest.mark.parametrize(
    ("value", "slope"),
    [
        (lambda x, c: (x**2).sum(), lambda x, c: -2 * x),  # the gradient has the wrong sign
        (nan_beyond, lambda x, c: np.full_like(x, -10.0)),
        (lambda x, c: np.abs(x - 0.3).sum() + 1, lambda x, c: np.full_like(x, 1.0)),
    ],
    ids=["sign", "NaN", "kink"],
)
def test_a_failed_search_is_not_called_converged(value, slope):
    result = minimise(columnwise(value, slope), np.full((3, 2), 0.5))
    assert not result.converged.any()
    assert all(End(int(end)).words != "it converged" for end in result.end)
