"""M9: pixels reach the network as a viewer shows them, or are refused by name."""

import io

import numpy as np
import pytest

from abstain.backbones.images import Images

pytestmark = [
    pytest.mark.vision,
    pytest.mark.filterwarnings("ignore::abstain.warnings.RandomWeightsWarning"),
]
Image = pytest.importorskip("PIL.Image", reason="needs the vision extra")
ORIENTATION = 0x0112
GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
UPRIGHT = {  # what a viewer does with the stored pixels, by EXIF orientation
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def pixels(source, i=0):
    """RGB values of one image of a source, as they go to the preprocessing."""
    image = Images(source).load(i)
    assert image.mode == "RGB"
    return np.asarray(image)


def saved(path, image, **options):
    image.save(path, **options)
    return [path]


def exif(orientation):
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found


def grey3(values):
    return np.repeat(np.asarray(values)[..., None], 3, axis=-1)


# orientation


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
@pytest.mark.parametrize("opened", [False, True])
def test_exif_orientation(tmp_path, orientation, suffix, opened):
    lossless = {"lossless": True} if suffix == "webp" else {}
    paths = saved(tmp_path / f"a.{suffix}", Image.fromarray(COLOUR), exif=exif(orientation), **lossless)
    source = [Image.open(paths[0])] if opened else paths
    np.testing.assert_array_equal(pixels(source), UPRIGHT[orientation](COLOUR))


def test_exif_orientation_of_a_photograph(tmp_path):
    picture = np.zeros((16, 32, 3), dtype=np.uint8)
    picture[:, :16] = 255
    paths = saved(tmp_path / "a.jpg", Image.fromarray(picture), exif=exif(6), quality=95)
    found = pixels(paths)
    assert found.shape == (32, 16, 3)
    assert found[:12].min() > 200
    assert found[20:].max() < 50


@pytest.mark.parametrize("orientation", [0, 9, 1000])
def test_an_orientation_that_does_not_exist_is_none(tmp_path, orientation):
    paths = saved(tmp_path / "a.png", Image.fromarray(COLOUR), exif=exif(orientation))
    np.testing.assert_array_equal(pixels(paths), COLOUR)


def test_orientation_of_grey_deep_and_transparent_images(tmp_path):
    deep = saved(tmp_path / "deep.png", Image.fromarray(GREY.astype(np.uint16) * 256), exif=exif(6))
    np.testing.assert_array_equal(pixels(deep), grey3(np.rot90(GREY, -1)))
    opaque = np.concatenate([COLOUR, np.full((6, 8, 1), 255, dtype=np.uint8)], axis=2)
    clear = saved(tmp_path / "clear.png", Image.fromarray(opaque), exif=exif(3))
    np.testing.assert_array_equal(pixels(clear), COLOUR[::-1, ::-1])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Tag data larger")
def test_broken_exif_is_no_raw_error():
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, "jpeg", exif=exif(6))
    data, rng = bytearray(buffer.getvalue()), np.random.default_rng(0)
    start = data.index(b"Exif")
    for _ in range(300):
        broken = bytearray(data)
        for at in rng.integers(start + 4, start + 34, 4):
            broken[at] = rng.integers(256)
        try:
            picture = Image.open(io.BytesIO(bytes(broken)))
            assert sorted(pixels([picture]).shape) == [3, 6, 8]
        except (OSError, ValueError, SyntaxError):
            pass


# depth

DEEP = GREY.astype(np.uint16) * 256 + 77


def test_sixteen_bits_in_a_list_of_arrays():
    np.testing.assert_array_equal(pixels([DEEP]), grey3(GREY))
    dark = np.full((4, 4), 200, dtype=np.uint16)
    assert pixels([dark]).max() == 0


def test_sixteen_bit_colours_in_a_list_of_arrays():
    np.testing.assert_array_equal(pixels([COLOUR.astype(np.uint16) * 256 + 9]), COLOUR)


