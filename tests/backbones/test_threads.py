"""H11, L7: one backbone from several threads, and in forked children."""

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from abstain import TimmBackbone

pytestmark = [
    pytest.mark.vision,
    pytest.mark.filterwarnings("ignore::abstain.warnings.RandomWeightsWarning"),
]
THREADS, CALLS = 8, 48
LAYERS = [
    ("test_resnet", "layer2"), ("test_vit", "blocks.0"), ("test_vit", "norm"), ("test_convnext", "stages.1"),
    ("test_efficientnet", "blocks.2"), ("test_resnet", None),
]  # fmt: skip


@pytest.fixture
def batches():
    """Inputs that give other features each, of lengths that differ."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (1 + i % 3, 24, 24, 3), dtype=np.uint8) // (1 + i % 5) for i in range(CALLS)]


def together(function, items):
    """Results of a function for all items, from threads that start at once."""
    gate = threading.Barrier(THREADS)

    def first(_):
        gate.wait()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(first, range(THREADS)))
        return list(pool.map(function, items))


@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_threads_get_their_own_features(batches, name, layer):
    backbone = TimmBackbone(name, layer=layer)
    serial = [backbone.transform(batch) for batch in batches]
    for found, expected in zip(together(backbone.transform, batches), serial, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_layers_of_one_shared_network(batches):
    """Two extractors of other layers, and the whole network, at the same time."""
    backbones = [TimmBackbone("test_resnet", layer=layer) for layer in ("layer1", "layer3", None)]
    jobs = [(backbones[i % 3], batch) for i, batch in enumerate(batches)]
    serial = [backbone.transform(batch) for backbone, batch in jobs]
    found = together(lambda job: job[0].transform(job[1]), jobs)
    for one, other in zip(found, serial, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_first_call_from_many_threads_builds_one_network(batches):
    """Random weights are the same every time: also when eight threads ask for the network at once."""
    expected = TimmBackbone("test_vit").transform(batches[0])
    for _ in range(3):
        fresh = TimmBackbone("test_vit")
        for found in together(lambda _, fresh=fresh: fresh.transform(batches[0]), range(THREADS)):
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_fresh_objects_in_many_threads_have_the_same_weights(batches):
    expected = TimmBackbone("test_resnet").transform(batches[0])
    for found in together(lambda _: TimmBackbone("test_resnet").transform(batches[0]), range(16)):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_failed_pass_leaves_nothing_for_the_next(batches):
    backbone = TimmBackbone("test_vit", layer="blocks.0")
    expected = backbone.transform(batches[0])
    import torch

    with pytest.raises((ValueError, RuntimeError, AssertionError)):
        backbone.transform([torch.zeros(3, 7, 7)])
    np.testing.assert_array_equal(backbone.transform(batches[0]), expected)


@pytest.mark.parametrize(("name", "layer"), LAYERS[:2])
def test_no_hook_stays_in_the_copy_for_training(batches, name, layer):
    backbone = TimmBackbone(name, layer=layer)
    import torch

    backbone.transform(batches[0])
    copy = backbone.module()
    copy(torch.zeros(1, 3, 160, 160))
    assert np.isfinite(backbone.transform(batches[0])).all()


@pytest.mark.slow
def test_a_layer_with_channels_last_is_averaged_over_positions(batches):
    """Swin keeps (n, H, W, C): the mean over positions has C columns, 96 after the first stage."""
    backbone = TimmBackbone("swin_tiny_patch4_window7_224", layer="layers.0")
    features = backbone.transform(batches[1])
    assert features.shape == (len(batches[1]), 96)
    import timm
    import torch

    network, seen = backbone.module().eval(), []
    network.layers[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    preprocess = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    from PIL import Image

    with torch.no_grad():
        network(torch.stack([preprocess(Image.fromarray(image)) for image in batches[1]]))
    np.testing.assert_allclose(features, seen[0].mean(dim=(1, 2)).numpy(), atol=1e-4)


def test_extraction_leaves_the_random_numbers_of_the_caller_alone(batches):
    """Loaders draw a seed from torch's generator: another thread that builds random weights would get others."""
    import torch

    backbone = TimmBackbone("test_vit")
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    backbone.transform(batches[0])
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("own", [False, True], ids=["inherited", "made in the child"])
def test_a_forked_child_answers_or_refuses(threads, own):
    """Torch's threads do not live on in a forked child: hanging for ever is no answer."""
    script = textwrap.dedent(f"""
        import os, signal, sys, time, warnings
        warnings.simplefilter("ignore")
        import numpy as np, torch
        torch.set_num_threads({threads})
        from abstain import TimmBackbone
        images = np.zeros((8, 160, 160, 3), dtype=np.uint8)
        backbone = TimmBackbone("test_vit", batch_size=8)
        expected = backbone.transform(images)
        child = os.fork()
        if child == 0:
            try:
                if {own}:
                    backbone = TimmBackbone("test_vit", batch_size=8)
                same = np.allclose(backbone.transform(images), expected, atol=1e-4)
                os._exit(0 if same else 3)
            except RuntimeError as error:
                os._exit(4 if "fork" in str(error) else 5)
        for _ in range(200):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                print("exit", os.waitstatus_to_exitcode(status))
                sys.exit()
            time.sleep(0.1)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print("hangs")
    """)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=120)
    assert run.stdout.strip() in ("exit 0", "exit 4"), run.stdout + run.stderr[-500:]
