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
