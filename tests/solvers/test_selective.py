"""Networks that predict and select: NumPy evaluates what torch trained, memory sees every sample, seeds repeat."""

import numpy as np
import pytest

from abstain.losses import GamblersLoss, SelectiveNetLoss, SelfAdaptiveLoss
from abstain.solvers import forward
from abstain.solvers.design import Design
from abstain.solvers.training import Training

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("selector_head", [False, True])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 4)])
def test_numpy_evaluates_what_torch_trained(rng, hidden, selector_head):
    import torch

    from abstain.solvers.heads import JointNetwork

    X = rng.normal(size=(30, 5)).astype(np.float32) * 3 + 1
    design = Design(X)
    generator = torch.Generator().manual_seed(0)
    network = JointNetwork(5, hidden, 3, 2, selector_head, design.mean, design.scale, generator)
    with torch.no_grad():
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, generator=generator)
        logits, select, auxiliary = network(torch.from_numpy(X))
    assert (auxiliary is None) is not selector_head
    outputs = forward.outputs(design, *network.arrays())
    np.testing.assert_allclose(outputs, np.column_stack([logits, select]), rtol=1e-3, atol=1e-3)


def test_all_weights_but_none_of_the_last_are_drawn():
    import torch

    from abstain.solvers.heads import JointNetwork

    network = JointNetwork(5, (8,), 3, 2, True, np.zeros(5), np.ones(5), torch.Generator().manual_seed(0))
    zero = [name for name, p in network.named_parameters() if name.endswith("weight") and not p.abs().any()]
    assert sorted(zero) == ["prediction.weight", "selector.1.weight"]


def test_memory_holds_what_each_sample_got_last(rng):
    import torch

    from abstain.solvers.selective import SelectiveObjective

    objective = SelectiveObjective(
        [SelectiveNetLoss(coverage=0.5), SelfAdaptiveLoss(), GamblersLoss()], 6, torch.device("cpu")
    )
    logits, codes = torch.from_numpy(rng.normal(size=(6, 3))).float(), torch.tensor([0, 1, 2, 0, 1, 2])
    select = torch.zeros((6, 3))
    first, second = np.array([4, 1]), np.array([0, 1, 2])
    objective.value(first, logits[first], select[first], codes[first])
    kept = objective.memory.numpy()
    np.testing.assert_allclose(kept[0, first], 0.5)
    assert np.isnan(kept[0, [0, 2, 3, 5]]).all()
    objective.value(second, logits[second], select[second] + 1, codes[second])
    np.testing.assert_allclose(kept[0, 4], 0.5)
    np.testing.assert_allclose(kept[0, [0, 1, 2]], 1 / (1 + np.exp(-1)), rtol=1e-6)
    assert np.isnan(kept[2]).all()
    proba = torch.softmax(logits, dim=1).numpy()
    np.testing.assert_allclose(kept[1, 4], 0.9 + 0.1 * proba[4, 1], rtol=1e-6)
    np.testing.assert_allclose(kept[1, 1], 0.9 * (0.9 + 0.1 * proba[1, 1]) + 0.1 * proba[1, 1], rtol=1e-6)


def joint(design, codes, seed, rows, held, epochs=4):
    from abstain.solvers.selective import train_joint

    network, _ = train_joint(
        [SelectiveNetLoss()], design, codes, rows, held, n_classes=3, hidden=(8,), selector_head=True,
        warm_up=lambda logits, labels: logits.square().mean(), warm_up_epochs=1, penalty=None,
        validate=lambda logits, select: {"validation_loss": float(np.square(logits).mean())},
        training=Training(epochs=epochs, lr=0.01, batch_size=16, device="cpu"), seed=seed,
    )  # fmt: skip
    return network.arrays()[0]


def test_same_seed_same_weights_and_no_global_seed(rng):
    import torch

    design, codes = Design(rng.normal(size=(60, 4))), rng.integers(3, size=60)
    rows, held = np.arange(45), np.arange(45, 60)
    before = torch.get_rng_state()
    first, second, other = (joint(design, codes, seed, rows, held) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(first[0], second[0])
    assert np.abs(first[0] - other[0]).max() > 0


def test_held_rows_teach_nothing(rng):
    X, codes = rng.normal(size=(60, 4)), rng.integers(3, size=60)
    rows, held = np.arange(45), np.arange(45, 60)
    swapped = codes.copy()
    swapped[held] = (swapped[held] + 1) % 3
    first, second = (joint(Design(X), labels, 0, rows, held) for labels in (codes, swapped))
    np.testing.assert_array_equal(first[0], second[0])
