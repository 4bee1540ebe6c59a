"""Classifiers of pixels end to end: from a linear map of frozen stages, resumed bit for bit, a level for an image."""

import numpy as np
import pytest

from abstain import FineTuning, TimmBackbone, Training
from abstain.dense import DenseCalibrator, FineTunedSegmenter
from abstain.losses import AdaptivePerturbationLoss, LabelPerturbationLoss, WLFLoss
from abstain.warnings import FrozenStartWarning

pytest.importorskip("timm", reason="needs timm: pip install '.[vision]'")

import torch
from kills import killed

from abstain.backbones import hypercolumns, networks

pytestmark = [pytest.mark.vision, pytest.mark.filterwarnings("ignore::abstain.warnings.FrozenStartWarning")]
KNOBS = {"epochs": 3, "batch_size": 8, "lr": 2e-3, "validation_fraction": 0.25, "device": "cpu", "checkpoint_every": 0}


def discs(n=40, seed=0, size=24, n_classes=2):
    """Images with a brighter disc under noise, brighter for each further class; masks say where."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    X, masks = rng.integers(0, 140, size=(n, size, size, 3)), np.zeros((n, size, size), dtype=int)
    for image, mask in zip(X, masks, strict=True):
        row, column = rng.integers(size // 4, 3 * size // 4, 2)
        disc = (y - row) ** 2 + (x - column) ** 2 < rng.integers(size // 6, size // 3) ** 2
        mask[disc] = rng.integers(1, n_classes)
        image[disc] += 55 * mask[disc][:, None]
    return X.clip(0, 255).astype(np.uint8), masks


def backbone(name="test_resnet", **options):
    return TimmBackbone(name, weights="random", input_size=48, batch_size=16, device="cpu", **options)


def segmenter(**options):
    shared = {"training": FineTuning(**KNOBS), "random_state": 0}
    return FineTunedSegmenter(options.pop("backbone", backbone()), **shared | options)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit"])
def test_the_start_is_a_probe_on_enlarged_stages(name):
    from torch.nn import functional

    X, masks = discs(16)
    start = backbone(name)
    with pytest.warns(FrozenStartWarning):
        model = segmenter(backbone=start, training=FineTuning(**KNOBS | {"lr": 0.5, "epochs": 1})).fit(X, masks)
    from abstain.backbones.images import Images

    network = start.module().eval()
    config = networks.preprocessing(network, None, None, 48)
    preprocess = hypercolumns.squashed(config)
    images = torch.stack([preprocess(Images(X).load(i)) for i in range(4)])
    assert images.shape == (4, 3, 48, 48)  # whole, not cropped
    with torch.no_grad():
        maps = hypercolumns.stages(network, networks.normalised(images, config))
    columns = torch.cat([functional.interpolate(part, (24, 24), mode="bilinear") for part in maps], dim=1)
    expected = np.einsum("bchw,kc->bkhw", columns.numpy(), model.coef_) + model.intercept_[:, None, None]
    np.testing.assert_allclose(model.decision_function(X[:4]), expected[:, 1] - expected[:, 0], atol=2e-3)


def test_it_learns_and_leaves_the_backbone_alone():
    (X, masks), (fresh, truth), start = discs(60), discs(40, 9), backbone()
    before = networks.arrays(start.module())
    model = segmenter(backbone=start, training=FineTuning(**KNOBS | {"epochs": 6, "lr": 5e-4})).fit(X, masks)
    for name, value in networks.arrays(start.module()).items():
        np.testing.assert_array_equal(value, before[name])
    losses = [epoch["validation_loss"] for epoch in model.history_]
    assert min(losses) < 0.8 * losses[0]
    assert (model.predict(fresh) == truth).mean() > 0.97
    proba, maps = model.predict_proba(fresh), model.decision_function(fresh)
    np.testing.assert_allclose(proba, 1 / (1 + np.exp(-maps)), atol=1e-6)
    assert model.logits(list(fresh[:3]), size=(12, 20)).shape == (3, 12, 20)
    calibrated = DenseCalibrator().fit(maps[:20], truth[:20]).predict_proba(maps[20:])
    assert calibrated.shape == maps[20:].shape


def test_more_classes_and_pixels_that_do_not_count():
    X, masks = discs(40, n_classes=4)
    masks[:, :, 0] = 255
    model = segmenter(ignore_label=255, training=FineTuning(**KNOBS | {"epochs": 1})).fit(X, masks)
    assert model.decision_function(X[:2]).shape == (2, 24, 24, 4)
    np.testing.assert_allclose(model.predict_proba(X[:2]).sum(axis=3), 1.0, atol=1e-5)
    moved = masks.copy()
    moved[:, :, 0] = 254
    again = segmenter(ignore_label=254, training=FineTuning(**KNOBS | {"epochs": 1})).fit(X, moved)
    np.testing.assert_array_equal(again.coef_, model.coef_)


@pytest.mark.parametrize(
    "loss", [None, AdaptivePerturbationLoss(eta=0.01), AdaptivePerturbationLoss(mode="mei", eta=0.01)], ids=str
)
def test_a_run_that_is_killed_goes_on_bit_for_bit(loss, tmp_path, monkeypatch):
    X, masks = discs()
    whole = segmenter(loss=loss).fit(X, masks)
    with monkeypatch.context() as patch:
        killed(patch, 8)  # four steps, and the end of the epoch, twice
        with pytest.raises(KeyboardInterrupt):
            segmenter(loss=loss, checkpoint=tmp_path / "state.pt").fit(X, masks)
    again = segmenter(loss=loss, checkpoint=tmp_path / "state.pt").fit(X, masks)
    assert again.history_ == whole.history_
    np.testing.assert_array_equal(again.decision_function(X), whole.decision_function(X))
    if loss is not None:
        np.testing.assert_array_equal(again.levels_, whole.levels_)


def test_levels_are_those_of_images_by_their_mean_margin():
    from abstain.solvers.objectives import MapObjective
    from abstain.solvers.sources import Batch

    objective = MapObjective(AdaptivePerturbationLoss(warm_up=0, eta=0.01), 5)
    objective.see({"validation_loss": 0.0, "accuracy": 0.6})
    logits = torch.randn((2, 3, 4, 4), generator=torch.Generator().manual_seed(0), requires_grad=True)
    masks = torch.from_numpy(np.random.default_rng(0).integers(-1, 3, size=(2, 4, 4)))
    value = objective((logits,), Batch(np.array([3, 1]), (), (masks,)), 0)
    value.backward()
    pixels, codes = logits.detach().movedim(1, 3)[masks >= 0], masks[masks >= 0]
    plain = LabelPerturbationLoss().value_and_derivative(pixels.numpy(), codes.numpy())[0].mean()
    np.testing.assert_allclose(float(value.detach()), plain, rtol=1e-5)
    for row, image, mask in zip((3, 1), logits.detach().movedim(1, 3), masks, strict=True):
        said, true = image[mask >= 0].numpy(), mask[mask >= 0].numpy()
        margin = 1.5 * (said[np.arange(len(true)), true] - said.mean(axis=1))
        np.testing.assert_allclose(objective.levels[row], max(0.01 * margin.mean(), 0.0), atol=1e-6)
    assert not objective.levels[[0, 2, 4]].any()


def test_it_is_saved_and_loaded(tmp_path):
    pytest.importorskip("skops", reason="needs skops: pip install '.[io]'")
    import abstain

    X, masks = discs(20)
    model = segmenter(training=FineTuning(**KNOBS | {"epochs": 1})).fit(X, masks)
    abstain.save(model, tmp_path / "model.abstain")
    again = abstain.load(tmp_path / "model.abstain")
    np.testing.assert_array_equal(again.decision_function(X), model.decision_function(X))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": None}, "backbone must be a TimmBackbone"),
        ({"training": Training()}, "must be a FineTuning"),
        ({"training": FineTuning(augment=True)}, "augment must be None: masks"),
        ({"loss": WLFLoss}, "loss must be a loss of logits"),
        ({"pixels_per_image": 0}, "pixels_per_image"),
        ({"loss": AdaptivePerturbationLoss(), "training": FineTuning(validation_fraction=0)}, "validation_fraction"),
    ],
)
def test_what_does_not_go_together_is_named(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        segmenter(**options).fit(*discs(8))


@pytest.mark.parametrize(
    "change",
    [lambda m: m[:-1], lambda m: m.astype(float), lambda m: m * 0, lambda m: m - 1, lambda m: m[0]],
    ids=["fewer", "floats", "one class", "negative", "one mask"],
)
def test_masks_that_are_none_are_refused(change):
    X, masks = discs(8)
    with pytest.raises(ValueError, match="y must"):
        segmenter().fit(X, change(masks))
