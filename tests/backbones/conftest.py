"""Small folders of images."""

import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs the vision extra")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(5):
            pixels = rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)
            image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    return tmp_path / "images"


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(200)


@pytest.fixture
def pictures():
    """Four different images as one array."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (4, 24, 24, 3))
    return (noise * np.array([0.2, 0.6, 1.0, 0.4]).reshape(-1, 1, 1, 1)).astype(np.uint8)


@pytest.fixture
def files(tmp_path, pictures):
    """The same as PNG files."""
    from PIL import Image

    paths = [tmp_path / f"{i}.png" for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


@pytest.fixture
def trained(tmp_path):
    """A function: name of a network -> file of weights that a random start has not."""
    import timm
    import torch

    def save(name, seed=0, file="weights.pth"):
        torch.manual_seed(seed)
        network = timm.create_model(name)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.02)
            for key, buffer in network.named_buffers():
                if key.endswith("running_mean"):
                    buffer.add_(torch.randn_like(buffer) * 0.2)
                if key.endswith("running_var"):
                    buffer.mul_(torch.rand_like(buffer) + 0.5)
        torch.save(network.state_dict(), tmp_path / file)
        return tmp_path / file

    return save
