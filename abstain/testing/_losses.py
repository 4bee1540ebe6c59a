"""That a loss is the derivative of itself, sample by sample or batch by batch."""

import numpy as np


def loss_checks() -> list:
    """Return the checks of a trust loss."""
    return [value for name, value in globals().items() if name.startswith("check_loss_")]


def class_loss_checks() -> list:
    """Return the checks of a class loss."""
    return [value for name, value in globals().items() if name.startswith("check_class_loss_")]


def selective_loss_checks() -> list:
    """Return the checks of a selective loss."""
    return [value for name, value in globals().items() if name.startswith("check_selective_loss_")]


_Z = np.array([-30.0, -3.0, -0.7, 0.0, 0.2, 1.5, 30.0])


def _both_targets():
    return np.repeat(_Z, 2), np.tile([0.0, 1.0], _Z.size)


def check_loss_derivative(loss):
    """``derivative`` is that of ``value``, by central differences."""
    z, target = _both_targets()
    step = 1e-6 * np.maximum(np.abs(z), 1)
    numeric = (loss.value(z + step, target) - loss.value(z - step, target)) / (2 * step)
    np.testing.assert_allclose(loss.derivative(z, target), numeric, rtol=1e-4, atol=1e-7)


def check_loss_is_per_sample(loss):
    """Each sample has its own loss: permuting the targets changes it, and (b, 1) against (b,) raises."""
    z, target = _both_targets()
    value = loss.value(z, target)
    assert value.shape == z.shape
    alone = np.concatenate([loss.value(z[[i]], target[[i]]) for i in range(z.size)])
    np.testing.assert_allclose(value, alone, rtol=1e-12)
    assert abs(loss.value(z, np.sort(target)).mean() - value.mean()) > 1e-3
    message = ""
    try:
        loss.value(z[:, None], target)
    except ValueError as error:
        message = str(error)
    assert "one-dimensional" in message, "a column of outputs was broadcast against a row of targets"


def check_loss_is_finite_and_monotone(loss):
    """Finite at +-1e4 in both precisions; falls in z for right predictions and rises for errors."""
    for dtype in (np.float32, np.float64):
        z = np.array([-1e4, -50.0, -1.0, 0.0, 1.0, 50.0, 1e4], dtype=dtype)
        for right in (0.0, 1.0):
            target = np.full_like(z, right)
            values = loss.value(z, target)
            assert np.isfinite(values).all()
            assert np.isfinite(loss.derivative(z, target)).all()
            assert values.dtype == dtype
            rise = np.diff(values)
            assert (rise <= 0).all() if right else (rise >= 0).all()


def check_loss_inverse_link_inverts_the_minimiser(loss):
    """At the minimiser of the expected loss, ``inverse_link`` is the expected target; it keeps the order."""
    grid = np.linspace(-60, 60, 240_001)
    ones = np.ones_like(grid)
    link = loss.inverse_link(grid)
    assert (np.diff(link) >= 0).all()
    assert link.min() >= 0
    assert link.max() <= 1
    for eta in (0.2, 0.5, 0.8):
        expected = eta * loss.value(grid, ones) + (1 - eta) * loss.value(grid, 0 * ones)
        np.testing.assert_allclose(link[expected.argmin()], eta, atol=2e-3)


def _logits(n_classes=4, random_state=0):
    rng = np.random.RandomState(random_state)
    logits = rng.normal(scale=3.0, size=(12, n_classes))
    return logits, rng.randint(n_classes, size=12), rng.uniform(size=12)


def check_class_loss_derivative(loss):
    """The derivative is that of the value, by central differences."""
    logits, codes, weight = _logits()
    _, slope = loss.value_and_derivative(logits, codes, weight)
    assert slope.shape == logits.shape
    for k in range(logits.shape[1]):
        step = np.zeros_like(logits)
        step[:, k] = 1e-6
        above, below = (loss.value_and_derivative(logits + s, codes, weight)[0] for s in (step, -step))
        np.testing.assert_allclose(slope[:, k], (above - below) / 2e-6, rtol=1e-5, atol=1e-7)


