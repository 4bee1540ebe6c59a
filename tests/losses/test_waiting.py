"""On an accelerator a loss that asks for one number waits for all that was asked before: none does.

Tensors of torch's "meta" device have a shape and no numbers, so that asking for one is an error.
"""

import pytest

from abstain import testing
from abstain.losses import (
    AdaptivePerturbationLoss,
    ClassLoss,
    EntropyTerm,
    HXELoss,
    SelectiveLoss,
    SYNCLoss,
    TrustLoss,
    WLFLoss,
)

torch = pytest.importorskip("torch", reason="needs torch: pip install '.[torch]'")

CLASS_LOSSES = [kind() for kind in testing.all_losses(ClassLoss)] + [
    WLFLoss([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.0, 0.1, 0.9]]),
    HXELoss([3, 3, 4, 4, -1], 0.7),
    AdaptivePerturbationLoss(mode="mei"),
]
SELECTIVE_LOSSES = [kind() for kind in testing.all_losses(SelectiveLoss)] + [
    SYNCLoss(mode="mse"),
    SYNCLoss(mode="weight", gamma=1.0, chance_correction=True),
    SYNCLoss(prior_head="auxiliary"),
]


def nowhere(*shape, **kind):
    return torch.empty(shape, device="meta", requires_grad=not kind, **kind)


@pytest.mark.parametrize("loss", [kind() for kind in testing.all_losses(TrustLoss)], ids=repr)
def test_trust_losses(loss):
    z = nowhere(6)
    loss.value(z, nowhere(6, dtype=torch.float32)).mean().backward()
    assert z.grad.shape == loss.inverse_link(z).shape == (6,)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("loss", CLASS_LOSSES, ids=repr)
def test_class_losses(loss, soft):
    logits = nowhere(6, 3)
    targets = nowhere(6, 3, dtype=torch.float32) if soft else nowhere(6, dtype=torch.int64)
    value, slope = loss.value_and_derivative(logits, targets, nowhere(6, dtype=torch.float32))
    assert (value.shape, slope.shape) == ((6,), (6, 3))


@pytest.mark.parametrize("loss", SELECTIVE_LOSSES, ids=repr)
def test_selective_losses(loss):
    logits, select, auxiliary = nowhere(6, 3), nowhere(6), nowhere(6, 3)
    codes, memory = nowhere(6, dtype=torch.int64), nowhere(6, dtype=torch.float32)
    kept = (memory, memory.nanmean()) if hasattr(loss, "remember") else None
    loss.value(logits, select, codes, auxiliary=auxiliary, memory=kept).backward()
    assert logits.grad.shape == (6, 3)
    if kept is not None:
        assert loss.remember(logits, select, codes, memory, auxiliary=auxiliary).shape == (6,)


def test_entropy():
    assert EntropyTerm().parts(nowhere(6, 3)).shape == (6,)


class Elsewhere(torch.Tensor):
    """A tensor that says it is on an accelerator, and has numbers all the same."""

    device = torch.device("meta")


@pytest.mark.parametrize("code", [-1, 3])
@pytest.mark.parametrize("loss", CLASS_LOSSES, ids=repr)
def test_a_code_of_no_class_is_no_number_there(loss, code):
    logits = torch.randn((3, 3), generator=torch.Generator().manual_seed(0))
    found = loss.value_and_derivative(logits, torch.tensor([0, code, 2]).as_subclass(Elsewhere))
    known = loss.value_and_derivative(logits, torch.tensor([0, 1, 2]))
    for part, expected in zip(found, known, strict=True):
        assert part[1].isnan().all()
        torch.testing.assert_close(part[[0, 2]].as_subclass(torch.Tensor), expected[[0, 2]])
