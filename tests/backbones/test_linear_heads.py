"""H10, H17: a network's own head is the network, or is refused; random weights are not silent."""

import contextlib
import warnings

import numpy as np
import pytest

from abstain import TimmBackbone
from abstain.warnings import AbstainWarning

pytestmark = [
    pytest.mark.vision,
    pytest.mark.filterwarnings("ignore::abstain.warnings.RandomWeightsWarning"),
]
slow = pytest.mark.slow
torch = pytest.importorskip("torch", reason="needs the vision extra")
timm = pytest.importorskip("timm", reason="needs the vision extra")
networks = pytest.importorskip("abstain.backbones.networks", reason="needs the vision extra")

PLAIN = [  # one linear layer on the features, behind every kind of pooling, norm and hidden layer
    "test_vit", "test_vit2", "test_vit_relpos", "test_resnet", "test_convnext", "test_convnext3", "test_efficientnet",
    "test_efficientnet_ln", "test_nfnet", "test_mambaout", "test_byobnet", "test_coatnet", "test_maxvit",
    "starnet_s050", "mobilenetv3_small_050", "mobilevit_xxs", "edgenext_xx_small", "repghostnet_050", "regnetx_002",
    "efficientvit_b0", "pvt_v2_b0", "fasternet_t0", "pit_ti_224", "fastvit_t8", "deit_tiny_patch16_224", "hgnetv2_b0",
]  # fmt: skip
CONVOLUTION = ["dla46x_c", "dla46_c", "dpn48b", "resnetv2_18"]
NORMALISED = ["efficientvit_m0", "efficientvit_m1", "shvit_s1"]  # BatchNorm before what get_classifier names
MIXED = [  # two heads on the same features, heads on parts of them, BatchNorm and linear, shares that are learnt
    "levit_128s", "levit_conv_128s", "efficientformerv2_s0", "swiftformer_xs", "repvit_m1", "iformer_t",
    "crossvit_tiny_240", "efficientvim_m1", "efficientvim_m1_dist", "cpubone_nano",
    pytest.param("levit_256d", marks=slow), pytest.param("efficientformer_l1", marks=slow),
    pytest.param("sequencer2d_s", marks=slow), pytest.param("resnetv2_50x1_bit", marks=slow),
]  # fmt: skip
NOT_LINEAR = [  # heads on separate tokens, an auxiliary head, a hidden layer: with timm's own features
    "deit_tiny_distilled_patch16_224", "pit_ti_distilled_224", pytest.param("volo_d1_224", marks=slow),
    pytest.param("caformer_s18", marks=slow), pytest.param("convformer_s18", marks=slow),
]  # fmt: skip
NO_CLASSIFIER = ["eva02_tiny_patch14_224"]


def logits_of(backbone, pictures):
    """What the network itself says of images."""
    from PIL import Image

    network = backbone.module().eval()
    config = networks.preprocessing(network, backbone.mean, backbone.std, backbone.input_size)
    preprocess = timm.data.create_transform(**config)
    images = torch.stack([preprocess(Image.fromarray(picture)) for picture in pictures])
    with torch.no_grad():
        return network(images).double().numpy()


def check_head(backbone, pictures):
    """The head gives the logits of the network, to rounding that is far below their differences."""
    logits = logits_of(backbone, pictures)
    head = backbone.linear_head()
    found = head.decision_function(backbone.transform(pictures))
    assert np.abs(found - logits).max() <= 1e-4 * np.abs(logits).max()
    np.testing.assert_array_equal(head.predict(backbone.transform(pictures)), logits.argmax(axis=1))


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_head_is_the_network(trained, pictures, name):
    check_head(TimmBackbone(name, weights=trained(name)), pictures)


@pytest.mark.parametrize("name", NORMALISED)
def test_a_norm_inside_the_head_is_not_left_out(trained, pictures, name):
    """Random weights hide this: a BatchNorm that saw nothing is the identity."""
    check_head(TimmBackbone(name, weights=trained(name)), pictures)


@pytest.mark.parametrize("name", CONVOLUTION)
def test_a_convolution_on_pooled_features_is_linear(trained, pictures, name):
    check_head(TimmBackbone(name, weights=trained(name)), pictures)


@pytest.mark.parametrize("name", MIXED)
def test_heads_that_are_averaged_are_one_linear_head(trained, pictures, name):
    check_head(TimmBackbone(name, weights=trained(name)), pictures)


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_what_is_not_linear_is_refused_or_right(trained, pictures, name):
    backbone = TimmBackbone(name, weights=trained(name))
    try:
        backbone.linear_head()
    except ValueError as error:
        assert "linear_head" in str(error)  # noqa: PT017
        assert "classifier" in str(error)  # noqa: PT017
    else:
        check_head(backbone, pictures)


@pytest.mark.slow
def test_a_whole_head_as_classifier_gives_no_raw_error(pictures):
    check_head(TimmBackbone("samvit_base_patch16_224"), pictures)


@pytest.mark.parametrize("name", NO_CLASSIFIER)
def test_no_classifier_is_named(name):
    with pytest.raises(ValueError, match="linear_head"):
        TimmBackbone(name).linear_head()


@pytest.mark.parametrize("pool", ["max", "avgmax", "catavgmax", ""])
def test_other_pooling_is_right_or_refused(trained, pictures, pool):
    """``catavgmax`` doubles the features; "" leaves a map of them."""
    backbone = TimmBackbone("test_resnet", weights=trained("test_resnet") if pool != "catavgmax" else None, pool=pool)
    try:
        backbone.linear_head()
    except ValueError as error:
        assert "features" in str(error)  # noqa: PT017
    else:
        check_head(backbone, pictures)


def test_other_sizes_and_colours_are_right(trained, pictures):
    for settings in ({"input_size": 96}, {"mean": (0.2, 0.2, 0.2), "std": (0.5, 0.5, 0.5)}):
        check_head(TimmBackbone("test_resnet", weights=trained("test_resnet"), **settings), pictures)


def test_the_head_leaves_no_trace_in_the_network(trained, pictures):
    backbone = TimmBackbone("levit_128s", weights=trained("levit_128s"))
    before = backbone.transform(pictures)
    with contextlib.suppress(ValueError):
        backbone.linear_head()
    np.testing.assert_array_equal(backbone.transform(pictures), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in backbone.module().modules())


@pytest.mark.parametrize("call", ["transform", "extract", "linear_head", "module"])
def test_random_weights_are_said(files, tmp_path, call):
    backbone = TimmBackbone("tf_efficientnet_lite0" if call == "transform" else "test_efficientnet")
    arguments = {"transform": (files,), "extract": (files, tmp_path / "f.npy")}.get(call, ())
    with pytest.warns(AbstainWarning, match=r"(?i)random weights.*(pretrained|weights)"):
        getattr(backbone, call)(*arguments)


def test_random_weights_are_said_again_for_another_network(files):
    backbone = TimmBackbone("test_vit")
    with pytest.warns(AbstainWarning, match=r"(?i)random weights"):
        backbone.transform(files)
    with pytest.warns(AbstainWarning, match=r"(?i)random weights"):
        backbone.set_params(model_name="test_vit2").transform(files)


def test_given_weights_are_not_called_random(trained, files):
    with warnings.catch_warnings():
        warnings.simplefilter("error", AbstainWarning)
        TimmBackbone("test_vit", weights=trained("test_vit")).transform(files)
