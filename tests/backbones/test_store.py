"""The growing feature file: resumed, never mixed up, nothing lost on a full disk."""

import json
import resource
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from abstain.backbones.store import FeatureStore


@pytest.fixture
def features(rng):
    return rng.normal(size=(10, 4)).astype(np.float32)


def test_written_whole(tmp_path, features):
    store = FeatureStore(tmp_path / "deep" / "f.npy", features.shape, "key")
    store.write(np.array([3, 4, 7]), features[[3, 4, 7]])
    assert store.missing().tolist() == [0, 1, 2, 5, 6, 8, 9]
    store.write(store.missing(), features[store.missing()])
    out = store.finish()
    assert isinstance(out, np.memmap)
    np.testing.assert_array_equal(out, features)
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["f.npy", "f.npy.key"]


def test_what_is_complete_is_not_computed_again(tmp_path, features):
    store = FeatureStore(tmp_path / "f.npy", features.shape, "key")
    store.write(np.arange(10), features)
    store.finish()
    again = FeatureStore(tmp_path / "f.npy", features.shape, "key")
    assert not again.missing().size
    np.testing.assert_array_equal(again.finish(), features)
    assert FeatureStore(tmp_path / "f.npy", features.shape, "other").missing().size == 10


def test_rows_never_written_are_nan_and_tried_again(tmp_path, features):
    store = FeatureStore(tmp_path / "f.npy", features.shape, "key")
    store.write(np.arange(9), features[:9])
    assert np.isnan(store.finish()[9]).all()
    again = FeatureStore(tmp_path / "f.npy", features.shape, "key")
    assert again.missing().tolist() == [9]  # all others are kept
    again.write(np.array([9]), features[9:])
    np.testing.assert_array_equal(again.finish(), features)
    assert not FeatureStore(tmp_path / "f.npy", features.shape, "key").missing().size


def test_resumed_after_a_kill(tmp_path, features):
    first = FeatureStore(tmp_path / "f.npy", features.shape, "key")
    first.write(np.arange(4), features[:4])
    with first.journal.open("a") as log:
        log.write("[4, 8")  # the kill cut the line short
    again = FeatureStore(tmp_path / "f.npy", features.shape, "key")
    assert again.missing().tolist() == [4, 5, 6, 7, 8, 9]
    again.write(again.missing(), features[4:])
    np.testing.assert_array_equal(again.finish(), features)


@pytest.mark.parametrize(("key", "shape"), [("other", (10, 4)), ("key", (9, 4)), ("key", (10, 5))])
def test_other_work_is_not_resumed(tmp_path, features, key, shape):
    FeatureStore(tmp_path / "f.npy", features.shape, "key").write(np.arange(4), features[:4])
    assert FeatureStore(tmp_path / "f.npy", shape, key).missing().size == shape[0]


def test_a_full_disk_raises_and_keeps_what_is_done(tmp_path):
    """A limit on the file size stands for the full disk: the process must live, and the next call go on."""
    script = textwrap.dedent(f"""
        import resource, signal
        import numpy as np
        from abstain.backbones.store import FeatureStore
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = FeatureStore({str(tmp_path / "f.npy")!r}, (1000, 100), "key")
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        try:
            for start in range(0, 1000, 100):
                store.write(np.arange(start, start + 100), np.full((100, 100), start, dtype=np.float32))
        except OSError as error:
            print(error)
    """)
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "400 of 1000 rows are kept" in result.stdout
    assert "goes on from there" in result.stdout
    store = FeatureStore(tmp_path / "f.npy", (1000, 100), "key")
    assert store.missing().tolist() == list(range(400, 1000))
    store.write(store.missing(), np.repeat(np.arange(400, 1000)[:, None] // 100 * 100, 100, axis=1))
    np.testing.assert_array_equal(store.finish()[:, 0], np.arange(1000) // 100 * 100)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 200_000


def test_the_journal_says_what_it_belongs_to(tmp_path, features):
    store = FeatureStore(tmp_path / "f.npy", features.shape, "key")
    header, started = store.journal.read_text().splitlines()
    assert json.loads(header) == {"key": "key", "shape": [10, 4]}
    assert float(started) == store.started == FeatureStore(tmp_path / "f.npy", features.shape, "key").started


def test_changed_rows_are_computed_again(tmp_path, features):
    store = FeatureStore(tmp_path / "f.npy", features.shape, "key")
    store.write(np.arange(10), features)
    store.forget(np.arange(10) == 3)
    assert store.missing().tolist() == [3]


def test_a_complete_file_of_other_contents_is_not_returned(tmp_path, features):
    before, after = list(range(10)), [0, 1, 2, 3, 99, 5, 6, 7, 8, 9]
    store = FeatureStore(tmp_path / "f.npy", features.shape, "key", before)
    store.write(np.arange(10), features)
    store.finish()
    assert not FeatureStore(tmp_path / "f.npy", features.shape, "key", before).missing().size
    assert FeatureStore(tmp_path / "f.npy", features.shape, "key", after).missing().tolist() == [4]
    assert FeatureStore(tmp_path / "f.npy", features.shape, "key").missing().size == 10
