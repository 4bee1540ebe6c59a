"""Every formula against numbers worked by hand, and NumPy against torch."""

import numpy as np
import pytest
from scipy.special import expit

from abstain import testing
from abstain.losses import CrossEntropyLoss, FocalLoss, SteepSlopeLoss, TCPLoss, TrustLoss

E = np.exp(1.0)
LOG2 = np.log(2.0)
TABLE = [
    # steep slope (alpha_pos 1, alpha_neg 3): s = 0, 1/2, -1/2
    (SteepSlopeLoss(), 0.0, 1.0, 1 - 1 / E),
    (SteepSlopeLoss(), 0.0, 0.0, 1 - E**-3),
    (SteepSlopeLoss(), 1.0, 1.0, E**-0.5 - 1 / E),
    (SteepSlopeLoss(), 1.0, 0.0, E**1.5 - E**-3),
    (SteepSlopeLoss(), -1.0, 1.0, E**0.5 - 1 / E),
    (SteepSlopeLoss(alpha_pos=2.0, alpha_neg=5.0), -1.0, 0.0, E**-2.5 - E**-5),
    (CrossEntropyLoss(), 0.0, 1.0, LOG2),
    (CrossEntropyLoss(), np.log(3.0), 1.0, np.log(4 / 3)),
    (CrossEntropyLoss(), np.log(3.0), 0.0, np.log(4)),
    (CrossEntropyLoss(error_weight=2.0), np.log(3.0), 0.0, 2 * np.log(4)),
    (CrossEntropyLoss(), np.log(3.0), 0.25, 0.25 * np.log(4 / 3) + 0.75 * np.log(4)),
    (FocalLoss(), 0.0, 1.0, LOG2 / 4),
    (FocalLoss(), np.log(3.0), 1.0, np.log(4 / 3) / 16),
    (FocalLoss(), np.log(3.0), 0.0, np.log(4) * 9 / 16),
    (FocalLoss(gamma=1.0, error_weight=3.0), np.log(3.0), 0.0, 3 * np.log(4) * 3 / 4),
    (TCPLoss(), 0.0, 1.0, 0.25),
    (TCPLoss(), 0.0, 0.4, 0.01),
    (TCPLoss(), np.log(3.0), 0.0, 9 / 16),
    (TCPLoss(), np.log(3.0), 0.5, 1 / 16),
]


@pytest.mark.parametrize(("loss", "z", "target", "expected"), TABLE, ids=str)
def test_value_by_hand(loss, z, target, expected):
    np.testing.assert_allclose(loss.value(np.array([z]), np.array([target])), [expected], rtol=1e-12)


def test_every_loss_has_a_table():
    for loss in testing.all_losses():
        rows = [row for row in TABLE if type(row[0]) is loss]
        assert len(rows) >= 4, loss
        assert {row[2] for row in rows} >= {0.0, 1.0}
        assert isinstance(loss(), TrustLoss)


