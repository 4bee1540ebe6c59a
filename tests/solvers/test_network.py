"""The torch loop: it learns, repeats itself, and leaves arrays that NumPy evaluates alike."""

import copy
import pickle

import numpy as np
import pytest

from abstain.losses import CrossEntropyLoss, SteepSlopeLoss
from abstain.metrics import failure_report
from abstain.solvers import forward
from abstain.solvers.design import Design
from abstain.solvers.training import Training

pytestmark = pytest.mark.torch


@pytest.fixture
def ring(rng):
    X = rng.normal(size=(1500, 2)).astype(np.float32)
    codes = rng.integers(0, 2, 1500)
    target = ((X**2).sum(axis=1) + codes < 2).astype(float)
    return Design(X, None, codes, 2), target


def run(design, target, seed=0, loss=None, unit_norm=False, hidden=(32,), **knobs):
    from abstain.solvers.network import train

    training = Training(**({"epochs": 25, "lr": 0.02, "batch_size": 128, "device": "cpu"} | knobs))
    rows = np.arange(1000)
    return train(
        loss or CrossEntropyLoss(),
        design,
        target,
        rows,
        hidden=hidden,
        unit_norm=unit_norm,
        training=training,
        seed=seed,
    )


def test_it_learns_what_a_line_cannot(ring):
    design, target = ring
    layers, history = run(design, target)
    z = forward.outputs(design, layers)[:, 0][1000:]
    assert failure_report(target[1000:], z).auroc > 0.97
    line, _ = run(design, target, hidden=())
    assert failure_report(target[1000:], forward.outputs(design, line)[:, 0][1000:]).auroc < 0.85
    assert history[-1]["train_loss"] < 0.6 * history[0]["train_loss"]
    assert set(history[0]) == {"epoch", "train_loss", "validation_loss"}


def test_same_seed_same_weights_and_no_global_seed(ring):
    import torch

    design, target = ring
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, _ = run(design, target, epochs=2)
    assert torch.equal(before, torch.get_rng_state())
    second, _ = run(design, target, epochs=2)
    np.testing.assert_array_equal(first[0], second[0])
    third, _ = run(design, target, seed=1, epochs=2)
    assert np.abs(first[0] - third[0]).max() > 0


@pytest.mark.parametrize("n_codes", [0, 2])
@pytest.mark.parametrize("unit_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 4)])
def test_numpy_evaluates_what_torch_trained(ring, unit_norm, hidden, n_codes):
    """Every parameter moves, as training would move it, and NumPy knows of each."""
    import torch

    from abstain.solvers.heads import TrustNetwork

    matrix, codes = ring[0].matrices[0], ring[0].codes
    design = Design(matrix, None, codes if n_codes else None, n_codes)
    generator = torch.Generator().manual_seed(0)
    network = TrustNetwork(2, n_codes, hidden, design.mean, design.scale, unit_norm, generator)
    with torch.no_grad():
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, generator=generator)
        z = network(torch.from_numpy(matrix.copy()), torch.from_numpy(codes)).numpy()
    np.testing.assert_allclose(forward.outputs(design, network.arrays())[:, 0], z, atol=1e-5)


def test_early_stopping_restores_the_best(ring):
    design, target = ring
    noisy = np.random.default_rng(0).random(1500).round()
    _, history = run(design, noisy, epochs=60, patience=3, lr=0.05, hidden=(64,))
    assert len(history) < 60
    losses = [h["validation_loss"] for h in history]
    assert len(losses) - 1 - int(np.argmin(losses)) == 3
    _, whole = run(design, target, validation_fraction=0, epochs=3)
    assert len(whole) == 3


def test_steep_slope_and_read_only_maps(ring, tmp_path, recwarn):
    design, target = ring
    np.save(tmp_path / "X.npy", design.matrices[0])
    mapped = Design(np.load(tmp_path / "X.npy", mmap_mode="r"), None, design.codes, 2)
    layers, _ = run(mapped, target, loss=SteepSlopeLoss(), epochs=10)
    assert failure_report(target[1000:], forward.outputs(mapped, layers)[:, 0][1000:]).auroc > 0.9
    assert not [w for w in recwarn if "writable" in str(w.message)]
    assert pickle.loads(pickle.dumps(layers))[0].shape == layers[0].shape
    assert copy.deepcopy(layers)[0] is not layers[0]
