"""Several processes extract into one file: as one would, resumed by parts, and with an end for all where one fails."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from bars import backbone, bars

import abstain
from abstain import FineTunedClassifier, FineTuning, SYNCClassifier
from abstain.warnings import AbstainWarning

pytest.importorskip("timm", reason="needs timm: pip install '.[vision]'")

pytestmark = pytest.mark.vision


def started(script, *arguments):
    """What two processes of a script print."""
    package = Path(abstain.__file__).parents[1]
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), "2", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(package)}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]  # fmt: skip
    found = [process.communicate(timeout=300) for process in processes]
    assert not any(process.returncode for process in processes), found
    return [out for out, _ in found]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Folders, and what two processes said of each job and left: 11 images, one, a job that breaks, and it again."""
    folders = {n: tmp_path_factory.mktemp(f"images{n}") for n in (11, 1, 12)}
    for n, folder in folders.items():
        np.save(folder / "images.npy", bars(n)[0])
    jobs = [f"{folders[n]}:{broken}" for n, broken in ((11, -1), (1, -1), (12, 1), (12, -1))]
    found = started(Path(__file__).with_name("extracting.py"), *jobs)
    told = [[json.loads(line) for line in out.splitlines()] for out in found]
    return folders, dict(zip((11, 1, "broken", 12), zip(*told, strict=True), strict=True))


@pytest.mark.parametrize("n", [11, 1])
def test_two_processes_extract_what_one_does(n, shared):
    folder, (first, second) = shared[0][n], shared[1][n]
    X, file = np.load(folder / "images.npy"), folder / "features.npy"
    assert first == second
    assert first["files"] == ["features.npy", "features.npy.key", "features.npy.lock"]
    np.testing.assert_allclose(np.load(file), backbone().transform(X), atol=1e-5)
    # the file is known to one process, too
    before = file.stat().st_mtime_ns
    backbone().extract(X, file)
    assert file.stat().st_mtime_ns == before


def test_where_one_fails_all_end_and_the_next_call_goes_on(shared):
    first, second = shared[1]["broken"]
    assert second["said"] == "MemoryError no memory"
    assert first["said"].startswith("RuntimeError another process failed (process 1: MemoryError: no memory)")
    assert "features.npy" not in first["files"]
    assert "features.npy.0-of-2.npy" in first["files"]
    folder, (again, _) = shared[0][12], shared[1][12]
    assert again["files"] == ["features.npy", "features.npy.key", "features.npy.lock"]
    X = np.load(folder / "images.npy")
    np.testing.assert_allclose(np.load(folder / "features.npy"), backbone().transform(X), atol=1e-5)


def test_alone_it_is_the_same_as_without(tmp_path):
    X, _ = bars(5)
    out = backbone().extract(X, tmp_path / "f.npy", together=True)
    np.testing.assert_array_equal(out, backbone().extract(X, tmp_path / "g.npy"))
    with pytest.raises(ValueError, match="together must be True or False"):
        backbone().extract(X, tmp_path / "f.npy", together="yes")


def tuned(accumulate, X=None):
    """Backbones that were trained: by a loss of each sample, and by one of the batch."""
    images, y = bars(40)
    knobs = FineTuning(epochs=2, batch_size=16, lr=3e-3, device="cpu", accumulate=accumulate)
    images = images if X is None else X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        return {
            "sample": FineTunedClassifier(backbone(), training=knobs, random_state=0).fit(images, y),
            "batch": SYNCClassifier(
                fit_backbone=True, training=knobs, hidden=(16,), random_state=0, backbone=backbone()
            ).fit(images, y),
        }


@pytest.mark.slow
def test_two_processes_train_the_backbone_that_one_does(tmp_path):
    """Losses of the batch are computed in parts of it, of which float32 makes more: to a part in 200."""
    started(Path(__file__).with_name("ranks_tuned.py"), tmp_path)
    for name, tolerance in (("sample", 1e-5), ("batch", 5e-3)):
        alone = [entry["train_loss"] for entry in tuned(accumulate=2)[name].history_[1:]]
        for rank in range(2):
            np.testing.assert_allclose(np.load(tmp_path / f"{name}-{rank}.npy"), alone, rtol=tolerance)
    for rank in range(2):
        assert "data differ between the 2 processes" in (tmp_path / f"{rank}.txt").read_text()