def test_sixteen_bit_big_endian_arrays():
    np.testing.assert_array_equal(pixels([DEEP.astype(">u2")]), grey3(GREY))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_sixteen_bit_modes(mode):
    kind = ">u2" if mode.endswith("B") else "<u2"
    image = Image.frombytes(mode, (8, 6), DEEP.astype(kind).tobytes())
    np.testing.assert_array_equal(pixels([image]), grey3(GREY))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bit_files(tmp_path, suffix):
    np.testing.assert_array_equal(pixels(saved(tmp_path / f"a.{suffix}", Image.fromarray(DEEP))), grey3(GREY))


def test_a_deep_portable_map(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 8 6 65535\n" + DEEP.astype(">u2").tobytes())
    np.testing.assert_array_equal(pixels([tmp_path / "a.pgm"]), grey3(GREY))


def test_mode_i_within_a_byte_is_taken_as_it_is():
    np.testing.assert_array_equal(pixels([Image.fromarray(GREY.astype(np.int32))]), grey3(GREY))
    np.testing.assert_array_equal(pixels([Image.fromarray(GREY).convert("I")]), grey3(GREY))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.int16])
def test_wide_integers_within_a_byte_are_taken_as_they_are(dtype):
    np.testing.assert_array_equal(pixels([GREY.astype(dtype)]), grey3(GREY))
    np.testing.assert_array_equal(pixels([COLOUR.astype(dtype)]), COLOUR)


@pytest.mark.parametrize("value", [-1, 70000, 2**31 - 1])
def test_mode_i_beyond_all_ranges_is_refused(value):
    image = Image.fromarray(np.full((4, 4), value, dtype=np.int32))
    with pytest.raises(ValueError, match=r"range|convert"):
        pixels([image])


def test_mode_i_of_sixteen_bits_is_scaled_or_refused():
    """In memory nobody says how deep mode "I" is: white and black are both wrong."""
    try:
        found = pixels([Image.fromarray(DEEP.astype(np.int32))])
    except ValueError as error:
        assert "range" in str(error)  # noqa: PT017
    else:
        np.testing.assert_array_equal(found, grey3(GREY))


@pytest.mark.parametrize("array", [GREY / 255, GREY.astype(np.float32), COLOUR / 255, COLOUR.astype(np.float16)])
def test_floats_in_a_list_are_refused_by_name(array):
    with pytest.raises(ValueError, match=str(array.dtype) + r"|floating|float"):
        pixels([array])


def test_a_float_image_is_refused():
    with pytest.raises(ValueError, match="range"):
        pixels([Image.fromarray(GREY.astype(np.float32))])


@pytest.mark.parametrize("array", [DEEP[None], DEEP[None, ..., None], np.stack([COLOUR.astype(np.uint16)])])
def test_one_array_of_sixteen_bits_is_scaled_or_refused(array):
    try:
        found = pixels(array)
    except ValueError as error:
        assert "uint16" in str(error)  # noqa: PT017
    else:
        assert found.max() < 255


# transparency: hidden colours are hidden, on a white page as a browser shows it

SHOWN = np.arange(8) < 4
HIDDEN = np.where(SHOWN[None, :, None], COLOUR, 255).astype(np.uint8)


def with_alpha(alpha):
    return np.concatenate([COLOUR, np.broadcast_to(alpha, (6, 8)).astype(np.uint8)[..., None]], axis=2)


@pytest.mark.parametrize("how", ["array", "image", "png", "webp", "tiff"])
def test_hidden_colours_are_not_shown(tmp_path, how):
    array = with_alpha(SHOWN * 255)
    image = Image.fromarray(array)
    options = {"lossless": True, "exact": True} if how == "webp" else {}
    source = {"array": [array], "image": [image]}.get(how) or saved(tmp_path / f"a.{how}", image, **options)
    np.testing.assert_array_equal(pixels(source), HIDDEN)


def test_opaque_images_are_untouched():
    np.testing.assert_array_equal(pixels([Image.fromarray(with_alpha(255))]), COLOUR)


def test_half_transparent_is_half_white():
    np.testing.assert_allclose(pixels([Image.fromarray(with_alpha(128))]), COLOUR * 0.502 + 255 * 0.498, atol=1.5)


