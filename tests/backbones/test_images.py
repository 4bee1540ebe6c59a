"""Images from every source."""

import numpy as np
import pytest

from abstain.backbones import image_folder
from abstain.backbones.images import Images

pytestmark = pytest.mark.vision


def test_folder(folder):
    paths, labels = image_folder(folder)
    assert labels.tolist() == ["cat"] * 5 + ["dog"] * 5
    assert [p.name for p in paths[:5]] == ["0.png", "1.png", "2.png", "3.png", "4.png"]
    (folder / "cat" / "notes.txt").write_text("no image")
    assert len(image_folder(str(folder))[0]) == 10


def test_sources_agree(folder):
    from PIL import Image

    paths, _ = image_folder(folder)
    arrays = np.stack([np.asarray(Image.open(p).convert("RGB")) for p in paths])
    pairs = [(Image.open(p), 0) for p in paths]
    sources = [folder, str(folder), paths, [str(p) for p in paths], np.array([str(p) for p in paths]), arrays, pairs]
    for source in sources:
        images = Images(source)
        assert len(images) == 10
        np.testing.assert_array_equal(np.asarray(images.load(3)), arrays[3])
        assert images.load(3).mode == "RGB"
    assert Images(paths).name(2) == str(paths[2])
    assert Images(arrays).name(2) == "image 2"


def test_tensors_pass_as_they_are():
    import torch

    data = torch.utils.data.TensorDataset(torch.zeros(3, 3, 8, 8), torch.zeros(3))
    assert Images(data).load(0).shape == (3, 8, 8)


def test_keys(folder):
    paths, _ = image_folder(folder)
    before = Images(paths).key(), Images(paths).states()
    assert Images(paths).key() == before[0] != Images(paths[1:]).key()
    paths[0].write_bytes(b"changed")
    assert Images(paths).key() == before[0]
    changed = [mine != theirs for mine, theirs in zip(Images(paths).states(), before[1], strict=True)]
    assert changed == [True] + [False] * (len(paths) - 1)
    arrays = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    assert Images(arrays).key() != Images(arrays + 1).key()


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("/no/such/folder", ValueError, "is not a folder"),
        (np.zeros((2, 3, 4, 4), dtype=np.uint8), ValueError, r"uint8 of shape \(n, H, W, 3\)"),
        (np.zeros((2, 4, 4, 3)), ValueError, "float64"),
        ([], ValueError, "images is empty"),
        (7, TypeError, "images must be a folder"),
    ],
)
def test_bad_sources_are_named(source, error, message):
    with pytest.raises(error, match=message):
        Images(source)


def test_a_folder_without_images(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no sub-folders with images"):
        image_folder(tmp_path)


def test_a_series_is_read_by_position(folder):
    pd = pytest.importorskip("pandas", reason="needs the test extra")
    paths = [str(p) for p in image_folder(folder)[0]]
    shuffled = pd.Series(paths).sample(frac=1, random_state=0)
    assert [Images(shuffled).name(i) for i in range(10)] == shuffled.tolist()


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    from PIL import Image

    levels = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    loaded = np.asarray(Images([tmp_path / "deep.png"]).load(0))
    assert loaded.mean() == pytest.approx(127, abs=1)
    Image.fromarray(levels.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match="no known range"):
        Images([tmp_path / "float.tif"]).load(0)


def test_what_cannot_be_identified_is_never_the_same():
    class Lazy:
        transform = staticmethod(lambda x: x)

        def __init__(self):
            self.f = lambda x: x

        def __len__(self):
            return 3

        def __getitem__(self, i):
            return np.zeros((4, 4, 3), dtype=np.uint8)

    images = Images(Lazy())
    assert images.key() != images.key()
    assert not images.changed_since(0).any()
