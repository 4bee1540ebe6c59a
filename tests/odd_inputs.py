"""Bad and odd inputs: what is done to a good array, what is passed for a parameter, and how a case must end."""

import importlib.util
import re
import traceback
import warnings
from collections import OrderedDict
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.exceptions import DataConversionWarning

from abstain.warnings import AbstainWarning

NAN, INF = float("nan"), float("inf")
X_NAMES = "X|logits"

if importlib.util.find_spec("torch"):
    import torch  # noqa: F401  before memory is short


class Case(NamedTuple):
    """A call, the name that its error must hold (None: it must work), and the value it must return (None: any error).

    With both, either end will do.
    """

    call: object
    name: str | None
    want: object

    def run(self):
        """Make the call, and fail unless it ends as it should."""
        try:
            with _no_foreign_warnings(), _little_memory(), _little_time():
                value = self.call()
        except (ValueError, TypeError) as error:
            self._check_error(error)
            return
        if self.want is None:
            pytest.fail(f"taken silently: {value!r:.300}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_value(value, self.want)

    def _check_error(self, error):
        if self.name is None:
            raise error
        origin = _origin(error)
        if origin.split(".")[0] not in ("abstain", "sklearn"):
            pytest.fail(f"raised by {origin}: {type(error).__name__}: {error!s:.300}")
        if origin.startswith("sklearn.utils") and self.name == X_NAMES:
            return  # there is one matrix, which scikit-learn does not always name
        if not re.search(rf"\b({self.name})\b", str(error)):
            pytest.fail(f"{self.name} is not named: {type(error).__name__}: {error!s:.300}")


def refused(case, name, call, *args, **options):
    """A case that must raise, naming ``name``."""
    return pytest.param(Case(partial(call, *args, **options), name, None), id=case)


def right(case, want, call, *args, **options):
    """A case that must return ``want``: a value, or a function that is true of it."""
    return pytest.param(Case(partial(call, *args, **options), None, want), id=case)


def either(case, name, want, call, *args, **options):
    """A case that may raise, naming ``name``, or return ``want``."""
    return pytest.param(Case(partial(call, *args, **options), name, want), id=case)


def finite(value):
    """All numbers of a value are finite."""
    return bool(np.isfinite(np.asarray(value, dtype=np.float64)).all())


def _check_value(value, want):
    if callable(want):
        assert want(value), f"wrong value: {value!r:.300}"
    else:
        np.testing.assert_allclose(np.asarray(value, dtype=np.float64), want, rtol=1e-6, atol=1e-9)


def _origin(error):
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1]


@contextmanager
def _no_foreign_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", AbstainWarning)
        warnings.simplefilter("ignore", DataConversionWarning)  # scikit-learn's checks ask for it
        warnings.filterwarnings("ignore", module="torch")
        yield


