"""Losses on logits: numbers worked by hand, the closed form of the cap, and NumPy against torch."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from abstain import testing
from abstain.losses import (
    AdaptivePerturbationLoss,
    ClassLoss,
    DifficultyEntropyLoss,
    HXELoss,
    LabelPerturbationLoss,
    SoftmaxLoss,
    WLFLoss,
)

TREE = [4, 4, 5, 5, 6, 6, -1]  # (0, 1) and (2, 3)
WEIGHTS = [[0.7, 0.1, 0.1, 0.1], [0.2, 0.8, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.05, 0.05, 0.3, 0.6]]
LOSSES = [
    SoftmaxLoss(),
    DifficultyEntropyLoss(alpha=0.5),
    LabelPerturbationLoss(),
    WLFLoss(WEIGHTS),
    HXELoss(TREE, 0.7),
]
H3 = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))  # entropy of (3/4, 1/4)
TABLE = [
    (SoftmaxLoss(), [0.0, 0.0], 0, 1.0, np.log(2)),
    (SoftmaxLoss(), [np.log(3), 0.0], 0, 1.0, np.log(4 / 3)),
    (SoftmaxLoss(), [np.log(3), 0.0], 1, 1.0, np.log(4)),
    (SoftmaxLoss(), [0.0, np.log(3)], 0, 1.0, np.log(4)),
    (DifficultyEntropyLoss(alpha=0.5), [0.0, 0.0], 0, 1.0, 0.5 * np.log(2)),
    (DifficultyEntropyLoss(alpha=0.5), [np.log(3), 0.0], 0, 0.0, np.log(4 / 3)),
    (DifficultyEntropyLoss(alpha=0.5), [np.log(3), 0.0], 0, 1.0, np.log(4 / 3) - 0.5 * H3),
    (DifficultyEntropyLoss(alpha=0.5), [np.log(3), 0.0], 1, 0.4, np.log(4) - 0.2 * H3),
    (WLFLoss(), [np.log(3), 0.0], 1, 1.0, np.log(4)),
    (WLFLoss([[0.9, 0.1], [0.2, 0.8]]), [np.log(3), 0.0], 0, 1.0, 0.9 * np.log(4 / 3) + 0.1 * np.log(4)),
    (WLFLoss([[0.9, 0.1], [0.2, 0.8]]), [np.log(3), 0.0], 1, 1.0, 0.2 * np.log(4 / 3) + 0.8 * np.log(4)),
    (WLFLoss([[0.9, 0.1], [0.2, 0.8]]), [np.log(3), 0.0], 1, 0.5, 0.1 * np.log(4 / 3) + 0.9 * np.log(4)),
    (HXELoss(), [np.log(3), 0.0], 1, 1.0, np.log(4)),
    (HXELoss(TREE), [np.log(3), 0.0, 0.0, 0.0], 0, 1.0, np.log(2)),
    (HXELoss(TREE, 1.0), [np.log(3), 0.0, 0.0, 0.0], 0, 1.0, np.log(6 / 4) + np.exp(-1) * np.log(4 / 3)),
    (HXELoss(TREE, 1.0), [np.log(3), 0.0, 0.0, 0.0], 3, 1.0, np.log(6 / 2) + np.exp(-1) * np.log(2)),
    (HXELoss([4, 4, 4, 5, 5, -1], 2.0), [np.log(3), 0.0, 0.0, 0.0], 3, 1.0, np.log(6)),
    (LabelPerturbationLoss(), [np.log(3), 0.0], 0, 0.0, np.log(4 / 3)),
    (LabelPerturbationLoss(), [np.log(3), 0.0], 0, 0.1, 0.9 * np.log(4 / 3) + 0.1 * np.log(4)),
    (LabelPerturbationLoss(), [np.log(3), 0.0], 1, 0.25, 0.75 * np.log(4) + 0.25 * np.log(4 / 3)),
    (LabelPerturbationLoss(), [np.log(2), 0.0, 0.0], 0, 0.4, 0.6 * np.log(2) + 0.4 * np.log(4)),
    (AdaptivePerturbationLoss(), [np.log(3), 0.0], 0, 0.0, np.log(4 / 3)),
    (AdaptivePerturbationLoss(mode="mei"), [np.log(3), 0.0], 0, 0.1, 0.9 * np.log(4 / 3) + 0.1 * np.log(4)),
    (AdaptivePerturbationLoss(), [np.log(3), 0.0], 1, 0.25, 0.75 * np.log(4) + 0.25 * np.log(4 / 3)),
    (AdaptivePerturbationLoss(), [np.log(2), 0.0, 0.0], 0, 0.4, 0.6 * np.log(2) + 0.4 * np.log(4)),
]


def samples():
    """Logits of four classes, codes of the true ones, and how strong a term of its own a loss applies."""
    rng = np.random.RandomState(0)
    return rng.normal(scale=3.0, size=(12, 4)), rng.randint(4, size=12), rng.uniform(size=12)


@pytest.mark.parametrize(("loss", "logits", "code", "weight", "expected"), TABLE, ids=str)
def test_value_by_hand(loss, logits, code, weight, expected):
    value, _ = loss.value_and_derivative(np.array([logits]), np.array([code]), np.array([weight]))
    np.testing.assert_allclose(value, [expected], rtol=1e-12)


def test_every_class_loss_has_a_table():
    for kind in testing.all_losses(ClassLoss):
        assert sum(type(row[0]) is kind for row in TABLE) >= 4
        assert isinstance(kind(), ClassLoss)


@pytest.mark.parametrize(("n_classes", "strength", "p"), [(10, 0.3, 0.849), (100, 0.2, 0.819), (1000, 0.1, 0.968)])
def test_the_entropy_bonus_caps_confidence(n_classes, strength, p):
    """At the minimum of one sample, strength times p times the margin is 1; the digest's table of caps."""
    loss = DifficultyEntropyLoss(alpha=strength)

    def value(margin):
        logits = np.append(margin, np.zeros(n_classes - 1))[None]
        return loss.value_and_derivative(logits, np.array([0]), np.ones(1))[0][0]

    margin = minimize_scalar(value, bounds=(0, 60), method="bounded", options={"xatol": 1e-9}).x
    reached = np.exp(margin) / (np.exp(margin) + n_classes - 1)
    np.testing.assert_allclose(strength * reached * margin, 1, rtol=1e-4)
    np.testing.assert_allclose(reached, p, atol=1e-3)
    root = brentq(lambda m: strength * m / (1 + (n_classes - 1) * np.exp(-m)) - 1, 0.1, 60)
    np.testing.assert_allclose(margin, root, rtol=1e-4)


