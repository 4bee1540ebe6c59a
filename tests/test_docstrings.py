"""Docstrings of all public names say what numpydoc asks for: every parameter, in order, with a type and a sentence."""

import importlib.resources
import inspect
import math
import re
from operator import attrgetter

import pytest

import abstain

MODULES = [name for name in dir(abstain) if inspect.ismodule(getattr(abstain, name))]
# an extended summary, a "see also" or an example on every method would say nothing; results have names, and verbs are
# ours to choose
NOT_ASKED = {"ES01", "SA01", "EX01", "RT02", "SS05"}
# where methods keep a protocol, which documents them once
KEEPS_A_PROTOCOL = (
    "abstain.losses.",
    "abstain.semantics.",
    "abstain.testing.",
    "abstain.decisions.",
    "abstain.views.",
    "abstain.protocols.",
)
# of modules that are private but for these
PARTS = (
    "decisions.DecisionRule", "decisions.least_expected_cost", "folds.Folds", "folds.held_out", "outputs.ClassOutputs",
    "protocols.Scorer", "protocols.as_scorer", "views.View",
)  # fmt: skip


def _named():
    for name in abstain.__all__:
        if name != "FrozenEstimator":
            yield f"abstain.{name}", getattr(abstain, name)
    for name in MODULES:
        module = getattr(abstain, name)
        yield from ((f"abstain.{name}.{inner}", getattr(module, inner)) for inner in getattr(module, "__all__", ()))
    for name in PARTS:
        yield f"abstain.{name}", attrgetter(name)(abstain)


def _documented():
    for name, found in dict(_named()).items():
        if not callable(found) or name.startswith("abstain.testing."):
            continue
        yield name, hasattr(found, "_fields") or getattr(found, "_is_protocol", False)
        if inspect.isclass(found) and not name.startswith(KEEPS_A_PROTOCOL):
            for method, value in vars(found).items():
                if inspect.isfunction(value) and not method.startswith("_") and value.__module__.startswith("abstain"):
                    yield f"{name}.{method}", False


@pytest.mark.parametrize(("name", "has_fields"), list(_documented()))
def test_docstring(name, has_fields):
    validate = pytest.importorskip("numpydoc.validate", reason="needs the docs extra").validate
    asked = NOT_ASKED | ({"PR01"} if has_fields else set())  # fields have comments
    assert [error for error in validate(name)["errors"] if error[0] not in asked] == []


@pytest.mark.parametrize("name", [name for name, _ in _documented()])
def test_defaults_are_those_of_the_signature(name):
    found = attrgetter(name.removeprefix("abstain."))(abstain)
    parameters = inspect.signature(found).parameters
    for parameter, told in re.findall(r"^ *(\w+) : .*\bdefault=(.+)$", found.__doc__ or "", re.MULTILINE):
        if parameter in parameters:
            assert repr(parameters[parameter].default) == repr(eval(told, {"nan": math.nan})), parameter


def test_the_stub_names_what_there_is():
    stub = (importlib.resources.files("abstain") / "__init__.pyi").read_text()
    told = re.findall(r"^from (\S+) import (\w+) as (\w+)$", stub, re.MULTILINE)
    assert stub.count("\nfrom ") == len(told)
    assert sorted(name for _, name, _ in told) == [name for name in dir(abstain) if name != "__version__"]
    for module, name, known_as in told:
        assert known_as == name
        assert getattr(importlib.import_module(module), name) is getattr(abstain, name)
        assert (module == "abstain") == (name in MODULES)
    assert (importlib.resources.files("abstain") / "py.typed").is_file()


@pytest.mark.parametrize("name", [name for name, _ in _documented()])
def test_every_signature_says_its_types(name):
    """For editors and type checkers: `py.typed` promises them."""
    found = attrgetter(name.removeprefix("abstain."))(abstain)
    members = (
        [found] if inspect.isfunction(found) else [v for k, v in vars(found).items() if k[0] != "_" or k == "__init__"]
    )
    functions = [getattr(member, "fn", member) for member in members]  # those that are there on a condition
    for function in filter(inspect.isfunction, functions):
        if function.__module__.startswith("abstain"):
            signature = inspect.signature(function)
            parameters = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
            assert [p.name for p in parameters if p.annotation is p.empty] == []
            assert signature.return_annotation is not signature.empty
            assert "NestedSequence" not in str(signature)  # what ArrayLike is made of, which nobody could read
