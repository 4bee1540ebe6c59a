"""Shared settings: one thread a worker, marks that skip where an extra or the shared data are absent."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # workers with more than one each would be in each other's way

DATA = Path(os.environ.get("ABSTAIN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
NEEDS = {"torch": ["torch"], "vision": ["torch", "torchvision", "timm"], "plot": ["matplotlib"], "faiss": ["faiss"]}


def pytest_collection_modifyitems(items):
    for item in items:
        for mark, packages in NEEDS.items():
            missing = [p for p in packages if importlib.util.find_spec(p) is None]
            if item.get_closest_marker(mark) and missing:
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}: pip install '.[{mark}]'"))
        if item.get_closest_marker("data") and not DATA.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"the shared data folder {DATA} is absent"))


@pytest.fixture(autouse=True)
def _one_torch_thread():
    import sys

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def data_folder():
    return DATA


@pytest.fixture(scope="session")
def problem():
    """Overlapping classes with about a quarter of errors: train, calibration and test parts."""
    from abstain.datasets import make_known_posterior

    X, y, _ = make_known_posterior(1800, n_classes=4, separation=1.6, random_state=0)
    return X[:600], y[:600], X[600:1200], y[600:1200], X[1200:], y[1200:]


@pytest.fixture
def agg():
    """Pictures without a screen, closed afterwards."""
    import matplotlib

    matplotlib.use("Agg")
    yield
    import matplotlib.pyplot

    matplotlib.pyplot.close("all")


@pytest.fixture
def rng():
    return np.random.default_rng(0)
