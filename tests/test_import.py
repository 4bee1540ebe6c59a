"""Importing and constructing costs nothing: no scikit-learn, no torch."""

import ast
import importlib
import inspect
import re
import subprocess
import sys

import pytest
from sklearn.base import BaseEstimator

import abstain
from abstain import testing

HEAVY = ("torch", "timm", "faiss", "matplotlib", "torchvision")


def loaded_after(code, names):
    script = f"{code}\nimport sys\nprint([n for n in {names!r} if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return result.stdout.strip().splitlines()[-1]


def test_import_loads_nothing():
    assert loaded_after("import abstain", ("sklearn", "scipy", "numpy", *HEAVY)) == "[]"


def test_construct_clone_and_print_load_no_torch():
    """One process for all of them, which names the first that loads what it should not."""
    names = [c.__name__ for c in testing.all_public(BaseEstimator) if hasattr(c, "fit")]
    assert len(names) > 30
    code = (
        f"import abstain, pickle, sys\nfrom sklearn.base import clone\nfor name in {names}:\n"
        "    e = clone(getattr(abstain, name)())\n    str(e); e._repr_html_(); pickle.dumps(e)\n"
        f"    loaded = [module for module in {HEAVY} if module in sys.modules]\n    assert not loaded, (name, loaded)"
    )
    assert loaded_after(code, HEAVY) == "[]"


def test_linear_heads_fit_without_torch():
    code = (
        "import abstain\nfrom abstain.datasets import load_hard_digits\nX, y = load_hard_digits(noise=9)\n"
        "e = abstain.SteepSlopeTrust(cv=2, guard=None).fit(X[:600], y[:600])\n"
        "assert e.scorer_.layers_\ne.decide(X[600:])"
    )
    assert loaded_after(code, HEAVY) == "[]"


def test_public_names_resolve_and_unknown_ones_do_not():
    for name in abstain.__all__:
        assert getattr(abstain, name).__doc__, name
    assert set(abstain.__all__) < set(dir(abstain))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = abstain.nonsense


BLOCK = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{name}":
            raise ImportError("No module named {name!r}")
sys.meta_path.insert(0, Absent())
"""


@pytest.mark.parametrize(
    ("absent", "call"),
    [
        (
            "timm",
            "abstain.TimmBackbone('test_vit', weights='random').transform(np.zeros((1, 8, 8, 3), dtype=np.uint8))",
        ),
        ("torch", "abstain.TrustHead(hidden=(4,)).fit(X, X[:, 0] > 0.5)"),
        ("matplotlib", "abstain.metrics.RiskCoverageDisplay.from_predictions([1, 0], [0.9, 0.1])"),
    ],
)
def test_a_missing_extra_names_the_install_command(absent, call):
    code = BLOCK.format(name=absent) + (
        "import abstain, numpy as np\nX = np.random.rand(60, 2)\n"
        f"try:\n    {call}\nexcept ImportError as error:\n    print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.search(rf"pip install .*'{absent}>=", result.stdout)


@pytest.mark.parametrize(
    "module", ["abstain", "abstain.losses", "abstain.metrics", "abstain.policies", "abstain.scores"]
)
def test_defaults_are_those_documented(module):
    public = importlib.import_module(module)
    found = 0
    for name in public.__all__:
        documented = re.findall(
            r"^(\w+(?:, \w+)*) : .*default=(.+)$", inspect.getdoc(getattr(public, name)) or "", re.M
        )
        for parameter, text in ((parameter, text) for names, text in documented for parameter in names.split(", ")):
            default = inspect.signature(getattr(public, name)).parameters[parameter].default
            assert str(default) == text or default == ast.literal_eval(text), (name, parameter)
            found += 1
    assert found > 0
