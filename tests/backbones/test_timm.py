"""The backbone: features as timm computes them, streamed, cached, resumable, and honest about broken files."""

import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import abstain
from abstain import TimmBackbone
from abstain.backbones import image_folder
from abstain.warnings import UnreadableImageWarning

pytestmark = pytest.mark.vision
NETWORKS = ["test_vit", "test_resnet", "test_convnext", "test_efficientnet"]


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(200)


@pytest.fixture
def computed(monkeypatch):
    """Numbers of images that go through the network, batch by batch: one image says how many features there are."""
    from abstain.backbones import networks

    features, sizes = networks.features, []

    def counted(network, layer, images):
        sizes.append(len(images))
        return features(network, layer, images)

    monkeypatch.setattr(networks, "features", counted)
    return sizes


@pytest.mark.parametrize("name", NETWORKS)
def test_features_are_those_of_timm(folder, name):
    import timm
    import torch
    from PIL import Image

    backbone = TimmBackbone(name, weights="random", batch_size=4)
    features = backbone.transform(folder)
    assert features.dtype == np.float32
    network = backbone.module().eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    images = torch.stack([transform(Image.open(p).convert("RGB")) for p in image_folder(folder)[0]])
    with torch.no_grad():
        logits = network(images)
        expected = network.forward_head(network.forward_features(images), pre_logits=True)
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-4)
    head = backbone.linear_head()
    np.testing.assert_allclose(head.decision_function(features), logits.numpy(), atol=1e-3)
    assert head.classes_.tolist() == list(range(1000))


def test_extract_is_transform_on_disk(folder, tmp_path):
    backbone = TimmBackbone("test_vit", weights="random", batch_size=4)
    out = backbone.extract(folder, tmp_path / "f.npy")
    assert isinstance(out, np.memmap)
    np.testing.assert_allclose(out, backbone.transform(folder), atol=1e-5)


def test_a_killed_extraction_goes_on_without_repeating(folder, tmp_path, monkeypatch):
    from abstain.backbones import networks

    backbone = TimmBackbone("test_vit", weights="random", batch_size=3)
    expected = backbone.transform(folder)
    features, calls = networks.features, []

    def dying(network, layer, images):
        calls.append(len(images))
        if len(calls) == 4:  # one for the width, two blocks, then the end
            raise KeyboardInterrupt
        return features(network, layer, images)

    monkeypatch.setattr(networks, "features", dying)
    with pytest.raises(KeyboardInterrupt):
        backbone.extract(folder, tmp_path / "f.npy")
    assert not (tmp_path / "f.npy").exists()
    out = clone(backbone).extract(folder, tmp_path / "f.npy")
    assert calls[4:] == [1, 3, 1]
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_unreadable_images(folder, tmp_path):
    backbone = TimmBackbone("test_vit", weights="random", batch_size=4)
    whole = backbone.transform(folder)
    truncate(folder / "dog" / "2.png")
    with pytest.raises(ValueError, match=r"dog/2\.png.*unreadable=\"skip\""):
        backbone.transform(folder)
    with pytest.raises(ValueError, match=r"dog/2\.png"):
        backbone.extract(folder, tmp_path / "f.npy")
    skipping = clone(backbone).set_params(unreadable="skip")
    with pytest.warns(UnreadableImageWarning, match=r"1 images .*dog/2\.png"):
        features = skipping.extract(folder, tmp_path / "f.npy")
    assert np.isnan(features).all(axis=1).tolist() == [False] * 7 + [True] + [False] * 2
    good = ~np.isnan(features).any(axis=1)
    np.testing.assert_allclose(features[good], whole[good], atol=1e-5)
    assert skipping.unreadable_ == [str(folder / "dog" / "2.png")]
    with pytest.raises(ValueError, match="unreadable must be one of"):
        backbone.set_params(unreadable="ignore").transform(folder)


def test_a_batch_of_broken_images_only(folder):
    for path in image_folder(folder)[0][:4]:
        truncate(path)
    with pytest.warns(UnreadableImageWarning):
        features = TimmBackbone("test_vit", weights="random", batch_size=2, unreadable="skip").transform(folder)
    assert np.isnan(features).all(axis=1).sum() == 4


