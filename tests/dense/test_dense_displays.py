"""Pictures of maps show what the maps hold, a class in one colour everywhere."""

import numpy as np
import pytest

from abstain.dense import DenseReliabilityDisplay, MapsDisplay

pytestmark = [pytest.mark.plot, pytest.mark.usefixtures("agg")]


def drawn(ax):
    """Colours of a picture, (H, W, 4)."""
    (picture,) = ax.get_images()
    return picture.to_rgba(picture.get_array())


def test_pixels_of_too_little_confidence_are_red(rng):
    proba = rng.random((2, 6, 5))
    display = MapsDisplay.from_predictions(proba, proba**2, images=rng.random((2, 6, 5, 3)), threshold=0.8)
    assert [ax.get_title() for ax in display.axes_[0]] == ["image", "before", "after", "left open (red)"]
    for i in range(2):
        colours = drawn(display.axes_[i, -1])
        red = colours[..., 0] > colours[..., 1] + 0.3
        after = proba[i] ** 2
        np.testing.assert_array_equal(red, np.maximum(after, 1 - after) < 0.8)


def test_a_class_has_one_colour_and_ignored_pixels_have_none(rng):
    before = rng.dirichlet(np.ones(4), size=(1, 6, 5))
    after = np.roll(before, 1, axis=3)
    after[..., 3] = 0.0  # a class that is nowhere after: the others keep their colours
    after /= after.sum(axis=3, keepdims=True)
    masks = before.argmax(axis=3)
    masks[0, 0] = 255
    axes = MapsDisplay.from_predictions(before, after, masks=masks).axes_[0]
    truth, old, new = (drawn(ax) for ax in axes[:3])
    np.testing.assert_array_equal(truth[1:], old[1:])
    assert (truth[0, :, 3] == 0).all()
    for k in range(3):
        colours = np.concatenate([old[before[0].argmax(axis=2) == k], new[after[0].argmax(axis=2) == k]])
        assert len(np.unique(colours, axis=0)) == 1


@pytest.mark.parametrize(("name", "shape"), [("images", (2, 6, 4, 3)), ("masks", (1, 6, 5))])
def test_parts_of_another_shape_are_named(name, shape, rng):
    proba = rng.random((2, 6, 5))
    with pytest.raises(ValueError, match=f"{name} must have the shape of the maps"):
        MapsDisplay.from_predictions(proba, proba, **{name: np.zeros(shape)})
    with pytest.raises(ValueError, match="after must have the shape of before"):
        MapsDisplay.from_predictions(proba, proba[:1])


def test_reliability_of_each_image_and_of_all(rng):
    proba = rng.random((3, 40, 40))
    masks = (rng.random(proba.shape) < proba).astype(int)
    masks[1, :20] = 255
    display = DenseReliabilityDisplay.from_predictions(proba, masks, n_bins=5)
    confidence, right = np.maximum(proba, 1 - proba), (proba > 0.5) == masks
    inside = (confidence >= 0.7) & (confidence < 0.8) & (masks != 255)
    for i, curve in enumerate(display.curves):
        assert curve[0][2] == pytest.approx(confidence[i][inside[i]].mean())
        assert curve[1][2] == pytest.approx(right[i][inside[i]].mean())
    assert display.pooled[1][2] == pytest.approx(right[inside].mean())
    assert len(display.ax_.get_lines()) == 6  # three images, all pixels, the diagonal, and a line for the legend