def check_class_loss_is_per_sample(loss):
    """Each sample has its own loss, the classes matter, and a constant added to all logits does not."""
    logits, codes, weight = _logits()
    value, slope = loss.value_and_derivative(logits, codes, weight)
    assert value.shape == codes.shape
    alone = [loss.value_and_derivative(logits[[i]], codes[[i]], weight[[i]])[0][0] for i in range(len(codes))]
    np.testing.assert_allclose(value, alone, rtol=1e-12)
    assert (loss.value_and_derivative(logits, (codes + 1) % 4, weight)[0] != value).all()
    np.testing.assert_allclose(loss.value_and_derivative(logits + 7, codes, weight)[0], value, rtol=1e-9)
    np.testing.assert_allclose(slope.sum(axis=1), 0, atol=1e-12)


def check_class_loss_is_finite(loss):
    """Finite at +-1e4, in both precisions, which are kept."""
    for dtype in (np.float32, np.float64):
        logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype=dtype)
        for part in loss.value_and_derivative(logits, np.array([0, 2]), np.ones(2, dtype=dtype)):
            assert np.isfinite(part).all()
            assert part.dtype == dtype


def check_class_loss_refuses_shapes(loss):
    """Codes of shape (b, 1) against logits of shape (b, K) raise."""
    logits, codes, weight = _logits()
    message = ""
    try:
        loss.value_and_derivative(logits, codes[:, None], weight)
    except ValueError as error:
        message = str(error)
    assert "shape" in message, "a column of codes was broadcast"


def check_selective_loss_is_a_property_of_the_batch(loss):
    """The value is a scalar that does not depend on the order of the samples, but on which class is whose."""
    logits, codes, memory = _logits()
    select = np.linspace(-2, 2, len(codes))
    kept, order = (memory, memory.mean()), np.random.RandomState(1).permutation(len(codes))
    value = loss.value(logits, select, codes, memory=kept)
    assert np.ndim(value) == 0
    again = loss.value(logits[order], select[order], codes[order], memory=(memory[order], kept[1]))
    np.testing.assert_allclose(again, value, rtol=1e-9)
    assert loss.value(logits, select, (codes + 1) % 4, memory=kept) != value
    for part in loss.parts(logits, select, codes, memory=kept).values():
        assert part.shape == codes.shape


def check_selective_loss_moves_each_selector_its_own_way(loss):
    """The derivative by the selectors differs between samples; log-odds are monotone in them, and invert themselves."""
    logits, codes, _ = _logits()
    select = np.zeros(len(codes))
    slope = []
    for step in 1e-6 * np.eye(len(codes)):
        slope.append((loss.value(logits, select + step, codes) - loss.value(logits, select - step, codes)) / 2e-6)
    assert np.ptp(slope) > 1e-4
    sign = np.sign(loss.log_odds(logits, select + 1) - loss.log_odds(logits, select))
    assert (sign == sign[0]).all()
    assert sign[0] != 0
    np.testing.assert_allclose(loss.log_odds(logits, loss.log_odds(logits, select + 1)), select + 1, atol=1e-9)


def check_selective_loss_is_finite(loss):
    """Finite at +-1e4, in both precisions, which are kept."""
    for dtype in (np.float32, np.float64):
        logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype=dtype)
        for select in (np.array([1e4, -1e4], dtype=dtype), np.array([-1e4, 1e4], dtype=dtype)):
            value = loss.value(logits, select, np.array([0, 2]))
            assert np.isfinite(value)
            assert value.dtype == dtype


def check_selective_loss_refuses_shapes(loss):
    """A column of selectors against rows of losses raises."""
    logits, codes, _ = _logits()
    message = ""
    try:
        loss.value(logits, np.zeros((len(codes), 1)), codes)
    except ValueError as error:
        message = str(error)
    assert "shape" in message, "a column of selectors was broadcast"
