"""Blocks and checks."""

import numpy as np
import pytest

from abstain.utils.validation import (
    check_choice,
    check_correct,
    check_logits,
    check_proba,
    check_unit,
    check_vector,
    rounding_of,
    row_blocks,
)


@pytest.mark.parametrize(("n", "width"), [(0, 3), (1, 10**9), (1000, 7), (5, 0)])
def test_blocks_cover_every_row_once(n, width):
    rows = [i for block in row_blocks(n, width, 100) for i in range(block.start, block.stop)]
    assert rows == list(range(n))


def test_rounded_probabilities_are_accepted():
    p = np.random.default_rng(0).dirichlet(np.ones(1000), 50)
    for dtype in (np.float16, np.float32, np.float64):
        check_proba(p.astype(dtype))
    with pytest.raises(ValueError, match="do not sum to one"):
        check_proba(p * 1.1)
    with pytest.raises(ValueError, match="must be numeric"):
        check_proba([["a", "b"]])
    check_logits(np.array([[-np.inf, 0.0]]))


def test_correct_and_choices():
    assert check_correct([1.0, 0.0]).dtype == bool
    with pytest.raises(ValueError, match="y_pred == y_true"):
        check_correct([0.5, 1])
    with pytest.raises(ValueError, match=r"kind must be one of \['a', 'b'\]; got 'c'"):
        check_choice("c", "kind", ("b", "a"))
    assert check_unit(1, "x", closed=True) == 1.0
    with pytest.raises(ValueError, match=r"x must lie in \(0, 1\); got nan"):
        check_unit(float("nan"), "x")


@pytest.mark.parametrize("odd", ["0.5", b"0.5", 1j, np.datetime64("2026-01-01")])
def test_an_odd_object_is_refused_wherever_it_stands(odd):
    values = np.full(5000, 0.25, dtype=object)
    values[4321] = odd
    with pytest.raises(ValueError, match="score must be numeric and real"):
        check_vector(values, "score")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "Float32"])
def test_a_frame_is_as_coarse_as_its_coarsest_column(dtype):
    pd = pytest.importorskip("pandas", reason="needs the test extra")
    frame = pd.DataFrame({"a": [0.1, 0.2], "b": [1, 2], "c": ["x", "y"]}).astype({"a": dtype})
    assert rounding_of(frame) == rounding_of(np.zeros(1, dtype=dtype.lower()))
    assert rounding_of(frame["a"]) == rounding_of(frame)
