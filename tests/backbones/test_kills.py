"""Training of a backbone that is killed, or whose images or workers fail, loses no more than the step it was in."""

import gc
import json
import multiprocessing
import os
import random
import select
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from abstain import FineTunedClassifier, FineTuning, TimmBackbone

pytest.importorskip("timm", reason="needs timm: pip install '.[vision]'")

import torch
from kills import at_each_step

from abstain.solvers import draws
from abstain.solvers.checkpoint import Checkpoint

pytestmark = pytest.mark.vision
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be forked and killed")
EPOCHS, STEPS, PATIENCE = 3, 27, 120.0
SCRIPT = textwrap.dedent("""
    import json, os, sys, time, traceback
    from pathlib import Path

    import numpy as np
    import timm
    import torch
    from torch.utils.data import Dataset, get_worker_info

    from abstain import FineTunedClassifier, FineTuning, TimmBackbone

    torch.set_num_threads(1)

    class Dying(Dataset):
        def __init__(self, images, folder):
            self.images, self.folder = images, folder

        def __len__(self):
            return len(self.images)

        def __getitem__(self, row):
            training, mended = (Path(self.folder, name).exists() for name in ("state.pt", "mended"))
            if row == 5 and training and not mended and get_worker_info() is not None:
                Path(self.folder, "died").touch()
                os._exit(3)
            return self.images[row]

    def bars(n=60):
        rng = np.random.default_rng(0)
        X, y = rng.integers(0, 160, size=(n, 16, 16, 3)), np.arange(n) % 2
        for image, label, place in zip(X, y, rng.integers(2, 13, n)):
            (image if label else image.transpose(1, 0, 2))[place : place + 2] += 50
        return X.astype(np.uint8), y

    def run(kind, workers, folder):
        X, y = bars()
        options = {"weights": "random", "input_size": 32, "device": "cpu", "num_workers": workers}
        knobs = FineTuning(
            epochs=3, batch_size=5, lr=1e-3, ema=0.5, augment={"hflip": 0.5, "color_jitter": 0.3}, device="cpu",
            validation_fraction=0.25, checkpoint_every=0.0,
        )
        started = time.perf_counter()
        model = FineTunedClassifier(
            TimmBackbone("test_resnet", **options), training=knobs, random_state=0,
            checkpoint=None if kind == "whole" else Path(folder, "state.pt"),
        ).fit(Dying(X, folder) if kind == "dying" else X, y)
        Path(folder, "seconds").write_text(str(time.perf_counter() - started))
        linear = model.classifier_.estimator
        history = [[epoch["epoch"], epoch.get("train_loss", 0), epoch["validation_loss"]] for epoch in model.history_]
        found = {**model.backbone_.state_, "coef": linear.coef_, "intercept": linear.intercept_, "history": history}
        np.savez(Path(folder, "unnamed.npz"), **found)
        os.replace(Path(folder, "unnamed.npz"), Path(folder, "found.npz"))

    def forked(arguments):
        pid = os.fork()
        if pid:
            return pid
        try:
            run(*arguments)
            os._exit(0)
        except BaseException as error:
            traceback.print_exc()
            Path(arguments[2], "error").write_text(f"{type(error).__name__}: {error}")
            os._exit(1)

    if sys.argv[1:]:
        run(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    else:
        for line in sys.stdin:
            pid = forked(json.loads(line))
            print(pid, flush=True)
            sys.stdin.readline()  # until then a dead child keeps its number, so that nothing else can be killed
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
""")


class Forked:
    """A run in a fork of a process that has imported all it needs, which takes most of the time of a command."""

    def __init__(self, parent, *arguments):
        self.parent = parent
        print(json.dumps(arguments), file=parent.stdin, flush=True)
        self.pid = int(parent.stdout.readline())

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout):
        print(file=self.parent.stdin, flush=True)
        ready = select.select([self.parent.stdout], [], [], timeout)[0]
        if not ready:
            self.kill()
        code = int(self.parent.stdout.readline())
        assert ready, f"the run did not end in {timeout} seconds"
        return code


@pytest.fixture(scope="module")
def parent():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], **pipes, text=True) as process:
        yield process
        process.stdin.close()


