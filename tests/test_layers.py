"""A folder is a layer: a module imports only from floors below its own, and heavy packages only at named seams."""

import ast
from pathlib import Path

import pytest

import abstain

ROOT = Path(abstain.__file__).parent
FLOOR = {
    "warnings": 0,
    "utils": 1,
    "losses": 2, "solvers": 2, "metrics": 2,
    "scores": 3, "backbones": 3, "datasets": 3, "probes": 3,
    "selective": 4,
    "methods": 5, "policies": 5,
    "testing": 6,
}  # fmt: skip
HEAVY = {"torch", "torchvision", "timm", "faiss", "matplotlib", "rich", "PIL"}
SEAMS = {
    "solvers/heads.py", "solvers/loop.py", "solvers/network.py", "solvers/selective.py",
    "backbones/loading.py", "backbones/networks.py",
}  # fmt: skip
MODULES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


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
        if parts[0] == "abstain" and len(parts) > 1 and parts[1] != room(path):
            assert FLOOR[parts[1]] < FLOOR[room(path)], f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_packages_are_imported_at_the_seams_alone(path):
    if str(path.relative_to(ROOT)) in SEAMS:
        return
    tops = {name.split(".")[0] for name in imports(ast.parse(path.read_text()), top_only=True)}
    assert not tops & HEAVY


def test_losses_and_solvers_do_not_know_each_other():
    for path in MODULES:
        if room(path) in ("losses", "solvers"):
            other = {"losses": "abstain.solvers", "solvers": "abstain.losses"}[room(path)]
            assert not any(name.startswith(other) for name in imports(ast.parse(path.read_text()), top_only=False))
