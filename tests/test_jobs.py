"""The ten jobs of a user stay short; `make wheel` runs them on the wheel alone, with warnings as errors."""

import ast
from pathlib import Path

import pytest

JOBS = sorted((Path(__file__).parents[1] / "examples" / "jobs").glob("*.py"))


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_a_job_is_done_in_twelve_lines_without_private_names(job):
    data, code = job.read_text().split("# %%\n")
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    names = {node.attr for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)}
    assert not {name for name in names if name.startswith("_")}
    assert "print(" in code
    assert "abstain" not in data.split('"""')[2].replace("model.abstain", "")


def test_all_jobs_are_there():
    assert len(JOBS) == 10
