"""H12, H13, M8, M11: a feature file is what was asked for, whatever happened to it meanwhile."""

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from abstain import TimmBackbone
from abstain.warnings import UnreadableImageWarning

pytestmark = [
    pytest.mark.vision,
    pytest.mark.filterwarnings("ignore::abstain.warnings.RandomWeightsWarning"),
]
N = 8
WAIT = 3


@pytest.fixture
def paths(tmp_path):
    """Eight different images."""
    from PIL import Image

    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    found = [tmp_path / "images" / f"{i}.png" for i in range(N)]
    for path in found:
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(path)
    return found


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out" / "f.npy"


@pytest.fixture
def backbone(trained):
    return TimmBackbone("test_vit", weights=trained("test_vit"), batch_size=1)


@pytest.fixture
def opened(monkeypatch):
    """Names of the images that were opened, and a place for what happens at each."""
    from PIL import Image

    class Opened(list):
        def at(self, name):
            return None

    real, seen = Image.open, Opened()

    def counting(file, *arguments, **options):
        if Path(str(file)).suffix == ".png":
            seen.append(Path(file).name)
            seen.at(Path(file).name)
        return real(file, *arguments, **options)

    monkeypatch.setattr(Image, "open", counting)
    return seen


def extract_until(backbone, paths, out, opened, row):
    """An extraction that is cut off at an image."""

    def stop(name):
        if name == f"{row}.png":
            raise KeyboardInterrupt

    opened.at = stop
    with pytest.raises(KeyboardInterrupt):
        backbone.extract(paths, out)
    opened.at = lambda name: None
    opened.clear()


def parts(out, suffix):
    """Files of the unfinished work: ``<out>.part``, or one whose name holds a key."""
    return [path for path in out.parent.iterdir() if path.name.startswith(out.name) and path.name.endswith(suffix)]


def overwrite(path, offset, data):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


# H12: two calls on one file


def race(paths, out, opened, first, second, pauses):
    """Extract with two backbones at once; ``pauses`` is {(who, row): (event to set, event to wait for)}."""
    events = {name: threading.Event() for pair in pauses.values() for name in pair}
    events |= {"first done": threading.Event(), "second done": threading.Event()}

    def pause(name):
        key = threading.current_thread().name, int(Path(name).stem)
        if key in pauses:
            reached, wait = pauses[key]
            events[reached].set()
            events[wait].wait(WAIT)

    opened.at = pause
    results = {}

    def work(who, backbone):
        try:
            results[who] = np.array(backbone.extract(paths, out))
        except Exception as error:
            results[who] = error
        events[f"{who} done"].set()

    jobs = (("first", first), ("second", second))
    threads = [threading.Thread(target=work, args=job, name=job[0]) for job in jobs]
    threads[0].start()
    events["started"].wait(WAIT)
    threads[1].start()
    for thread in threads:
        thread.join()
    opened.at = lambda name: None
    return results


OVERTAKEN = {("first", 2): ("started", "second done")}
MIXED = {("first", 2): ("started", "second half"), ("second", 4): ("second half", "first done")}
LATE = {("first", 7): ("started", "second half"), ("second", 1): ("second half", "first done")}


@pytest.mark.parametrize("pauses", [OVERTAKEN, MIXED, LATE], ids=["overtaken", "mixed", "late"])
@pytest.mark.parametrize("same", [True, False], ids=["one network", "two networks"])
def test_two_calls_on_one_file(trained, paths, out, opened, pauses, same):
    first = TimmBackbone("test_vit", weights=trained("test_vit", 0, "a.pth"), batch_size=1)
    second = clone(first) if same else clone(first).set_params(weights=trained("test_vit", 1, "b.pth"))
    own = {"first": first.transform(paths), "second": second.transform(paths)}
    for who, result in race(paths, out, opened, first, second, pauses).items():
        if isinstance(result, Exception):
            assert isinstance(result, OSError | RuntimeError | ValueError)
            assert "space" not in str(result)
            assert str(out) in str(result)
        else:
            np.testing.assert_allclose(result, own[who], atol=1e-4)
    for who, backbone in (("first", first), ("second", second), ("first", first)):
        np.testing.assert_allclose(backbone.extract(paths, out), own[who], atol=1e-4)


