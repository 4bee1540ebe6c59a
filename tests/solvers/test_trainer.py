"""The training loop: its state is one object, a batch may come in parts, and a killed run goes on bit for bit."""

import io
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import abstain
from abstain import Training
from abstain.losses import SelectiveNetLoss, SelfAdaptiveLoss
from abstain.solvers.design import Design

pytest.importorskip("torch", reason="needs torch: pip install '.[torch]'")

import torch

from abstain.solvers import draws, rates
from abstain.solvers.checkpoint import Checkpoint
from abstain.solvers.heads import JointNetwork
from abstain.solvers.selective import JointObjective
from abstain.solvers.sources import DesignSource, parts_of
from abstain.solvers.trainer import Trainer
from abstain.warnings import SmallerBatchWarning

N, ROWS = 40, np.arange(32)


class KilledError(Exception):
    """Stands for the end of the process."""


class WithDropout(JointNetwork):
    """A network that draws random numbers in training."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.drop = torch.nn.Dropout(0.3)

    def forward(self, columns, codes=None):
        return super().forward(self.drop(columns))


def made(checkpoint=None, kill_at=None, network=WithDropout, losses=None, **knobs):
    """A trainer of selective losses with a memory, on data that are always the same."""
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(N, 5)), rng.integers(3, size=N)
    design, device = Design(X), torch.device("cpu")
    losses = losses or [SelectiveNetLoss(coverage=0.6), SelfAdaptiveLoss()]
    arguments = 5, (8,), 3, len(losses), True, design.mean, design.scale
    net = network(*arguments, torch.Generator().manual_seed(1))
    source = DesignSource(design, (codes,), device)
    if kill_at is not None:
        source.batches = killed_after(source.batches, kill_at)
    objective = JointObjective(losses, N, device, lambda logits, _: logits.square().mean(), 1, None)

    def validate(network):
        (batch,) = source_of_held.batches(parts_of(np.arange(32, N), 100))
        return {"validation_loss": float(network(*batch.inputs)[0].square().mean())}

    source_of_held = DesignSource(design, (codes,), device)
    training = Training(**{"epochs": 4, "lr": 0.01, "batch_size": 8, "device": "cpu"} | knobs)
    return Trainer(net, source, objective, training, seed=3, validate=validate, first_epoch=1, checkpoint=checkpoint)


def killed_after(batches, count):
    """Batches of a source that ends the process after some of them."""
    left = [count]

    def some(parts, epoch=None):
        for batch in batches(parts, epoch):
            if left[0] == 0:
                raise KilledError
            left[0] -= 1
            yield batch

    return some


def outcome(trainer):
    """All that training leaves behind, as arrays."""
    history = trainer.fit(ROWS)
    weights = {name: value.numpy().copy() for name, value in trainer.state.network.state_dict().items()}
    return history, weights, trainer.loss.memory.numpy().copy(), trainer.state.best_epoch


def assert_equal(one, other):
    assert one[0] == other[0]
    assert one[3] == other[3]
    for name, value in one[1].items():
        np.testing.assert_array_equal(value, other[1][name], err_msg=name)
    np.testing.assert_array_equal(one[2], other[2])


@pytest.mark.parametrize(
    "knobs",
    [{}, {"ema": 0.8, "accumulate": 2, "optimiser": "sgd"}, {"amp": "float16", "clip_norm": 1.0}],
    ids=["plain", "averaged", "float16"],
)
def test_a_run_that_is_killed_at_any_step_goes_on_bit_for_bit(tmp_path, knobs):
    whole = outcome(made(**knobs))
    for step in range(4 * 4 * knobs.get("accumulate", 1)):
        checkpoint = Checkpoint(tmp_path / f"{step}.pt", {"data": "these"}, every=0.0)
        with pytest.raises(KilledError):
            made(checkpoint, kill_at=step, **knobs).fit(ROWS)
        assert_equal(outcome(made(checkpoint, **knobs)), whole)


def test_a_run_that_is_killed_again_and_again_goes_on(tmp_path):
    whole = outcome(made())
    checkpoint = Checkpoint(tmp_path / "state.pt", {"data": "these"}, every=0.0)
    for _ in range(15):
        with pytest.raises(KilledError):
            made(checkpoint, kill_at=1).fit(ROWS)
    assert_equal(outcome(made(checkpoint)), whole)


def test_a_complete_run_is_not_run_again(tmp_path):
    checkpoint = Checkpoint(tmp_path / "state.pt", {"data": "these"})
    whole = outcome(made(checkpoint))
    assert_equal(outcome(made(checkpoint, kill_at=0)), whole)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", None])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "state.pt"
    if content is None:
        torch.save({"weights": torch.zeros(3)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint .* cannot be read"):
        Checkpoint(path, {}).load()


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("code was run",))

    torch.save({"format": 1, "identity": {}, "state": Evil()}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match="cannot be read"):
        Checkpoint(tmp_path / "state.pt", {}).load()


def test_a_checkpoint_of_other_data_or_another_version_is_refused_by_name(tmp_path):
    Checkpoint(tmp_path / "state.pt", {"data": "these", "network": "small"}).save({"state": {}, "loss": None})
    with pytest.raises(ValueError, match="belongs to another training: data differs"):
        Checkpoint(tmp_path / "state.pt", {"data": "those", "network": "small"}).load()
    assert Checkpoint(tmp_path / "state.pt", {"data": "these", "network": "small"}).load()["state"] == {}
    assert Checkpoint(tmp_path / "none.pt", {}).load() is None


def test_a_checkpoint_is_whole_or_not_there(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "state.pt", {})
    checkpoint.save({"state": 1, "loss": None})
    monkeypatch.setattr(torch, "save", lambda content, file: (file.write(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        checkpoint.save({"state": 2, "loss": None})
    assert checkpoint.load()["state"] == 1


class Interrupted(io.BytesIO):
    """A file in the midst of whose writing a signal is handled, such as that of a worker that died."""

    writes = 0

    def write(self, data):
        self.writes += 1
        if self.writes == 3:
            raise RuntimeError("DataLoader worker is killed")
        return super().write(data)


def test_what_cuts_a_checkpoint_off_is_what_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "open", lambda *_: Interrupted())
    with pytest.raises(RuntimeError, match="worker is killed"):
        Checkpoint(tmp_path / "state.pt", {}).save({"state": torch.zeros(100_000)})


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_a_batch_in_parts_is_the_batch(parts):
    """The losses couple the samples of a batch by their coverage; parts of it must see the coverage of the whole."""
    whole, divided = (outcome(made(network=JointNetwork, accumulate=k)) for k in (1, parts))
    for name, value in whole[1].items():
        np.testing.assert_allclose(divided[1][name], value, rtol=2e-4, atol=2e-6, err_msg=name)
    np.testing.assert_allclose(divided[2], whole[2], rtol=1e-4)


def test_every_draw_follows_from_the_seed_and_no_global_state_moves():
    before = torch.get_rng_state()
    first = outcome(made())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    second = outcome(made())
    torch.set_rng_state(before)
    assert_equal(first, second)
    orders = {tuple(draws.order_of(ROWS, seed, epoch)) for seed in (0, 1) for epoch in range(5)}
    assert len(orders) == 10


def test_rates_rise_and_fall():
    network = torch.nn.Linear(2, 1)
    training = Training(lr=0.1, warm_up=0.2)
    optimiser = rates.optimiser(network, training)
    found = []
    for step in range(100):
        rates.set_rate(optimiser, training, step, 100)
        found.append(optimiser.param_groups[0]["lr"])
    assert found[0] == pytest.approx(0.1 / 21)
    assert (np.diff(found[:20]) > 0).all()
    assert found[20] == pytest.approx(0.1)
    assert (np.diff(found[20:]) < 0).all()
    assert 0 < found[-1] < 1e-3
    rates.set_rate(optimiser, Training(lr=0.1, schedule="constant"), 77, 100)
    assert optimiser.param_groups[0]["lr"] == 0.1


def test_the_cosine_is_that_of_torch():
    network = torch.nn.Linear(2, 1)
    training = Training(lr=0.1)
    ours, theirs = (rates.optimiser(network, training) for _ in range(2))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 30)
    for step in range(30):
        rates.set_rate(ours, training, step, 30)
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
        theirs.step()
        schedule.step()


def test_the_average_is_what_is_kept():
    plain, averaged = (made(ema=ema, epochs=1, batch_size=len(ROWS)) for ema in (0.0, 0.75))  # of a single step
    start = {name: value.clone() for name, value in plain.state.network.state_dict().items()}
    for trainer in (plain, averaged):
        trainer.validate, trainer.loss = None, lambda outputs, *_: (outputs[0] - 1).square().mean()
        trainer.fit(ROWS)
    moved = plain.state.network.state_dict()
    assert not torch.equal(moved["prediction.weight"], start["prediction.weight"])
    for name, value in averaged.state.network.named_parameters():
        torch.testing.assert_close(value, 0.75 * start[name] + 0.25 * moved[name])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_small_gradients_survive_float16(accumulate):
    """Those of this loss are below the smallest number of float16, so that nothing would be learnt."""
    knobs = {"epochs": 2, "optimiser": "sgd", "lr": 1e7, "weight_decay": 0.0, "accumulate": accumulate}
    moved = []
    for amp in (False, "float16"):
        trainer = made(network=JointNetwork, losses=[SelectiveNetLoss(coverage=0.6)], amp=amp, **knobs)
        start = torch.nn.utils.parameters_to_vector(trainer.state.network.parameters()).detach().clone()
        value, trainer.validate = trainer.loss, None
        trainer.loss = lambda *batch, value=value: 1e-9 * value(*batch)
        trainer.fit(ROWS)
        moved.append(torch.nn.utils.parameters_to_vector(trainer.state.network.parameters()).detach() - start)
    assert moved[0].norm() > 1e-3
    assert (moved[1] - moved[0]).norm() < 0.02 * moved[0].norm()


def test_a_step_that_overflows_float16_is_left_out():
    trainer = made(epochs=1, amp="float16", network=JointNetwork)
    start = {name: value.clone() for name, value in trainer.state.network.state_dict().items()}
    scale, trainer.loss = trainer.state.scaler.get_scale(), lambda outputs, *_: 1e6 * (outputs[0] - 1).square().mean()
    trainer.fit(ROWS)
    assert trainer.state.scaler.get_scale() == scale / 2**4
    torch.testing.assert_close(dict(trainer.state.network.state_dict()), start, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a compiler of C++")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_compiled_network_learns_the_same(accumulate):
    plain, compiled = (
        outcome(made(network=JointNetwork, compile=compile, accumulate=accumulate)) for compile in (False, True)
    )
    for name, value in plain[1].items():
        np.testing.assert_allclose(compiled[1][name], value, rtol=1e-3, atol=1e-4, err_msg=name)


def test_gradients_are_clipped():
    whole, clipped = (
        made(epochs=2, clip_norm=norm, weight_decay=0.0, optimiser="sgd", network=JointNetwork) for norm in (None, 1e-6)
    )
    start = {name: value.clone() for name, value in whole.state.network.state_dict().items()}
    for trainer in (whole, clipped):
        trainer.validate = None
        trainer.fit(ROWS)
    moved = [sum(float((value - start[name]).abs().max()) for name, value in trainer.state.network.state_dict().items())
             for trainer in (whole, clipped)]  # fmt: skip
    assert moved[1] < 1e-3 * moved[0]


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"optimiser": "adam"}, "optimiser must be one of"),
        ({"schedule": "step"}, "schedule must be one of"),
        ({"warm_up": 1.0}, r"warm_up must lie in \[0, 1\)"),
        ({"ema": -0.1}, "ema must be a number at least 0"),
        ({"accumulate": 0}, "accumulate must be a whole number"),
        ({"clip_norm": 0}, "clip_norm must be a number above 0"),
        ({"amp": "half"}, "amp must be one of"),
    ],
)
def test_knobs_out_of_range_are_named(knobs, message):
    with pytest.raises(ValueError, match=message):
        Training(**knobs).check()


class Hungry(JointNetwork):
    """A network that takes three samples at once, at most."""

    def forward(self, columns, codes=None):
        if len(columns) > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.")
        return super().forward(columns)


def test_a_batch_that_does_not_fit_into_memory_goes_through_in_parts():
    trainer = made(network=Hungry)
    trainer.validate = None
    whole = made(network=JointNetwork)
    whole.validate = None
    with pytest.warns(SmallerBatchWarning, match="4 samples at once do not fit|8 samples at once do not fit"):
        trainer.fit(ROWS)
    whole.fit(ROWS)
    for name, value in whole.state.network.state_dict().items():
        torch.testing.assert_close(trainer.state.network.state_dict()[name], value, rtol=2e-4, atol=2e-6)


def test_what_never_fits_into_memory_is_an_error():
    class Starved(JointNetwork):
        def forward(self, columns, codes=None):
            raise RuntimeError("not enough memory: you tried to allocate 9 bytes.")

    trainer = made(network=Starved)
    with pytest.warns(SmallerBatchWarning), pytest.raises(RuntimeError, match="not enough memory"):
        trainer.fit(ROWS)


def run_ranks(folder, world, *differing):
    script, package = Path(__file__).with_name("ranks.py"), Path(abstain.__file__).parents[1]
    arguments = [str(world), str(folder), *differing]
    options = {"env": {**os.environ, "PYTHONPATH": str(package)}, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([sys.executable, str(script), str(i), *arguments], **options) for i in range(world)]
    errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0] * world, errors


@pytest.mark.skipif(not torch.distributed.is_available(), reason="needs torch.distributed")
def test_two_processes_train_what_one_does(tmp_path):
    """Losses of the batch, memory, averages and dropout: the same numbers from one process and from two."""
    run_ranks(tmp_path, 2)
    alone = outcome(made(accumulate=2, ema=0.5))
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found["best"] == alone[3]
        for name, value in alone[1].items():
            np.testing.assert_allclose(found["weights"][name].numpy(), value, rtol=1e-5, atol=1e-7, err_msg=name)
        np.testing.assert_allclose(found["memory"].numpy(), alone[2], rtol=1e-5)
        for one, other in zip(found["history"], alone[0], strict=True):
            assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="needs torch.distributed")
def test_processes_that_disagree_are_told_what_differs(tmp_path):
    told = {"seed": "seed", "features": "data", "labels": "data", "training": "training"}
    run_ranks(tmp_path, 2, *told)
    for what, name in told.items():
        for rank in range(2):
            assert f"{name} differ between the 2 processes" in (tmp_path / f"{what}-{rank}.txt").read_text()


class HungryBackwards(JointNetwork):
    """A network that takes three samples at once, at most, where a gradient is wanted."""

    def forward(self, columns, codes=None):
        if len(columns) > 3 and torch.is_grad_enabled():
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.")
        return super().forward(columns)


def test_losses_remember_a_batch_once_though_it_is_computed_again():
    """The first pass fits, the loss remembers, and then memory is short."""
    found = []
    for network, accumulate in ((HungryBackwards, 2), (JointNetwork, 2)):
        trainer = made(network=network, accumulate=accumulate, losses=[SelfAdaptiveLoss()], epochs=2)
        trainer.validate = None
        trainer.loss.warm_up_epochs = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallerBatchWarning)
            trainer.fit(ROWS)
        found.append(trainer.loss.memory.numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


def test_an_error_that_only_speaks_of_memory_is_not_one_of_memory():
    class Wrong(JointNetwork):
        def forward(self, columns, codes=None):
            raise RuntimeError("required rank 4 tensor to use channels_last memory_format")

    with pytest.raises(RuntimeError, match="memory_format"):
        made(network=Wrong).fit(ROWS)


@pytest.mark.parametrize("codes", [None, np.arange(40, dtype=np.uint8) % 3])
def test_arrays_that_stay_on_the_device_give_the_same_batches(codes, rng, monkeypatch):
    from abstain.solvers import sources

    design = Design(rng.normal(size=(40, 3)).astype(np.float16), rng.normal(size=(40, 2)), codes, 3)
    targets, others = (np.arange(40), rng.normal(size=40)), (rng.normal(size=40),)
    parts = [np.array([5, 1, 7]), np.array([2])]

    def drawn():
        source = DesignSource(design, targets, torch.device("cpu"), others)
        return [part for batch in source.batches(parts) for part in (*batch.inputs, *batch.targets)]

    taken = drawn()
    monkeypatch.setattr(sources, "fits", lambda arrays, device: True)
    for one, other in zip(taken, drawn(), strict=True):
        assert (one is None) == (other is None)
        assert one is None or (one.dtype == other.dtype and torch.equal(one, other))