@pytest.fixture(scope="module")
def undisturbed(parent, tmp_path_factory):
    """Folder of a run that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert Forked(parent, "whole", 0, str(folder)).wait(PATIENCE) == 0
    return folder


@pytest.fixture(scope="module")
def pace(undisturbed):
    """Seconds that a step takes on this machine, at most."""
    return float((undisturbed / "seconds").read_text()) / STEPS


@pytest.fixture(scope="module")
def whole(undisturbed):
    """What that run leaves behind; it must have learnt, or its weights would say nothing."""
    found = dict(np.load(undisturbed / "found.npz"))
    losses = found["history"][:, 2]
    assert losses[1:].min() < losses[0]
    assert len(losses) == 1 + EPOCHS
    return found


def assert_found(folder, whole):
    found = np.load(folder / "found.npz")
    assert set(found) == set(whole)
    for name, value in whole.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def place(path):
    """Epoch and step of a checkpoint, which is whole if it is there."""
    if not path.exists():
        return 0, 0
    torch.load(path, weights_only=True)
    state = Checkpoint(path, {}).load()["state"]
    return state["epoch"], state["step"]


def version(path):
    """What changes as soon as a file is written anew."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def await_changes(path, count, done):
    """Wait until a file has been written so many times, or all is done."""
    last, until = version(path), time.monotonic() + PATIENCE
    while count and not done.exists():
        assert time.monotonic() < until, f"{path} does not change"
        now = version(path)
        count, last = count - (now != last), now
        time.sleep(2e-4)


def await_moment(how, folder, rng, pace):
    """Wait for a moment at random: some steps on, in the midst of a checkpoint, or anywhere from the very start."""
    done, path = folder / "found.npz", folder / "state.pt"
    if how == "step":
        await_changes(path, rng.randint(1, 2), done)
        time.sleep(rng.uniform(0, 2 * pace))
    elif how == "write":
        await_changes(path.with_name("state.pt.part"), 1, done)
        time.sleep(rng.uniform(0, 0.004))
    else:
        time.sleep(rng.uniform(0, 20 * pace))


@forks
@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "moments"),
    [
        (0, ("step", "write", "step", "any", "write", "step", "any", "write")),
        (1, ("write", "any", "step", "write", "step", "step", "write", "any")),
        (None, ("step", "write", "step", "write")),
    ],
    ids=["first", "second", "commands"],
)
def test_a_run_that_is_killed_again_and_again_ends_bit_for_bit_as_if_nothing_had_been(
    parent, whole, pace, tmp_path, seed, moments
):
    """Twenty kills in all; the last four are of commands of their own, which import all anew."""
    rng, path = random.Random(seed or 0), tmp_path / "state.pt"

    def started():
        arguments = ["killed", rng.choice([0, 2]), str(tmp_path)]
        if seed is not None:
            return Forked(parent, *arguments)
        return subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, arguments)])

    before, in_training, cut_off = (0, 0), 0, 0
    for how in moments:
        run, old = started(), version(path)
        await_moment(how, tmp_path, rng, pace)
        run.kill()
        code, now = run.wait(PATIENCE), place(path)
        assert code in (-signal.SIGKILL, 0)
        assert now >= before
        began = version(path) != old or how == "write"
        in_training += code == -signal.SIGKILL and began and now < (EPOCHS, 0)
        cut_off += path.with_name("state.pt.part").exists()
        before = now
    assert in_training >= 0.6 * len(moments)
    assert cut_off  # a kill while the state was being written
    assert started().wait(PATIENCE) == 0
    assert_found(tmp_path, whole)
    assert place(path) == (EPOCHS, 0)
    assert not path.with_name("state.pt.part").exists()


@forks
@pytest.mark.slow
def test_a_worker_that_dies_is_an_error_at_once_and_its_run_can_go_on(parent, whole, tmp_path):
    assert Forked(parent, "dying", 2, str(tmp_path)).wait(PATIENCE) == 1
    error = tmp_path / "error"
    assert "worker" in error.read_text()
    assert error.read_text().startswith("RuntimeError")
    assert error.stat().st_mtime - (tmp_path / "died").stat().st_mtime < 20
    assert (0, 0) < place(tmp_path / "state.pt") < (EPOCHS, 0)
    (tmp_path / "mended").touch()
    assert Forked(parent, "dying", 2, str(tmp_path)).wait(PATIENCE) == 0
    assert_found(tmp_path, whole)


