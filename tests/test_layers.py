"""A folder is a layer: a module imports only from floors below its own, and heavy packages only at named seams."""

import ast
import re
from pathlib import Path

import pytest

import abstain

ROOT = Path(abstain.__file__).parent
FLOOR = {
    "warnings": 0,
    "utils": 1,
    "values": 2, "losses": 2, "solvers": 2, "metrics": 2, "policies": 2,
    "semantics": 3, "monitoring": 3, "scores": 3, "classifiers": 3, "datasets": 3, "asking": 3, "language": 3,
    "calibration": 4, "backbones": 4,
    "heads": 5, "dense": 5,
    "selective": 6,
    "methods": 7,
    "export": 8, "persistence": 8, "reports": 8, "testing": 8,
}  # fmt: skip
# what travels between the rooms
VALUES = ("outputs", "decisions", "folds", "protocols", "views")
HEAVY = {"torch", "torchvision", "timm", "faiss", "matplotlib", "rich", "PIL"}
SEAMS = {
    "solvers/heads.py", "solvers/trainer.py", "solvers/network.py", "solvers/selective.py", "solvers/draws.py",
    "solvers/rates.py", "solvers/ranks.py", "solvers/checkpoint.py", "solvers/sources.py", "solvers/objectives.py",
    "backbones/loading.py", "backbones/networks.py", "backbones/affine.py", "backbones/pixels.py",
    "backbones/image_source.py", "backbones/tuned.py", "backbones/sharing.py", "backbones/hypercolumns.py",
    "backbones/moments.py", "export/modules.py",
}  # fmt: skip
MODULES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def room(name):
    return "values" if name in VALUES else name


def room_of(path):
    return room(path.relative_to(ROOT).parts[0].removesuffix(".py"))


def imports(tree, *, top_only):
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    tree = ast.parse(path.read_text())
    for name in imports(tree, top_only=False):
        parts = name.split(".")
        if parts[0] == "abstain" and len(parts) > 1 and room(parts[1]) != room_of(path):
            assert FLOOR[room(parts[1])] < FLOOR[room_of(path)], f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_packages_are_imported_at_the_seams_alone(path):
    if str(path.relative_to(ROOT)) in SEAMS:
        return
    tops = {name.split(".")[0] for name in imports(ast.parse(path.read_text()), top_only=True)}
    assert not tops & HEAVY


def test_losses_and_solvers_do_not_know_each_other():
    for path in MODULES:
        if room_of(path) in ("losses", "solvers"):
            other = {"losses": "abstain.solvers", "solvers": "abstain.losses"}[room_of(path)]
            assert not any(name.startswith(other) for name in imports(ast.parse(path.read_text()), top_only=False))


def test_modules_import_each_other_in_no_circle():
    known = {".".join(p.relative_to(ROOT.parent).with_suffix("").parts): p for p in MODULES}
    edges = {}
    for name, path in known.items():
        found = set()
        for imported in imports(ast.parse(path.read_text()), top_only=False):
            found.update(n for n in (imported, imported.rpartition(".")[0]) if n in known)
        edges[name] = found - {name}
    done, walked = set(), []

    def walk(name):
        assert name not in walked, f"a circle: {[*walked[walked.index(name) :], name]}"
        if name in done:
            return
        walked.append(name)
        for other in sorted(edges[name]):
            walk(other)
        done.add(walked.pop())

    for name in sorted(known):
        walk(name)


# of Python, torch and scikit-learn
PROTOCOLS = {
    "_replace",
    "_getframe",
    "_forward_hooks",
    "_repr_html_",
    "_repr_mimebundle_",
    "_get_param_names",
    "_TemperatureScaling",
}


def own_names(tree):
    """Private names that a module imports, defines, gives to attributes, or replaces in a test."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("abstain"):
            yield from [*node.module.split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "setattr":
            texts = (a.value for a in node.args[:2] if isinstance(a, ast.Constant) and isinstance(a.value, str))
            yield from (text.split(".")[-1] for text in texts)


def test_no_test_depends_on_private_names():
    """A test speaks of what users can see: names with an underscore may change without a fault."""
    named, here = re.compile(r"\b_[A-Za-z]\w*"), Path(__file__).parent
    private = {name for path in MODULES for name in named.findall(f"{path.stem} {path.read_text()}")} - PROTOCOLS
    texts = {str(path.relative_to(here)): path.read_text() for path in here.rglob("*.py")}
    suspects = {name: text for name, text in texts.items() if private & set(named.findall(text))}
    assert not {name for name, text in suspects.items() if private & set(own_names(ast.parse(text)))}
