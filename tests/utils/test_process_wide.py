"""What belongs to the whole process is as it was when threads have gone, in whatever order they come and go."""

import warnings
from threading import Event, Thread

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from abstain.utils.process_wide import one_blas_thread, silence


def elsewhere(function):
    thread = Thread(target=function)
    thread.start()
    thread.join()


def overlapping(context, look):
    """A comes, B comes, A goes, B goes; what is seen while A is alone."""
    a_is_in, b_is_in, a_is_out = Event(), Event(), Event()

    def b():
        a_is_in.wait(60)
        with context():
            b_is_in.set()
            a_is_out.wait(60)

    other = Thread(target=b)
    other.start()
    with context():
        seen = look()
        a_is_in.set()
        b_is_in.wait(60)
    a_is_out.set()
    other.join()
    return seen


def test_silences_that_overlap_leave_what_they_found():
    """With filters of its own, B would put back what A had set."""
    before = list(warnings.filters)
    inside = overlapping(silence, lambda: list(warnings.filters))
    assert len(inside) == len(before) + 1
    assert warnings.filters == before


def test_silence_is_of_one_thread():
    heard = []

    def speak():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("mine", RuntimeWarning, stacklevel=1)
        heard.extend(caught)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mine, before = warnings.filters, list(warnings.filters)
        with silence():
            warnings.warn("hidden", DeprecationWarning, stacklevel=1)
            elsewhere(speak)
            with silence():
                warnings.warn("hidden", RuntimeWarning, stacklevel=1)
            warnings.warn("hidden", UserWarning, stacklevel=1)
        assert warnings.filters is mine
        assert warnings.filters == before
        with pytest.raises(UserWarning, match="mine"):
            warnings.warn("mine", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in heard] == ["mine"]


def test_silence_ends_with_an_error_inside():
    before = list(warnings.filters)
    with pytest.raises(ZeroDivisionError), silence():
        1 / 0  # noqa: B018
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", UserWarning, stacklevel=1)


def test_filters_that_were_exchanged_meanwhile_stay():
    with warnings.catch_warnings():
        with silence():
            warnings.resetwarnings()
            warnings.simplefilter("error", FutureWarning)
            mine = list(warnings.filters)
        assert warnings.filters == mine


def blas_threads():
    return [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"]


def test_blas_has_its_threads_again_where_threads_overlap():
    """B found one thread, and must not put that back."""
    np.ones((2, 2)) @ np.ones((2, 2))
    before = blas_threads()
    assert set(overlapping(one_blas_thread, blas_threads)) <= {1}
    assert blas_threads() == before