@pytest.mark.torch
@pytest.mark.parametrize("loss", sorted({row[0] for row in TABLE}, key=repr), ids=repr)
def test_numpy_and_torch_agree(loss):
    import torch

    z = np.concatenate([np.linspace(-40, 40, 161), [0.0, -1e4, 1e4]])
    for right in (0.0, 0.3, 1.0):
        target = np.full_like(z, right)
        zt = torch.tensor(z, requires_grad=True)
        value = loss.value(zt, torch.tensor(target))
        value.sum().backward()
        np.testing.assert_allclose(value.detach().numpy(), loss.value(z, target), rtol=1e-12, atol=1e-300)
        np.testing.assert_allclose(zt.grad.numpy(), loss.derivative(z, target), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(loss.inverse_link(zt).detach().numpy(), loss.inverse_link(z), rtol=1e-12)
    inner = torch.linspace(-5, 5, 11, dtype=torch.float64, requires_grad=True)
    target = torch.full((11,), 0.7, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss.value(x, target), (inner,))


def test_residuals_keep_their_digits_near_saturation():
    """Where an output is sure and right, the residual is the complement of its probability, not a difference to one."""
    z = np.array([1.0, 20.0, 36.0, 40.0, 100.0, 300.0])
    for side, target in ((z, np.ones(6)), (-z, np.zeros(6))):
        np.testing.assert_allclose(TCPLoss().value(side, target), expit(-z) ** 2, rtol=1e-12)
        slope = -np.sign(side) * 2 * expit(-z) ** 2 * expit(z)
        np.testing.assert_allclose(TCPLoss().derivative(side, target), slope, rtol=1e-12)


@pytest.mark.parametrize(
    ("alpha_neg", "alpha_pos", "point"), [(3, 1, 0.75), (5, 2, 5 / 7), (1, 1, 0.5), (6, 10, 0.375)]
)
def test_steep_slope_operating_point(alpha_neg, alpha_pos, point):
    """z > 0 means P(correct) > alpha_neg / (alpha_neg + alpha_pos), the default operating point of each pair."""
    loss = SteepSlopeLoss(alpha_pos=alpha_pos, alpha_neg=alpha_neg)
    np.testing.assert_allclose(loss.inverse_link(np.zeros(1)), [point], rtol=1e-12)
    assert loss.inverse_link(np.array([1e-6]))[0] > point > loss.inverse_link(np.array([-1e-6]))[0]


def test_steep_slope_saturation_range():
    low, high = SteepSlopeLoss(alpha_pos=1.0, alpha_neg=3.0).inverse_link(np.array([-1e9, 1e9]))
    np.testing.assert_allclose([low, high], [0.052, 0.994], atol=5e-4)


def test_focal_with_gamma_zero_is_cross_entropy():
    z, target = np.linspace(-5, 5, 11), np.tile([0.0, 1.0], 6)[:11]
    np.testing.assert_allclose(FocalLoss(gamma=0.0).value(z, target), CrossEntropyLoss().value(z, target))
    np.testing.assert_allclose(FocalLoss(gamma=0.0).inverse_link(z), CrossEntropyLoss().inverse_link(z))


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_a_weak_focus_has_a_slope_where_it_saturates(target, dtype):
    """The root of a probability that is rounded to zero has none, and zero times it would be no number."""
    import torch

    z = torch.tensor([0.0, 120.0, -120.0, 1000.0, -1000.0], dtype=getattr(torch, dtype), requires_grad=True)
    targets, loss = torch.full_like(z, target), FocalLoss(gamma=0.5)
    loss.value(z, targets).sum().backward()
    assert torch.isfinite(z.grad).all()
    torch.testing.assert_close(z.grad, loss.derivative(z.detach(), targets))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_outputs_of_half_precision_have_a_meaning(gamma):
    z = np.array([-1000, -120, -20, -12, -1, 0, 1, 12, 20, 120, 1000], dtype=np.float16)
    meaning = FocalLoss(gamma=gamma).inverse_link(z)
    assert np.isfinite(meaning).all()
    assert (np.diff(meaning) >= 0).all()
    np.testing.assert_allclose(meaning, FocalLoss(gamma=gamma).inverse_link(z.astype(float)), atol=2e-3)


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), FocalLoss()])
def test_supervision_is_per_sample_unlike_the_released_baselines(loss):
    """The released cross-entropy gradient is q_i minus the batch's mean label; ours has the sign of each label."""
    z, target = np.zeros(8), np.array([1.0, 1, 1, 1, 1, 1, 0, 0])
    gradient = loss.derivative(z, target)
    assert (gradient[target == 1] < 0).all()
    assert (gradient[target == 0] > 0).all()


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (SteepSlopeLoss, "alpha_pos", 0.0),
        (SteepSlopeLoss, "alpha_neg", 100.0),
        (CrossEntropyLoss, "error_weight", 0.0),
        (FocalLoss, "gamma", -1.0),
        (FocalLoss, "error_weight", -1.0),
    ],
)
def test_bad_constants_are_named(kind, name, value):
    with pytest.raises(ValueError, match=name):
        kind(**{name: value})


@pytest.mark.parametrize("loss", sorted({row[0] for row in TABLE}, key=repr), ids=repr)
def test_convex_losses_say_so(loss):
    z = np.linspace(-20, 20, 401)
    slopes = [loss.derivative(z, np.full_like(z, target)) for target in (0.0, 1.0)]
    assert loss.convex == all((np.diff(slope) >= -1e-12).all() for slope in slopes)


@pytest.mark.parametrize("loss", [c() for c in testing.all_losses()], ids=repr)
def test_probabilities_of_whole_numbers_are_those_of_the_same_floats(loss):
    z = np.array([-3, 0, 2])
    np.testing.assert_allclose(loss.inverse_link(z), loss.inverse_link(z.astype(float)), rtol=1e-12)
