"""Which small changes of a file go unnoticed by its tests?

    python .ci/mutants.py abstain/policies/binomial.py tests/policies tests/contract/test_policies.py

A comparison is turned, an operator or a name exchanged for its opposite, a constant moved, a condition negated: one at
a time, at places drawn with a fixed seed, in a copy of the clone. Messages, types and docstrings are left alone. The
last line is the share that some test noticed; of what remains some is the same program.
"""

import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
MOST, SECONDS = 12, 300
OPPOSITE = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NAMES = {"min": "max", "minimum": "maximum", "any": "all", "argmin": "argmax", "floor": "ceil", "left": "right"}
NAMES |= {new: old for old, new in NAMES.items()}
ALONE = ("annotation", "returns", "decorator_list", "bases")  # fields that hold no computation


def nodes(tree):
    """All nodes that compute something."""
    yield tree
    for name, value in ast.iter_fields(tree):
        for child in value if isinstance(value, list) else [value]:
            if name not in ALONE and isinstance(child, ast.AST) and not isinstance(child, ast.Raise | ast.JoinedStr):
                yield from nodes(child)


def changes(node, rng):
    """Attribute and new value of each small change of a node."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OPPOSITE:
        yield "ops", [OPPOSITE[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in OPPOSITE:
        yield "op", OPPOSITE[type(node.op)]()
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "test", ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in NAMES:
        yield "func", ast.Attribute(node.func.value, NAMES[node.func.attr], ast.Load())
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
        yield "func", ast.Name(NAMES[node.func.id], ast.Load())
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield "value", not node.value
        elif isinstance(node.value, int):
            yield "value", node.value + rng.choice((-1, 1))
        elif isinstance(node.value, float):
            yield "value", (node.value or 1.0) * rng.choice((0.5, 2.0))
        elif node.value in ("left", "right"):
            yield "value", NAMES[node.value]


def mutants(source):
    """Line, the code before and after, and the whole changed source."""
    rng, tree = random.Random(0), ast.parse(source)
    found = [(node, *change) for node in nodes(tree) for change in changes(node, rng)]
    for node, name, new in rng.sample(found, min(MOST, len(found))):
        old, before = getattr(node, name), ast.unparse(node).splitlines()[0]
        setattr(node, name, new)
        ast.fix_missing_locations(tree)
        yield node.lineno, before, ast.unparse(node).splitlines()[0], ast.unparse(tree)
        setattr(node, name, old)


def noticed(clone, tests):
    """Whether the tests fail, or never end."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests]
    environment = os.environ | {"PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1"}
    try:
        return subprocess.run(command, cwd=clone, env=environment, capture_output=True, timeout=SECONDS).returncode != 0
    except subprocess.TimeoutExpired:
        return True


def main():
    name, *tests = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        shutil.copytree(HERE, clone, ignore=shutil.ignore_patterns(".git", "out"))
        path, results = clone / name, []
        source = path.read_text()
        if noticed(clone, tests):
            raise SystemExit(f"the tests {tests} fail as it is")
        for line, before, after, changed in mutants(source):
            path.write_text(changed)
            results.append(noticed(clone, tests))
            print(f"{'noticed' if results[-1] else 'MISSED '}  {name}:{line}  {before}  ->  {after}", flush=True)
    print(f"{sum(results)} of {len(results)} noticed")


if __name__ == "__main__":
    main()