@pytest.mark.slow
def test_two_processes_on_one_file(trained, paths, out, tmp_path):
    weights = [trained("test_vit", seed, f"{seed}.pth") for seed in (0, 1)]
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        import numpy as np, torch
        torch.set_num_threads(1)
        from abstain import TimmBackbone
        weights, out, me, other, *paths = sys.argv[1:]
        backbone = TimmBackbone("test_vit", weights=weights, batch_size=1)
        own = backbone.transform(paths)
        Path(me).touch()
        while not Path(other).exists():
            time.sleep(0.001)
        wrong = 0
        for _ in range(5):
            try:
                wrong += not np.allclose(backbone.extract(paths, out), own, atol=1e-4)
            except (OSError, RuntimeError) as error:
                wrong += "space" in str(error)
        print(wrong)
    """)
    gates = [str(tmp_path / "a"), str(tmp_path / "b")]
    files = [str(path) for path in paths]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(weights[i]), str(out), gates[i], gates[1 - i], *files],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for i in range(2)
    ]  # fmt: skip
    for run in runs:
        printed, errors = run.communicate(timeout=120)
        assert printed.strip() == "0", printed + errors[-500:]


@pytest.mark.slow
def test_a_killed_call_blocks_nobody(trained, paths, out, opened):
    weights = trained("test_vit")
    script = textwrap.dedent(f"""
        import os, signal
        from PIL import Image
        real = Image.open
        def dying(file, *rest, **options):
            if str(file).endswith("5.png"):
                os.kill(os.getpid(), signal.SIGKILL)
            return real(file, *rest, **options)
        Image.open = dying
        from abstain import TimmBackbone
        backbone = TimmBackbone("test_vit", weights={str(weights)!r}, batch_size=1)
        backbone.extract({[str(p) for p in paths]!r}, {str(out)!r})
    """)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
    assert run.returncode == -signal.SIGKILL
    backbone = TimmBackbone("test_vit", weights=weights, batch_size=1)
    found = backbone.extract([str(p) for p in paths], out)
    assert opened == ["5.png", "6.png", "7.png"]
    np.testing.assert_allclose(found, backbone.transform(paths), atol=1e-4)


# H13: files that are not what their notes say


def shorten(path, keep):
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * keep))


SPOILT_PARTS = {
    "cut to a half": lambda path: shorten(path, 0.5),
    "cut to the header": lambda path: shorten(path, 0.0) or overwrite(path, 0, b""),
    "one byte short": lambda path: shorten(path, 1 - 1 / path.stat().st_size),
    "zeros in a finished row": lambda path: overwrite(path, 128 + 64 * 4, bytes(64 * 4)),
    "another header": lambda path: overwrite(path, 0, b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'"),
    "text": lambda path: path.write_text("no features"),
}


@pytest.mark.parametrize("spoil", SPOILT_PARTS.values(), ids=SPOILT_PARTS)
def test_a_part_that_is_not_what_its_journal_says(backbone, paths, out, opened, spoil):
    expected = backbone.transform(paths)
    extract_until(backbone, paths, out, opened, 6)
    spoil(*parts(out, ".part"))
    np.testing.assert_allclose(backbone.extract(paths, out), expected, atol=1e-4)
    assert {"6.png", "7.png"} <= set(opened)


SPOILT_JOURNALS = {
    "empty": lambda text: b"",
    "bytes": lambda text: b"\xff\xfe\x00\x80",
    "no time": lambda text: text.splitlines()[0].encode() + b"\nyesterday\n",
    "a number": lambda text: text.encode() + b"3\n",
    "null": lambda text: text.encode() + b"null\n",
    "texts": lambda text: text.encode() + b'["0", "8"]\n',
    "fractions": lambda text: text.encode() + b"[0.5, 8.0]\n",
    "beyond the end": lambda text: text.encode() + b"[7, 900]\n",
    "from the end": lambda text: text.encode() + b"[-2, 8]\n",
    "everything": lambda text: text.encode() + b"[null, null]\n",
    "garbage inside": lambda text: text.encode() + b"\xff\xff\n[6, 7]\n",
}


@pytest.mark.parametrize("spoil", SPOILT_JOURNALS.values(), ids=SPOILT_JOURNALS)
def test_a_journal_that_lies(backbone, paths, out, opened, spoil):
    expected = backbone.transform(paths)
    extract_until(backbone, paths, out, opened, 6)
    (journal,) = parts(out, ".journal")
    journal.write_bytes(spoil(journal.read_text()))
    np.testing.assert_allclose(backbone.extract(paths, out), expected, atol=1e-4)


def kept_times(path, change):
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


SPOILT_FILES = {
    "cut": lambda path: shorten(path, 0.5),
    "empty": lambda path: shorten(path, 0.0),
    "all zeros": lambda path: overwrite(path, 128, bytes(N * 64 * 4)),
    "one row of zeros": lambda path: overwrite(path, 128 + 3 * 64 * 4, bytes(64 * 4)),
    "zeros, time kept": lambda path: kept_times(path, lambda path: overwrite(path, 128, bytes(N * 64 * 4))),
    "saved anew": lambda path: np.save(path, np.zeros((N, 64), dtype=np.float32)),
    "another shape": lambda path: np.save(path, np.zeros((N - 1, 64), dtype=np.float32)),
    "another type": lambda path: np.save(path, np.zeros((N, 64))),
    "objects": lambda path: np.save(path, np.array([{}] * N, dtype=object), allow_pickle=True),
    "text": lambda path: path.write_text("no features"),
    "longer": lambda path: path.write_bytes(path.read_bytes() + bytes(100)),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("spoil", SPOILT_FILES.values(), ids=SPOILT_FILES)
def test_a_finished_file_that_was_spoilt(backbone, paths, out, spoil):
    expected = np.array(backbone.extract(paths, out))
    spoil(out)
    for _ in range(2):
        np.testing.assert_allclose(backbone.extract(paths, out), expected, atol=1e-4)


@pytest.mark.parametrize("text", [b"", b"\xff\xfe\x00", b"null", b"{}", b'{"key": 3}'])
def test_a_spoilt_key(backbone, paths, out, text):
    expected = np.array(backbone.extract(paths, out))
    for stamp in parts(out, ".key"):
        stamp.write_bytes(text)
    np.testing.assert_allclose(backbone.extract(paths, out), expected, atol=1e-4)


def test_one_corrupt_image_does_not_recompute_the_others(backbone, paths, out, opened):
    paths[3].write_bytes(paths[3].read_bytes()[:60])
    backbone.set_params(unreadable="skip")
    with pytest.warns(UnreadableImageWarning):
        first = np.array(backbone.extract(paths, out))
    opened.clear()
    with pytest.warns(UnreadableImageWarning, match=r"3\.png"):
        second = np.array(backbone.extract(paths, out))
    np.testing.assert_array_equal(first, second)
    assert np.isnan(second).all(axis=1).tolist() == [i == 3 for i in range(N)]
    assert set(opened) <= {"3.png"}
    assert len(backbone.unreadable_) == 1


def test_a_repaired_image_alone_is_computed(backbone, paths, out, opened):
    expected, whole = backbone.transform(paths), paths[3].read_bytes()
    paths[3].write_bytes(whole[:60])
    skipping = clone(backbone).set_params(unreadable="skip")
    with pytest.warns(UnreadableImageWarning):
        skipping.extract(paths, out)
    paths[3].write_bytes(whole)
    opened.clear()
    np.testing.assert_allclose(backbone.extract(paths, out), expected, atol=1e-4)
    assert set(opened) == {"3.png"}


def test_a_corrupt_image_still_raises_where_it_was_skipped_before(backbone, paths, out):
    paths[3].write_bytes(paths[3].read_bytes()[:60])
    with pytest.warns(UnreadableImageWarning):
        clone(backbone).set_params(unreadable="skip").extract(paths, out)
    with pytest.raises(ValueError, match=r"3\.png"):
        backbone.extract(paths, out)


# M8: lost work, stale work


@pytest.mark.parametrize("cached", [False, True])
def test_transform_raises_at_the_first_broken_image(backbone, paths, opened, tmp_path, cached):
    paths[1].write_bytes(b"no image")
    backbone.set_params(cache=tmp_path / "cache" if cached else None)
    with pytest.raises(ValueError, match=r"1\.png"):
        backbone.transform(paths)
    assert len(opened) <= 3


class Files:
    """A data set as users write it: it holds paths, and reads them."""

    def __init__(self, paths):
        self.samples = [(str(path), 0) for path in paths]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        from PIL import Image

        return Image.open(self.samples[i][0]).convert("RGB"), self.samples[i][1]


def white(path, *, keep_time=False):
    """Put another picture of the same size in bytes into a file."""
    from PIL import Image

    before = path.stat()
    Image.fromarray(np.full((20, 20, 3), 255, dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes().ljust(before.st_size, b"\0"))
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def twice(backbone, images, tmp_path, how, change):
    """Features from a cache or file, after the images changed, and those of a fresh object without a cache."""
    fresh = clone(backbone)
    if how == "cache":
        backbone.set_params(cache=tmp_path / "cache").transform(images)
        change()
        return backbone.transform(images), fresh.transform(images)
    backbone.extract(images, tmp_path / "f.npy")
    change()
    return backbone.extract(images, tmp_path / "f.npy"), fresh.transform(images)


@pytest.mark.parametrize("how", ["cache", "file"])
@pytest.mark.parametrize("source", ["paths", "data set"])
@pytest.mark.parametrize("keep_time", [False, True])
def test_pictures_that_changed_are_computed_again(backbone, paths, tmp_path, how, source, keep_time):
    images = paths if source == "paths" else Files(paths)
    found, right = twice(backbone, images, tmp_path, how, lambda: white(paths[2], keep_time=keep_time))
    np.testing.assert_allclose(found, right, atol=1e-4)


@pytest.mark.parametrize("how", ["cache", "file", "transform", "linear_head"])
def test_weights_that_changed_under_a_live_object(trained, paths, tmp_path, how):
    weights = trained("test_vit", 0)
    backbone = TimmBackbone("test_vit", weights=weights, batch_size=4)
    if how == "linear_head":
        backbone.linear_head()
        trained("test_vit", 1)
        found, right = (one.linear_head().estimator.coef_ for one in (backbone, clone(backbone)))
    elif how == "transform":
        backbone.transform(paths)
        trained("test_vit", 1)
        found, right = backbone.transform(paths), clone(backbone).transform(paths)
    else:
        found, right = twice(backbone, paths, tmp_path, how, lambda: trained("test_vit", 1))
    np.testing.assert_allclose(found, right, atol=1e-4)


@pytest.mark.parametrize("how", ["cache", "file"])
@pytest.mark.parametrize("unreadable", ["skip", "raise"])
def test_a_failure_is_not_remembered_after_its_cause_is_gone(backbone, paths, tmp_path, monkeypatch, how, unreadable):
    """The limit on pixels stands for a share that was away: nothing about the files changes."""
    from PIL import Image

    expected = backbone.transform(paths)
    backbone.set_params(unreadable=unreadable, cache=tmp_path / "cache" if how == "cache" else None)
    work = backbone.transform if how == "cache" else lambda paths: backbone.extract(paths, tmp_path / "f.npy")
    with monkeypatch.context() as limit:
        limit.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        with pytest.warns(UnreadableImageWarning) if unreadable == "skip" else pytest.raises(ValueError, match="read"):
            work(paths)
    np.testing.assert_allclose(work(paths), expected, atol=1e-4)


# M11: files of strangers


class _Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (Path(self.marker),)


def test_a_replaced_cache_file_is_not_executed(backbone, paths, tmp_path):
    backbone.set_params(cache=tmp_path / "cache")
    expected, marker = backbone.transform(paths), tmp_path / "executed"
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file() and path.suffix in (".pkl", ".joblib", ".npy", ".npz"):
            path.write_bytes(pickle.dumps(_Payload(marker)))
    try:
        np.testing.assert_allclose(clone(backbone).transform(paths), expected, atol=1e-4)
    finally:
        assert not marker.exists()


@pytest.mark.parametrize("suffix", [".part", ".journal", ".key"])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_does_not_lead_to_another_file(backbone, paths, out, tmp_path, suffix, dangling):
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_text("precious")
    out.parent.mkdir()
    Path(f"{out}{suffix}").symlink_to(victim)
    try:
        found = backbone.extract(paths, out)
    except (OSError, ValueError) as error:
        assert suffix in str(error)  # noqa: PT017
    else:
        np.testing.assert_allclose(found, backbone.transform(paths), atol=1e-4)
    assert victim.read_text() == "precious" if not dangling else not victim.exists()


def test_a_half_written_link_is_not_followed_on_resumption(backbone, paths, out, tmp_path, opened):
    """A stranger swaps the unfinished part for a link to a file of the same length."""
    extract_until(backbone, paths, out, opened, 4)
    (part,) = parts(out, ".part")
    victim = tmp_path / "victim"
    victim.write_bytes(part.read_bytes())
    before = victim.read_bytes()
    part.unlink()
    part.symlink_to(victim)
    try:
        backbone.extract(paths, out)
    except (OSError, ValueError) as error:
        assert ".part" in str(error)  # noqa: PT017
    assert victim.read_bytes() == before


def test_the_journal_is_text_that_can_be_read(backbone, paths, out, opened):
    """What held: header, time, then one range a line."""
    extract_until(backbone, paths, out, opened, 3)
    (journal,) = parts(out, ".journal")
    assert isinstance(json.loads(journal.read_text().splitlines()[0]), dict)
