"""What a solver calls converged has converged (H7), and heads are the same on every device (H8)."""

import numpy as np
import pytest
from small_problems import attempt, overlapping, quiet

import abstain
from abstain.solvers.lbfgs import minimise

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


def quadratic(seed, condition=1e4, d=20, least=1.0):
    """Quadratic with its minimum at random, and its eigenvalues between 1 and a number."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
    A = (basis * np.geomspace(1, condition, d)) @ basis.T
    centre = rng.normal(size=(d, 1))

    def objective(x, columns):
        pull = A @ (x - centre)
        return least + 0.5 * ((x - centre) * pull).sum(axis=0), pull

    return objective


@pytest.mark.parametrize("least", [0.0, 1.0, -100.0])
@pytest.mark.parametrize("condition", [1e2, 1e4])
def test_converged_means_a_small_gradient(condition, least):
    tol = 1e-8
    for seed in range(8):
        objective = quadratic(seed, condition, least=least)
        result = minimise(objective, np.zeros((20, 1)), max_iter=1000, tol=tol)
        largest = np.abs(objective(result.x, [0])[1]).max()
        assert not result.converged[0] or largest <= 2 * tol
        assert largest <= 1e-4 * max(1.0, abs(least) / 10)  # what rounding of the value leaves


def test_columns_converge_on_their_own():
    parts = [quadratic(seed, 10.0**seed) for seed in range(5)]

    def objective(x, columns):
        each = [parts[c](x[:, [i]], [0]) for i, c in enumerate(columns)]
        return np.concatenate([value for value, _ in each]), np.hstack([gradient for _, gradient in each])

    result = minimise(objective, np.zeros((20, 5)), max_iter=2000, tol=1e-7)
    gradient = np.abs(objective(result.x, range(5))[1]).max(axis=0)
    assert (gradient[result.converged] <= 2e-7).all()
    assert result.converged[:3].all()


def square(x):
    return (x**2).sum(axis=0), 2 * x


def wrong_sign(x, columns):
    value, gradient = square(x)
    return value, -gradient


def nan_value(x, columns):
    value, gradient = square(x)
    return np.where(value < 2.9, np.nan, value), gradient


def nan_both(x, columns):
    value, gradient = square(x)
    away = value < 2.9
    return np.where(away, np.nan, value), np.where(away, np.nan, gradient)


def nan_gradient(x, columns):
    value, gradient = square(x)
    return value, np.where(value < 2.9, np.nan, gradient)


def infinite_beyond(x, columns):
    value, gradient = square(x)
    return np.where(value < 2.9, np.inf, value), gradient


def nan_everywhere(x, columns):
    return np.full(x.shape[1], np.nan), np.full(x.shape, np.nan)


def zero_and_nan_gradient(x, columns):
    return (x**2).sum(axis=0), np.where(np.arange(len(x))[:, None] == 0, np.nan, 0.0) + 0 * x


def kink(x, columns):
    return np.abs(x).sum(axis=0), np.sign(x) + (x == 0)


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow", "ignore:divide by zero")
@pytest.mark.parametrize(
    "objective",
    [
        wrong_sign, nan_value, nan_both, nan_gradient, infinite_beyond, nan_everywhere,
        zero_and_nan_gradient, kink,
    ],
)  # fmt: skip
@pytest.mark.parametrize("relative", [False, True])
def test_a_solver_that_only_stopped_does_not_say_converged(objective, relative):
    result = minimise(objective, np.ones((3, 1)), max_iter=200, tol=1e-6, relative=relative)
    assert not result.converged[0]
    if objective is not nan_everywhere:
        assert np.isfinite(result.x).all()
        assert np.isfinite(result.value).all()


def test_a_bad_column_does_not_spoil_a_good_one():
    def objective(x, columns):
        value, gradient = square(x)
        bad = np.asarray(columns) == 1
        return np.where(bad & (value < 2.9), np.nan, value), gradient

    result = minimise(objective, np.ones((3, 3)), tol=1e-8)
    assert result.converged.tolist() == [True, False, True]
    np.testing.assert_allclose(result.x[:, [0, 2]], 0.0, atol=1e-8)


def test_a_start_at_the_minimum_and_too_few_iterations_are_told_apart():
    at = minimise(lambda x, columns: square(x), np.zeros((3, 1)))
    short = minimise(quadratic(0), np.zeros((20, 1)), max_iter=2, tol=1e-8)
    assert at.converged.all()
    assert not short.converged.any()


def test_a_loss_with_a_wrong_derivative_is_told(monkeypatch):
    from abstain.losses import CrossEntropyLoss
    from abstain.warnings import ConvergenceWarning

    right = CrossEntropyLoss.derivative
    monkeypatch.setattr(CrossEntropyLoss, "derivative", lambda self, z, target: -right(self, z, target))
    X, y = overlapping(200)
    with pytest.warns(ConvergenceWarning):
        abstain.TrustHead(l2=1.0, calibrate=False).fit(X, y)


# the device chooses where, never what


def spread(head, X, y):
    return quiet(head.fit, X, y).score_samples(X)


@pytest.mark.torch
@pytest.mark.parametrize("l2", [1e6, 1e3, 1.0])
@pytest.mark.parametrize("device", ["cpu:0", "cpu", "auto"])
def test_the_penalty_holds_on_every_device(l2, device):
    pytest.importorskip("torch")
    X, y = overlapping(400)
    options = {"l2": l2, "head_inputs": "features", "random_state": 0}
    expected = spread(abstain.TrustHead(**options), X, y)
    got = spread(abstain.TrustHead(**options, training=abstain.Training(device=device)), X, y)
    assert np.ptp(got) == pytest.approx(np.ptp(expected), abs=5e-3)
    np.testing.assert_allclose(got, expected, atol=5e-3)


@pytest.mark.torch
@pytest.mark.parametrize("unit_norm", [False, True])
def test_a_chosen_penalty_does_not_depend_on_the_device(unit_norm):
    pytest.importorskip("torch")
    X, y = overlapping(400)
    options = {"unit_norm": unit_norm, "random_state": 0}
    expected = quiet(abstain.TrustHead(**options).fit, X, y)
    got = quiet(abstain.TrustHead(**options, training=abstain.Training(device="cpu:0")).fit, X, y)
    assert got.l2_ == expected.l2_
    np.testing.assert_allclose(got.score_samples(X), expected.score_samples(X), atol=5e-3)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["CorrectnessTrust", "SteepSlopeTrust", "TCPTrust", "FocalTrust"])
def test_linear_presets_do_not_depend_on_the_device(name):
    pytest.importorskip("torch")
    X, y = overlapping(400)
    make = getattr(abstain, name)
    expected = quiet(make(cv=2, random_state=0).fit, X, y).score_samples(X)
    training = abstain.Training(device="cpu:0")
    got = quiet(make(cv=2, random_state=0, training=training).fit, X, y).score_samples(X)
    np.testing.assert_allclose(got, expected, atol=5e-3)


@pytest.mark.torch
def test_a_penalty_that_a_network_ignores_is_refused_or_obeyed():
    pytest.importorskip("torch")
    X, y = overlapping(300)
    training = abstain.Training(epochs=30, lr=0.05, device="cpu")
    head = abstain.TrustHead(l2=1e8, hidden=(8,), head_inputs="features", training=training, random_state=0)
    score, refusal = attempt(lambda: head.fit(X, y).score_samples(X))
    assert "l2" in refusal if score is None else np.ptp(score) < 0.05
