"""Several processes extract into one file: as one would, resumed by parts, and with an end for all where one fails."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bars import backbone, bars

import abstain

pytest.importorskip("timm", reason="needs timm: pip install 'abstain[vision]'")

pytestmark = pytest.mark.vision


def run(folder, world, broken=-1):
    script, package = Path(__file__).with_name("extracting.py"), Path(abstain.__file__).parents[1]
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(world), str(folder), str(broken)],
            env={**os.environ, "PYTHONPATH": str(package)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank in range(world)
    ]  # fmt: skip
    found = [process.communicate(timeout=120) for process in processes]
    assert not any(process.returncode for process in processes), found
    return [out.strip() for out, _ in found]


@pytest.mark.parametrize("n", [11, 1])
def test_two_processes_extract_what_one_does(n, tmp_path):
    X, _ = bars(n)
    np.save(tmp_path / "images.npy", X)
    said = run(tmp_path, 2)
    assert said[0] == said[1]
    np.testing.assert_allclose(np.load(tmp_path / "features.npy"), backbone().transform(X), atol=1e-5)
    assert sorted(p.name for p in tmp_path.glob("features*")) == [
        "features.npy",
        "features.npy.key",
        "features.npy.lock",
    ]
    # the file is known to one process, too
    start = backbone()
    before = (tmp_path / "features.npy").stat().st_mtime_ns
    start.extract(X, tmp_path / "features.npy")
    assert (tmp_path / "features.npy").stat().st_mtime_ns == before


def test_where_one_fails_all_end_and_the_next_call_goes_on(tmp_path):
    X, _ = bars(12)
    np.save(tmp_path / "images.npy", X)
    said = run(tmp_path, 2, broken=1)
    assert said[1] == "MemoryError no memory"
    assert said[0].startswith("RuntimeError another process failed (process 1: MemoryError: no memory)")
    assert not (tmp_path / "features.npy").exists()
    assert (tmp_path / "features.npy.0-of-2.npy").exists()
    run(tmp_path, 2)
    np.testing.assert_allclose(np.load(tmp_path / "features.npy"), backbone().transform(X), atol=1e-5)


def test_alone_it_is_the_same_as_without(tmp_path):
    X, _ = bars(5)
    out = backbone().extract(X, tmp_path / "f.npy", together=True)
    np.testing.assert_array_equal(out, backbone().extract(X, tmp_path / "g.npy"))
    with pytest.raises(ValueError, match="together must be True or False"):
        backbone().extract(X, tmp_path / "f.npy", together="yes")