def small(path=None, workers=0, **knobs):
    backbone = TimmBackbone("test_resnet", weights="random", input_size=32, device="cpu", num_workers=workers)
    training = FineTuning(**{"epochs": 2, "batch_size": 8, "device": "cpu", "checkpoint_every": 0.0} | knobs)
    return FineTunedClassifier(backbone, training=training, checkpoint=path, random_state=0)


def noise(n=32):
    return np.random.default_rng(0).integers(0, 256, (n, 16, 16, 3), dtype=np.uint8), np.arange(n) % 2


@pytest.mark.filterwarnings("ignore::abstain.warnings.FrozenStartWarning")
@pytest.mark.parametrize("left", ["half", "whole"])
def test_what_a_kill_left_under_the_temporary_name_is_never_read(tmp_path, left):
    X, y = noise()
    path, part = tmp_path / "state.pt", tmp_path / "state.pt.part"
    undisturbed = small(path).fit(X, y)
    content = path.read_bytes()
    path.unlink()
    # a whole one, of the same training, is the state of its end: were it read, there would be no step to do
    part.write_bytes(content if left == "whole" else content[: len(content) // 2])
    assert Checkpoint(path, {}).load() is None
    steps = []
    with pytest.MonkeyPatch.context() as patch:
        at_each_step(patch, steps.append)
        again = small(path).fit(X, y)
    assert len(steps) == 2 * 4
    assert again.history_ == undisturbed.history_
    for name, value in undisturbed.backbone_.state_.items():
        np.testing.assert_array_equal(again.backbone_.state_[name], value)
    assert not part.exists()


@pytest.fixture
def no_workers_left():
    """End what an error left behind: a loader that the garbage collector meets waits five seconds for each worker."""
    gc.disable()
    yield
    for child in multiprocessing.active_children():
        child.terminate()
        child.join()
    gc.enable()
    gc.collect()


def breaking(folder, monkeypatch, which, after=3):
    """Files, labels, and the one that is cut short once so many steps have begun."""
    from PIL import Image

    X, y = noise()
    files = [folder / f"{i}.png" for i in range(len(X))]
    for file, pixels in zip(files, X, strict=True):
        Image.fromarray(pixels).save(file)
    learnt, held = draws.split(np.arange(len(y)), 0.1, np.random.RandomState(0).randint(2**31))
    broken = files[int({"learnt": learnt, "held": held}[which][0])]
    at_each_step(monkeypatch, lambda number: os.truncate(broken, 60) if number == after - 1 else None)
    return [str(file) for file in files], y, broken


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("which", ["learnt", "held"])
@pytest.mark.usefixtures("no_workers_left")
def test_an_image_that_breaks_is_named_and_once_it_is_restored_the_run_goes_on(tmp_path, monkeypatch, workers, which):
    path, (files, y, broken) = tmp_path / "state.pt", breaking(tmp_path, monkeypatch, which)
    content = broken.read_bytes()
    with pytest.raises(ValueError, match=rf"images: .*[/\\]{broken.name} cannot be read"):
        small(path, workers).fit(files, y)
    assert (0, 3) <= place(path) < (2, 0)
    kept = path.read_bytes()
    with pytest.raises(ValueError, match=broken.name):
        small(path, workers).fit(files, y)
    assert path.read_bytes() == kept
    broken.write_bytes(content)  # from a backup
    monkeypatch.undo()
    again, whole = (small(where, workers).fit(files, y).backbone_.state_ for where in (path, None))
    for name, value in whole.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


@pytest.mark.parametrize(
    "workers",
    [
        0,
        2,
    ],
)
@pytest.mark.usefixtures("no_workers_left")
def test_an_image_that_breaks_is_named_at_once_whoever_reads_it(tmp_path, monkeypatch, workers):
    files, y, broken = breaking(tmp_path, monkeypatch, "learnt")
    with pytest.raises(ValueError, match=rf"^images: .*[/\\]{broken.name} cannot be read"):
        small(None, workers).fit(files, y)


@pytest.mark.usefixtures("no_workers_left")
def test_no_worker_stays_behind_an_image_that_breaks(tmp_path, monkeypatch):
    files, y, broken = breaking(tmp_path, monkeypatch, "held")
    named = False
    try:
        small(None, 2).fit(files, y)
    except ValueError as error:
        named = broken.name in str(error)
    assert named
    assert not multiprocessing.active_children()