def test_cache_is_keyed_by_weights_preprocessing_and_data(folder, tmp_path, computed):
    backbone = TimmBackbone("test_vit", weights="random", cache=tmp_path / "cache")
    first = backbone.transform(folder)
    np.testing.assert_array_equal(clone(backbone).transform(folder), first)
    assert [size for size in computed if size > 1] == [10]
    other = clone(backbone).set_params(mean=(0.1, 0.2, 0.3)).transform(folder)
    assert np.abs(other - first).max() > 0
    backbone.set_params(cache=joblib.Memory(tmp_path / "cache", verbose=0)).transform(image_folder(folder)[0][:5])
    assert [size for size in computed if size > 1] == [10, 10, 5]


def test_settings_change_the_features(folder):
    base = TimmBackbone("test_resnet", weights="random").transform(folder)
    assert TimmBackbone("test_resnet", weights="random", layer="layer2").transform(folder).shape[1] != base.shape[1]
    assert np.abs(TimmBackbone("test_resnet", weights="random", input_size=96).transform(folder) - base).max() > 0
    assert np.abs(TimmBackbone("test_resnet", weights="random", pool="max").transform(folder) - base).max() > 0
    backbone = TimmBackbone("test_resnet", weights="random")
    backbone.transform(folder)
    assert np.abs(backbone.set_params(std=(1.0, 1.0, 1.0)).transform(folder) - base).max() > 0
    with pytest.raises(ValueError, match="layer='nowhere' is no module"):
        TimmBackbone("test_resnet", weights="random", layer="nowhere").transform(folder)
    with pytest.raises(ValueError, match="linear_head needs"):
        TimmBackbone("test_resnet", weights="random", layer="layer2").linear_head()


def test_weights_by_name_and_by_position(tmp_path, folder):
    import torch

    trained = TimmBackbone("test_vit", weights="random").module()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.01)
    state = trained.state_dict()
    torch.save(state, tmp_path / "named.pth")
    torch.save({f"w{i:03d}": tensor for i, tensor in enumerate(state.values())}, tmp_path / "ordered.pth")
    torch.save({"a": torch.zeros(3)}, tmp_path / "wrong.pth")
    by_name = TimmBackbone("test_vit", weights=tmp_path / "named.pth").transform(folder)
    by_position = TimmBackbone("test_vit", weights=tmp_path / "ordered.pth").transform(folder)
    np.testing.assert_array_equal(by_name, by_position)
    assert np.abs(by_name - TimmBackbone("test_vit", weights="random").transform(folder)).max() > 0
    with pytest.raises(ValueError, match="do not fit the network: 1 tensors"):
        TimmBackbone("test_vit", weights=tmp_path / "wrong.pth").transform(folder)


def test_a_trainable_copy_leaves_the_extractor_alone(folder):
    import torch

    backbone = TimmBackbone("test_vit", weights="random")
    before = backbone.transform(folder)
    copy = backbone.module()
    assert copy.training
    assert all(p.requires_grad for p in copy.parameters())
    with torch.no_grad():
        next(copy.parameters()).add_(1.0)
    np.testing.assert_array_equal(backbone.transform(folder), before)


def test_pickles_leave_the_weights_behind(folder):
    backbone = TimmBackbone("test_vit", weights="random")
    features = backbone.transform(folder)
    data = pickle.dumps(backbone)
    assert len(data) < 2000
    np.testing.assert_allclose(pickle.loads(data).transform(folder), features, atol=1e-6)


def test_workers_and_mixed_precision(folder):
    base = TimmBackbone("test_vit", weights="random", batch_size=4).transform(folder)
    np.testing.assert_array_equal(
        TimmBackbone("test_vit", weights="random", batch_size=4, num_workers=1).transform(folder), base
    )
    mixed = TimmBackbone("test_vit", weights="random", amp=True).transform(folder)
    assert np.abs(mixed - base).max() > 0
    np.testing.assert_allclose(mixed, base, atol=0.2)


