"""A missing extra is an error with the install command."""

import pytest

from abstain.utils.optional import import_extra


def test_present_and_absent():
    assert import_extra("json", "torch").dumps(1) == "1"
    with pytest.raises(ImportError, match=r"'no_such_package'.*pip install 'abstain\[gpu\]'"):
        import_extra("no_such_package.inner", "gpu")