def test_grey_with_alpha(tmp_path):
    array = np.stack([GREY, np.broadcast_to(SHOWN * 255, GREY.shape).astype(np.uint8)], axis=2)
    expected = grey3(np.where(SHOWN[None], GREY, 255))
    np.testing.assert_array_equal(pixels([Image.fromarray(array)]), expected)
    np.testing.assert_array_equal(pixels(saved(tmp_path / "a.png", Image.fromarray(array))), expected)
    np.testing.assert_array_equal(pixels([array]), expected)


@pytest.mark.parametrize("kind", ["palette", "colour", "grey"])
def test_a_transparent_colour(tmp_path, kind):
    """GIF and PNG may say which one colour is no colour."""
    if kind == "palette":
        image = Image.fromarray(np.broadcast_to(SHOWN, (6, 8)).astype(np.uint8)).convert("P")
        image.putpalette([10, 20, 30, 40, 50, 60])
        paths, shown = saved(tmp_path / "a.png", image, transparency=0), (40, 50, 60)
    elif kind == "colour":
        array = np.where(SHOWN[None, :, None], (40, 50, 60), (10, 20, 30)) + np.zeros((6, 1, 1))
        paths = saved(tmp_path / "a.png", Image.fromarray(array.astype(np.uint8)), transparency=(10, 20, 30))
        shown = (40, 50, 60)
    else:
        array = np.where(SHOWN, 40, 10) + np.zeros((6, 1))
        paths, shown = saved(tmp_path / "a.png", Image.fromarray(array.astype(np.uint8)), transparency=10), (40,) * 3
    expected = np.where(SHOWN[None, :, None], shown, 255) + np.zeros((6, 1, 1))
    np.testing.assert_array_equal(pixels(paths), expected)


def test_a_transparent_gif(tmp_path):
    image = Image.fromarray(np.broadcast_to(SHOWN, (6, 8)).astype(np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    found = pixels(saved(tmp_path / "a.gif", image, transparency=0))
    np.testing.assert_array_equal(found, np.where(SHOWN[None, :, None], (40, 50, 60), 255) + np.zeros((6, 1, 1)))


def test_premultiplied_alpha():
    image = Image.fromarray(with_alpha(SHOWN * 255)).convert("RGBa")
    np.testing.assert_array_equal(pixels([image]), HIDDEN)


# what held, and other modes


def test_one_bit():
    image = Image.fromarray(GREY > 100)
    assert image.mode == "1"
    np.testing.assert_array_equal(pixels([image]), grey3((GREY > 100) * 255))
    np.testing.assert_array_equal(pixels([GREY > 100]), grey3((GREY > 100) * 255))


def test_palette_and_grey():
    np.testing.assert_array_equal(pixels([Image.fromarray(GREY)]), grey3(GREY))
    np.testing.assert_array_equal(pixels([GREY]), grey3(GREY))
    np.testing.assert_array_equal(pixels([GREY[..., None]]), grey3(GREY))
    np.testing.assert_array_equal(pixels([Image.fromarray(GREY).convert("P")]), grey3(GREY))


def test_four_inks(tmp_path):
    image = Image.fromarray(COLOUR).convert("CMYK")
    np.testing.assert_array_equal(pixels([image]), COLOUR)
    found = pixels(saved(tmp_path / "a.tiff", image))
    np.testing.assert_array_equal(found, COLOUR)


@pytest.mark.parametrize("mode", ["YCbCr", "HSV"])
def test_other_colour_spaces(mode):
    found = pixels([Image.fromarray(COLOUR).convert(mode)])
    assert np.abs(found.astype(int) - COLOUR).max() <= 6


@pytest.mark.parametrize("shape", [(3, 6, 8), (6, 8, 5), (6,), (1, 6, 8, 3), (0, 8, 3)])
def test_arrays_that_are_no_image_are_refused_by_shape(shape):
    with pytest.raises(ValueError, match=r"shape"):
        pixels([np.zeros(shape, dtype=np.uint8)])


@pytest.mark.parametrize("array", [np.array([["a"] * 4] * 4), np.full((4, 4), None), np.zeros((4, 4), dtype=complex)])
def test_arrays_of_other_things_are_refused_by_name(array):
    with pytest.raises((ValueError, TypeError), match=str(array.dtype)):
        pixels([array])