@contextmanager
def _little_memory(extra=3 << 30):
    """Let a call that asks for gigabytes fail instead of the machine; where the system can."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def _little_time(seconds=10):
    """Stop a call that hangs; where the system can."""
    import signal

    def stop(*_):
        raise TimeoutError(f"not done after {seconds} s")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def first(value, good, dtype=object):
    """A good array with another first entry."""
    out = np.array(good, dtype=dtype)
    out.flat[0] = value
    return out


def _masked(good, masked=True):
    mask = np.zeros(np.shape(good), dtype=bool)
    mask.flat[0] = masked
    return np.ma.array(good, mask=mask)


def _pandas():
    return pytest.importorskip("pandas")


def _torch(good, **options):
    return pytest.importorskip("torch").tensor(np.array(good), **options)


def _sparse(good):
    from scipy.sparse import csr_matrix

    return csr_matrix(np.atleast_2d(good))


def _memmap(good, folder=[]):  # noqa: B006  one folder for the life of the process
    import tempfile

    if not folder:
        folder.append(tempfile.TemporaryDirectory())
    array = np.ascontiguousarray(good)
    with tempfile.NamedTemporaryFile(dir=folder[0].name, delete=False) as file:
        name = file.name
    np.memmap(name, array.dtype, "w+", shape=array.shape)[:] = array
    return np.memmap(name, array.dtype, "r", shape=array.shape)


def _read_only(good):
    out = np.array(good)
    out.flags.writeable = False
    return out


def _strided(good):
    return np.repeat(np.array(good)[::-1], 2, axis=0)[::-2]


def _swapped(good):
    array = np.array(good)
    return array.astype(array.dtype.newbyteorder())


def _structured(good):
    return np.array([(value,) for value in np.ravel(good)], dtype=[("value", float)])


def _dates(good):
    return np.full(np.shape(good), "2026-01-01", dtype="datetime64[D]") + np.arange(np.size(good)).reshape(
        np.shape(good)
    )


# kinds of arrays, of one axis or two, that hold no real numbers, or not in every entry
NOT_NUMBERS = {
    "masked entry": _masked,
    "complex": lambda good: np.array(good) + 0.5j,
    "complex with no imaginary part": lambda good: np.array(good, dtype=complex),
    "numeric strings": lambda good: np.array(good, dtype=float).astype(str),
    "numeric bytes": lambda good: np.array(good, dtype=float).astype("S"),
    "words": lambda good: np.full(np.shape(good), "high"),
    "objects that are numeric strings": lambda good: np.array(good, dtype=float).astype(str).astype(object),
    "dates": _dates,
    "durations": lambda good: _dates(good) - np.datetime64("2026-01-01"),
    "None": lambda good: first(None, good),
    "a word among numbers": lambda good: first("high", good),
    "a list among numbers": lambda good: first([1.0], good),
    "a complex object": lambda good: first(1j, good),
    "a date object": lambda good: first(np.datetime64("2026-01-01"), good),
    "an integer beyond float64": lambda good: first(10**400, good),
}
# those that scikit-learn lets its own estimators have
NOT_FINITE = {
    "NaN": lambda good: first(NAN, good, float),
    "infinite": lambda good: first(INF, good, float),
    "minus infinite": lambda good: first(-INF, good, float),
    "beyond float64": lambda good: first(np.longdouble("1e4000"), good, np.longdouble),
}
NOT_A_VECTOR = {
    "empty": lambda good: [],
    "empty float": lambda good: np.empty(0),
    "scalar": lambda good: 0.5,
    "None itself": lambda good: None,
    "a word": lambda good: "score",
    "column": lambda good: np.array(good)[:, None],
    "row": lambda good: np.array(good)[None],
    "cube": lambda good: np.array(good)[:, None, None],
    "ragged": lambda good: [[1.0], [1.0, 2.0]],
    "one too few": lambda good: good[:-1],
    "one too many": lambda good: np.append(good, good[-1]),
    "a dictionary": lambda good: dict(enumerate(good)),
    "a set": lambda good: set(np.array(good).tolist()),
    "a generator": lambda good: (value for value in good),
    "sparse": _sparse,
    "structured": _structured,
    "a frame": lambda good: _pandas().DataFrame({"a": good, "b": good}),
    "a series with NA": lambda good: _pandas().Series([None, *list(good)[1:]], dtype="Float64"),
    "a series of categories": lambda good: _pandas().Series(["a"] * len(good), dtype="category"),
    "a series of dates": lambda good: _pandas().Series(_dates(good)),
}
# containers that hold the same numbers
SAME = {
    "list": lambda good: np.array(good).tolist(),
    "unmasked": lambda good: _masked(good, masked=False),
    "no mask": lambda good: np.ma.array(good),
    "float32": lambda good: np.array(good, dtype=np.float32),
    "float16": lambda good: np.array(good, dtype=np.float16),
    "longdouble": lambda good: np.array(good, dtype=np.longdouble),
    "big-endian": _swapped,
    "read-only": _read_only,
    "strided": _strided,
    "memory map": _memmap,
    "objects": lambda good: np.array(good, dtype=object),
    "Fortran order": lambda good: np.asfortranarray(good),
    "a deque of rows": lambda good: list(map(tuple, good)) if np.ndim(good) == 2 else tuple(good),
    "tensor": _torch,
    "float32 tensor": lambda good: _torch(np.array(good, dtype=np.float32)),
}
SAME_VECTOR = SAME | {
    "series with an odd index": lambda good: _pandas().Series(good, index=np.arange(len(good))[::-1] * 7),
    "series with one label for all": lambda good: _pandas().Series(good, index=["a"] * len(good)),
    "nullable series": lambda good: _pandas().Series(good, dtype="Float64"),
}
SAME_MATRIX = SAME | {
    "frame": lambda good: _pandas().DataFrame(good, index=np.arange(len(good))[::-1]),
    "frame with one label for all": lambda good: _pandas().DataFrame(good, index=["a"] * len(good)),
}
# either the numbers, or an error that names the parameter
UNSURE = {
    "tensor with gradient": lambda good: _torch(good, requires_grad=True),
    "bfloat16 tensor": lambda good: _torch(good).to(pytest.importorskip("torch").bfloat16),
}
NOT_A_MATRIX = {
    "empty": lambda good: np.empty((0, np.shape(good)[1])),
    "no columns": lambda good: np.empty((len(good), 0)),
    "vector": lambda good: np.array(good)[:, 0],
    "scalar": lambda good: 0.5,
    "None itself": lambda good: None,
    "a word": lambda good: "X",
    "cube": lambda good: np.array(good)[:, :, None],
    "ragged": lambda good: [[1.0, 2.0], [1.0]],
    "a dictionary": lambda good: {"a": 1},
    "structured": _structured,
}

# one kind for every way in which an array can be wrong
SHORT = (
    "masked entry",
    "complex",
    "numeric strings",
    "dates",
    "None",
    "NaN",
    "empty",
    "column",
    "vector",
    "one too few",
)


def short(kinds):
    """The few kinds that tell whether a function checks its arrays at all."""
    return {kind: change for kind, change in kinds.items() if kind in SHORT}


def not_number(*, least=None, above=None, most=None, below=None, none=False):
    """Values that are no number within bounds; True is no number either."""
    bad = OrderedDict(
        [
            ("NaN", NAN),
            ("True", True),
            ("a word", "x"),
            ("complex", 1j),
            ("a list", [0.5, 0.5]),
            ("infinite", INF),
            ("minus infinite", -INF),
        ]
    )
    if not none:
        bad["None"] = None
    if least is not None:
        bad["too small"] = least - 0.5
    if most is not None:
        bad["too large"] = most + 0.5
    if above is not None:
        bad |= {"at the lower bound": above, "too small": above - 0.5}
    if below is not None:
        bad |= {"at the upper bound": below, "too large": below + 0.5}
    return bad


def not_count(least, *, none=False):
    """Values that are no whole number of at least ``least``."""
    bad = {"NaN": NAN, "True": True, "a word": "x", "a fraction": least + 1.5, "infinite": INF, "a list": [least + 1]}
    return bad | {"too small": least - 1} | ({} if none else {"None": None})


NOT_A_FLAG = {"a word": "no", "None": None, "two": 2}
NOT_A_CHOICE = {"a word": "x", "None": None, "a number": 3, "a list": ["x"]}
NOT_A_SEED = {"a word": "x", "negative": -1, "a fraction": 2.5}


def _data(n=90):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    return np.round(8 * (rng.normal(size=(n, 3)) + 0.8 * np.eye(3)[y])) / 8, y


X, Y = _data()


SCORE = np.array([7, 6, 5, 4, 3, 2, 1, 0]) / 8.0
CORRECT = np.array([1, 1, 0, 1, 0, 1, 0, 0])
PROBA = np.array([[5, 2, 1], [4, 3, 1], [1, 6, 1], [2, 2, 4], [1, 1, 6], [3, 4, 1]]) / 8.0
LOGITS = np.array([[5, 2, 1], [4, 3, 1], [1, 6, 1], [2, 2, 4], [1, 1, 6], [3, 4, 1]]) / 2.0


def close(value, want, rtol=1e-9):
    """Equal to a relative tolerance; true if so."""
    np.testing.assert_allclose(np.asarray(value, dtype=np.float64), np.asarray(want, dtype=np.float64), rtol=rtol)
    return True


@cache
def fitted_classifier():
    """A selective classifier fitted on the good data."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression

    import abstain

    return abstain.SelectiveClassifier(FrozenEstimator(LogisticRegression().fit(X, Y)), random_state=0).fit(X, Y)
