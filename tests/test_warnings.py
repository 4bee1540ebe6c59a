"""Every warning has a class of its own, and points at the caller."""

import inspect

import pytest

import abstain.warnings as w


def test_one_family():
    classes = [c for _, c in inspect.getmembers(w, inspect.isclass) if c.__module__ == w.__name__]
    assert len(classes) == 18
    assert all(issubclass(c, w.AbstainWarning) and c.__doc__ for c in classes)


def test_it_points_outside_the_package():
    with pytest.warns(w.RefitWarning, match="hello") as caught:
        w.warn("hello", w.RefitWarning)
    assert caught[0].filename == __file__
