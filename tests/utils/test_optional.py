"""A missing extra is an error with the install command."""

import tomllib
from pathlib import Path

import pytest

from abstain.utils.optional import EXTRAS, import_extra


@pytest.mark.parametrize("extra", EXTRAS)
def test_present_and_absent(extra):
    assert import_extra("json", extra).dumps(1) == "1"
    with pytest.raises(ImportError, match=r"'no_such_package'.*pip install '") as caught:
        import_extra("no_such_package.inner", extra)
    assert all(f"'{requirement}'" in str(caught.value) for requirement in EXTRAS[extra])


def test_what_is_named_is_what_the_extras_bring():
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    declared = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    assert {extra: tuple(declared[extra]) for extra in EXTRAS} == EXTRAS