def test_in_a_pipeline(folder):
    paths, labels = image_folder(folder)
    model = make_pipeline(
        TimmBackbone("test_vit", weights="random"),
        abstain.SelectiveClassifier(LogisticRegression(), cv=2, policy=abstain.TargetCoverage(0.5)),
    ).fit(paths, labels)
    decided = abstain.decide(model, paths)
    assert set(decided) <= {"cat", "dog", "abstain"}
    assert "abstain" in decided


def test_a_cache_hit_reports_what_could_not_be_read(folder, tmp_path):
    truncate(folder / "cat" / "1.png")
    skipping = TimmBackbone("test_vit", weights="random", cache=tmp_path / "cache", unreadable="skip")
    with pytest.warns(UnreadableImageWarning):
        skipping.transform(folder)
    again = clone(skipping)
    with pytest.warns(UnreadableImageWarning, match="images could not be read"):
        again.transform(folder)
    assert len(again.unreadable_) == 1
    with pytest.raises(ValueError, match="images could not be read"):
        clone(skipping).set_params(unreadable="raise").transform(folder)


def test_precision_is_part_of_the_key(folder, tmp_path):
    fast = TimmBackbone("test_vit", weights="random", cache=tmp_path / "cache", amp=True).transform(folder)
    exact = TimmBackbone("test_vit", weights="random", cache=tmp_path / "cache", amp=False).transform(folder)
    assert np.abs(fast - exact).max() > 0


def test_a_repaired_image_is_tried_again(folder, tmp_path):
    broken = folder / "cat" / "1.png"
    whole = broken.read_bytes()
    backbone = TimmBackbone("test_vit", weights="random", batch_size=3, unreadable="skip")
    expected = backbone.transform(folder)
    truncate(broken)
    with pytest.warns(UnreadableImageWarning):
        backbone.extract(folder, tmp_path / "f.npy")
    broken.write_bytes(whole)
    out = clone(backbone).set_params(unreadable="raise").extract(folder, tmp_path / "f.npy")
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_images_that_changed_are_extracted_again(folder, tmp_path):
    """The same paths with other pictures: neither a complete file nor an unfinished one may hand out the old ones."""
    from PIL import Image

    backbone = TimmBackbone("test_vit", weights="random", batch_size=3)
    before = np.array(backbone.extract(folder, tmp_path / "f.npy"))
    Image.fromarray(np.full((40, 50, 3), 255, dtype=np.uint8)).save(folder / "cat" / "1.png")
    after = backbone.extract(folder, tmp_path / "f.npy")
    assert np.abs(after - before).max(axis=1).argmax() == 1
    np.testing.assert_allclose(after, backbone.transform(folder), atol=1e-5)


def test_data_sets_of_one_length_are_told_apart(tmp_path):
    import torch

    backbone = TimmBackbone("test_vit", weights="random")
    sets = [torch.utils.data.TensorDataset(torch.full((3, 3, 160, 160), value)) for value in (0.0, 1.0)]
    first, second = (np.array(backbone.extract(data, tmp_path / "f.npy")) for data in sets)
    assert np.abs(first - second).max() > 0


def test_a_complete_file_is_not_computed_again(folder, tmp_path, computed):
    backbone = TimmBackbone("test_vit", weights="random", batch_size=3)
    first = np.array(backbone.extract(folder, tmp_path / "f.npy"))
    assert computed == [1, 3, 3, 3, 1]
    np.testing.assert_array_equal(backbone.extract(folder, tmp_path / "f.npy"), first)
    assert computed[5:] == [1]


@pytest.mark.parametrize(("name", "hint"), [("resnet_50", "did you mean resnet50"), (3, "has them all")])
def test_unknown_networks_are_named(folder, name, hint):
    with pytest.raises(ValueError, match=f"model_name must be the name of a timm network; got {name!r}: .*{hint}"):
        TimmBackbone(name, weights="random").fit_transform(folder)


@pytest.mark.parametrize("name", ["resnet50.a1_in1k", "hf-hub:timm/resnet50.a1_in1k"])
def test_names_with_tags_are_known(name, monkeypatch):
    import timm

    small, asked = timm.create_model("test_vit"), []
    monkeypatch.setattr(timm, "create_model", lambda name, **_: asked.append(name) or small)
    TimmBackbone(name, weights="random").module()
    assert asked == [name]