def test_alpha_zero_is_cross_entropy():
    logits, codes, weight = samples()
    plain = SoftmaxLoss().value_and_derivative(logits, codes, np.ones(12))
    bonus = DifficultyEntropyLoss(alpha=0.0).value_and_derivative(logits, codes, weight)
    for mine, theirs in zip(bonus, plain, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@pytest.mark.torch
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_numpy_and_torch_agree(loss):
    import torch

    logits, codes, weight = samples()
    parts = (torch.tensor(logits, requires_grad=True), torch.tensor(codes), torch.tensor(weight))
    value, slope = loss.value_and_derivative(*parts)
    value.sum().backward()
    expected = loss.value_and_derivative(logits, codes, weight)
    np.testing.assert_allclose(value.detach().numpy(), expected[0], rtol=1e-12)
    np.testing.assert_allclose(slope.detach().numpy(), expected[1], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(parts[0].grad.numpy(), expected[1], rtol=1e-9, atol=1e-14)


def test_bad_alpha_is_named():
    with pytest.raises(ValueError, match="alpha"):
        DifficultyEntropyLoss(alpha=-0.1)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_soft_labels_are_what_codes_are_shares_of(loss):
    logits, codes, strength = samples()
    hard = loss.value_and_derivative(logits, codes, strength)
    for one, other in zip(loss.value_and_derivative(logits, np.eye(4)[codes], strength), hard, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    shares = np.random.default_rng(0).dirichlet(np.ones(4), len(codes))
    value, slope = loss.value_and_derivative(logits, shares, strength)
    mixed = [loss.value_and_derivative(logits, np.full(len(codes), k), strength) for k in range(4)]
    np.testing.assert_allclose(value, sum(shares[:, k] * mixed[k][0] for k in range(4)), rtol=1e-9)
    np.testing.assert_allclose(slope, sum(shares[:, [k]] * mixed[k][1] for k in range(4)), atol=1e-12)


@pytest.mark.parametrize("codes", [np.array([0, 5]), np.array([-1, 0])])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_codes_of_no_class_are_refused(loss, codes):
    with pytest.raises(ValueError, match="codes"):
        loss.value_and_derivative(np.zeros((2, 3)), codes)


@pytest.mark.parametrize("kind", testing.all_losses(ClassLoss), ids=lambda kind: kind.__name__)
def test_a_class_that_cannot_be_and_is_not_costs_nothing(kind):
    value, slope = kind().value_and_derivative(np.array([[2.0, 1.0, -np.inf]]), np.array([0]))
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    assert slope[0, 2] == 0


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", testing.all_losses(ClassLoss), ids=lambda kind: kind.__name__)
def test_a_class_that_cannot_be_and_is_not_costs_nothing_in_torch(kind, dtype):
    import torch

    logits = torch.tensor([[2.0, 1.0, -np.inf]], dtype=getattr(torch, dtype), requires_grad=True)
    value, slope = kind().value_and_derivative(logits, torch.tensor([0]))
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(slope).all()
    torch.testing.assert_close(logits.grad, slope)
    if kind is SoftmaxLoss:
        torch.testing.assert_close(value[0], torch.nn.functional.cross_entropy(logits, torch.tensor([0])))
