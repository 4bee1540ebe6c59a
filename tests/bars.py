"""Small images that networks tell apart, and a small network."""

import numpy as np

from abstain import TimmBackbone


def bars(n=48, seed=0, noise=90, bright=120):
    """Images with a bright bar, upright or lying, under noise; labels say which."""
    rng = np.random.default_rng(seed)
    X, y = rng.integers(0, noise, size=(n, 16, 16, 3)), np.arange(n) % 2
    for image, label, place in zip(X, y, rng.integers(2, 13, n), strict=True):
        (image if label else image.transpose(1, 0, 2))[place : place + 2] += bright
    return X.astype(np.uint8), np.array(["upright", "lying"])[y]


def hidden_bars(n=160, seed=0):
    """The same, where half of the bars are hidden, so that there are errors to see coming."""
    X, y = bars(n, seed)
    rng = np.random.default_rng(2)
    hidden = rng.uniform(size=n) < 0.5
    X[hidden] = rng.integers(0, 90, size=X[hidden].shape)
    return X, y


def backbone(**options):
    return TimmBackbone("test_resnet", weights="random", input_size=32, batch_size=16, device="cpu", **options)
