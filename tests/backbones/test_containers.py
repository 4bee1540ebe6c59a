"""L6, M8, H17: images in every container, and errors that a reader can act on."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from abstain import TimmBackbone
from abstain.backbones.images import Images
from abstain.warnings import UnreadableImageWarning

pytestmark = [
    pytest.mark.vision,
    pytest.mark.filterwarnings("ignore::abstain.warnings.RandomWeightsWarning"),
]
torch = pytest.importorskip("torch", reason="needs the vision extra")


@pytest.fixture
def backbone():
    return TimmBackbone("test_vit", batch_size=4)


def refused(backbone, images, *words):
    """The images are refused, with words that say what came and what to do, and no error of torch or PIL."""
    with pytest.raises((ValueError, TypeError)) as caught:
        backbone.transform(images)
    message = str(caught.value)
    assert any(word in message for word in words), message
    for raw in ("stack expects", "Expected all tensors", "Input type", "Cannot handle this data type"):
        assert raw not in message


def test_bytes_as_tensors_are_scaled_or_refused(backbone, pictures):
    tensors = [torch.from_numpy(picture).permute(2, 0, 1) for picture in pictures]
    try:
        found = backbone.transform(tensors)
    except (ValueError, TypeError) as error:
        assert "uint8" in str(error)  # noqa: PT017
        assert "float" in str(error)  # noqa: PT017
    else:
        np.testing.assert_allclose(found, backbone.transform(pictures), atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_tensors_that_are_no_floats_are_refused(backbone, dtype):
    refused(backbone, [torch.zeros(3, 160, 160).to(dtype)] * 2, str(dtype))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_floats_of_other_precision_are_taken(backbone, dtype):
    images = [torch.full((3, 160, 160), 0.5), torch.full((3, 160, 160), -1.0)]
    found = backbone.transform([image.to(dtype) for image in images])
    np.testing.assert_allclose(found, backbone.transform(images), atol=1e-2)


def test_tensors_of_mixed_sizes_are_named(backbone):
    refused(backbone, [torch.zeros(3, 160, 160), torch.zeros(3, 128, 160)], "128", "size", "shape")


@pytest.mark.parametrize("shape", [(160, 160), (160, 160, 3), (1, 160, 160), (4, 160, 160), (2, 3, 160, 160), ()])
def test_tensors_that_are_no_image_are_named(backbone, shape):
    refused(backbone, [torch.zeros(shape)] * 2, "(3, H, W)", "shape")


def test_arrays_and_images_of_mixed_sizes_are_fine(backbone, pictures):
    from PIL import Image

    mixed = [pictures[0], pictures[1][:10], Image.fromarray(pictures[2]), pictures[3][..., 0]]
    assert np.isfinite(backbone.transform(mixed)).all()


def test_images_and_tensors_in_one_list(backbone, pictures):
    """A batch of both: the sizes agree by chance or are refused by name, never a raw error."""
    try:
        found = backbone.transform([pictures[0], torch.zeros(3, 64, 64)])
    except (ValueError, TypeError) as error:
        assert "stack expects" not in str(error)  # noqa: PT017
        assert "size" in str(error) or "shape" in str(error)  # noqa: PT017
    else:
        assert found.shape[0] == 2


@pytest.mark.parametrize("array", [np.full((8, 8, 3), 0.5), np.zeros((8, 8)), np.zeros((8, 8, 3), dtype=np.float32)])
def test_float_arrays_in_a_list_are_refused(backbone, array):
    refused(backbone, [array] * 2, "float")


def test_a_tensor_of_images(backbone, pictures):
    images = torch.zeros(2, 3, 160, 160)
    assert backbone.transform(images).shape[0] == 2
    refused(backbone, torch.from_numpy(pictures), "shape", "uint8")


@pytest.mark.parametrize("columns", [["path"], ["path", "label"]])
def test_a_frame_of_paths(backbone, files, columns):
    pd = pytest.importorskip("pandas", reason="needs the test extra")
    frame = pd.DataFrame({"path": [str(file) for file in files], "label": list("abab")}, index=[9, 3, 5, 1])[columns]
    if len(columns) == 1:
        try:
            np.testing.assert_allclose(backbone.transform(frame), backbone.transform(files), atol=1e-5)
        except (ValueError, TypeError) as error:
            assert "column" in str(error) or "Series" in str(error)  # noqa: PT017
    else:
        refused(backbone, frame, "column", "Series")


def test_paths_in_two_dimensions(backbone, files):
    array = np.array([str(file) for file in files])
    try:
        found = backbone.transform(array[:, None])
    except (ValueError, TypeError) as error:
        assert "one dimension" in str(error) or "shape" in str(error) or "1-D" in str(error)  # noqa: PT017
    else:
        np.testing.assert_allclose(found, backbone.transform(files), atol=1e-5)
    refused(backbone, array.reshape(2, 2), "one dimension", "shape", "1-D")


@pytest.mark.parametrize("item", [None, 3, 2.5, {"image": 1}, b"bytes", object()])
def test_items_that_are_no_images_are_named(backbone, item):
    refused(backbone, [item] * 2, type(item).__name__)


def test_a_data_set_that_gives_nothing_but_labels(backbone):
    class Labels:
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return ()

    refused(backbone, Labels(), "empty", "tuple", "image")


def test_strings_of_other_kinds(backbone, files):
    pd = pytest.importorskip("pandas", reason="needs the test extra")
    expected = backbone.transform(files)
    texts = [str(file) for file in files]
    for source in (tuple(texts), np.array(texts, dtype=object), pd.Series(texts, dtype="string"), pd.Series(files)):
        np.testing.assert_allclose(backbone.transform(source), expected, atol=1e-5)
        assert Images(source).name(1) == texts[1]


def test_missing_paths_in_a_series_are_named(backbone, files):
    pd = pytest.importorskip("pandas", reason="needs the test extra")
    refused(backbone, pd.Series([str(files[0]), None, str(files[1])]), "None", "image 1", "missing")


def test_file_names_of_bytes_and_missing_files(backbone, tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        backbone.transform([tmp_path / "nowhere.png"])
    skipping = TimmBackbone("test_vit", unreadable="skip")
    with pytest.warns(UnreadableImageWarning, match="nowhere"):
        assert np.isnan(skipping.transform([tmp_path / "nowhere.png"])).all()


def test_names_of_the_features(backbone, pictures):
    width = backbone.transform(pictures).shape[1]
    names = backbone.get_feature_names_out()
    assert len(names) == width == len(set(names))
    assert all(isinstance(name, str) for name in names)
    assert list(make_pipeline(backbone).get_feature_names_out()) == list(names)


def test_names_before_any_image_was_seen(backbone):
    """A network is loaded to be used, not to be printed, and pages of notebooks ask for names."""
    with pytest.raises(NotFittedError, match="first transform"):
        backbone.get_feature_names_out()


def test_features_as_a_frame(backbone, pictures):
    pd = pytest.importorskip("pandas", reason="needs the test extra")
    frame = backbone.set_output(transform="pandas").transform(pictures)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(backbone.get_feature_names_out())


@pytest.mark.parametrize("unreadable", ["raise", "skip"])
def test_one_odd_item_among_good_ones(files, unreadable):
    """What cannot be made an image counts as unreadable, with its place."""
    from PIL import Image

    odd = Image.new("F", (8, 8))
    images = [Image.open(files[0]), odd, Image.open(files[1])]
    backbone = TimmBackbone("test_vit", unreadable=unreadable)
    if unreadable == "raise":
        with pytest.raises(ValueError, match="image 1"):
            backbone.transform(images)
    else:
        with pytest.warns(UnreadableImageWarning, match="image 1"):
            features = backbone.transform(images)
        assert np.isnan(features).all(axis=1).tolist() == [False, True, False]


def test_a_sample_of_images_tells_what_they_hold_and_in_which_order(pictures, tmp_path):
    from PIL import Image

    paths = [tmp_path / f"{i}.png" for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    rows = range(len(pictures))
    for source in (paths, [str(path) for path in paths], list(pictures), [Image.fromarray(p) for p in pictures]):
        assert Images(source).sample(rows) == Images(list(source)).sample(rows)
        assert Images(source).sample(rows) != Images(list(source)[::-1]).sample(rows)
    paths[0].unlink()
    assert Images(paths).sample(rows) != Images([paths[0], *paths[:-1]]).sample(rows)
