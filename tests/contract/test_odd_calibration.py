"""Calibrators, given odd data and parameters: the right answer, or an error that names the parameter."""

from itertools import product

import numpy as np
import pytest
from odd_inputs import (
    NOT_A_CHOICE,
    NOT_A_FLAG,
    NOT_A_MATRIX,
    NOT_A_SEED,
    NOT_FINITE,
    NOT_NUMBERS,
    SAME_MATRIX,
    finite,
    not_count,
    refused,
    right,
    short,
)

import abstain.calibration as calibration
from abstain import testing
from abstain.metrics import calibration_report, calibration_test, classwise_calibration_error

LOGITS, Y = testing.overconfident(80, 3)
PROBA = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
NAMES = [c.__name__ for c in testing.all_calibrators()]
FULL = ("Temperature", "MatrixScaling", "VennAbers", "AutoCalibrator")
QUICK = {"ASLPCalibrator": {"n_rounds": 3, "random_state": 0}, "AutoCalibrator": {"random_state": 0}}


def _fit(name, X=LOGITS, y=Y, fit_params=None, **parameters):
    made = getattr(calibration, name)(**{**QUICK.get(name, {}), **parameters})
    return made.fit(X, y, **(fit_params or {}))


def _answer(name, X, fitted=None):
    return (fitted or _fit(name)).predict_proba(X)


def _near(value, want):
    np.testing.assert_allclose(value, want, atol=5e-3)
    return True


def _data():
    bad = NOT_NUMBERS | NOT_FINITE | NOT_A_MATRIX
    for name, (kind, change) in product(NAMES, bad.items()):
        if kind == "minus infinite" or (kind not in short(bad) and name not in FULL):
            continue  # a logit of minus infinity is a class that cannot be
        yield refused(f"{name}-fit-{kind}", "X", lambda n, ch: _fit(n, ch(LOGITS)), name, change)
        yield refused(f"{name}-transform-{kind}", "X", lambda n, ch: _fit(n).transform(ch(LOGITS)), name, change)
    for name in NAMES:
        impossible = np.where(np.arange(3) == (Y[:, None] + 1) % 3, -np.inf, LOGITS)
        yield right(f"{name}-a class that cannot be", finite, lambda n, x: _answer(n, x, _fit(n, x)), name, impossible)
        yield right(f"{name}-one row", finite, lambda n: _answer(n, LOGITS[:1]), name)
        for size in (1e-200, 1e30, 1e300):
            yield right(f"{name}-score times {size}", finite, lambda n, s: _answer(n, s * LOGITS), name, size)
        for kind, change in SAME_MATRIX.items():
            if name == "VennAbers" and "float" in kind:
                continue  # a sample that is rounded is no longer one of those that it knows
            if name in FULL or kind in ("list", "float32", "read-only"):
                want = _answer(name, LOGITS)
                call = lambda n, ch: _answer(n, ch(LOGITS))  # noqa: E731
                yield right(f"{name}-{kind}", lambda v, w=want: _near(v, w), call, name, change)


@pytest.mark.parametrize("case", list(_data()))
def test_data(case):
    case.run()


BAD_Y = {
    "too short": Y[:-1],
    "NaN": np.where(Y == 0, np.nan, Y),
    "infinite": np.where(Y == 0, np.inf, Y),
    "continuous": Y + 0.5,
    "beyond the columns": Y + np.where(Y == 2, 5, 0) + np.arange(80) % 2,
    "dates": Y.astype("datetime64[D]"),
    "masked": np.ma.array(Y, mask=np.arange(80) == 0),
}


def _targets():
    for name, (kind, y) in product(NAMES, BAD_Y.items()):
        if name in FULL or kind == "NaN":
            yield refused(f"{name}-y-{kind}", "y|X", lambda n, v: _fit(n, y=v), name, y)
    for name, (kind, change) in product(NAMES, NOT_FINITE.items()):
        weight = change(np.ones(80))
        if np.shape(weight) == (80,):
            options = {"sample_weight": weight}
            yield refused(f"{name}-weight-{kind}", "sample_weight", lambda n, o: _fit(n, fit_params=o), name, options)
    for weight in (np.zeros(80), -np.ones(80), np.ones(79)):
        yield refused(
            "weights", "sample_weight", lambda w: _fit("Temperature", fit_params={"sample_weight": w}), weight
        )


@pytest.mark.parametrize("case", list(_targets()))
def test_targets(case):
    case.run()


NOT_POSITIVE = (0.0, -1.0, np.nan, np.inf, "1", None)
PARAMETERS = {
    "Temperature": {"temperature_l2": (-1.0, np.nan, "0")},
    "VectorScaling": {"l2": NOT_POSITIVE, "temperature_l2": (-1.0, np.nan)},
    "MatrixScaling": {"l2": NOT_POSITIVE},
    "Dirichlet": {"off_diagonal": NOT_POSITIVE, "intercept": NOT_POSITIVE},
    "Isotonic": {"strict": NOT_A_FLAG},
    "Histogram": {"n_bins": not_count(1)},
    "ScalingBinning": {"n_bins": not_count(1)},
    "Spline": {"n_knots": not_count(2)},
    "TopLabel": {"min_samples": not_count(1), "calibrator": ("isotonic", calibration.Isotonic)},
    "AutoCalibrator": {
        "guard": [g for g in NOT_A_CHOICE if g is not None],
        "members": ([], ["Temperature"], [calibration.Temperature]),
        "random_state": NOT_A_SEED,
    },
    "ASLPCalibrator": {
        **dict.fromkeys(("beta", "eta", "penalty", "l2"), NOT_POSITIVE),
        **dict.fromkeys(("mode", "head"), NOT_A_CHOICE),
        **dict.fromkeys(("expected", "final_temperature"), NOT_A_FLAG),
        "warm_up": not_count(0),
        "n_rounds": not_count(1),
        "validation_fraction": (0.0, 1.0, np.nan, "a"),
    },
}


def _parameters():
    for name in NAMES:
        for kind in ("scores", 1, np.nan):
            yield refused(f"{name}-kind={kind}", "kind", lambda n, k: _fit(n, kind=k), name, kind)
        for estimator in ("logistic", calibration.Temperature, 3):
            yield refused(f"{name}-estimator", "estimator", lambda n, e: _fit(n, estimator=e), name, estimator)
        for parameter, values in PARAMETERS.get(name, {}).items():
            for value in values:
                title = f"{name}-{parameter}={value!r:.40}"
                yield refused(title, parameter, lambda n, p, v: _fit(n, **{p: v}), name, parameter, value)


@pytest.mark.parametrize("case", list(_parameters()))
def test_parameters(case):
    case.run()


TABLES = {
    "calibration_report": lambda y, p: calibration_report(y, p, n_resamples=2, random_state=0)[1],
    "calibration_test": lambda y, p: calibration_test(y, p, n_resamples=3, random_state=0),
    "classwise_calibration_error": classwise_calibration_error,
    "refit_decomposition": lambda y, p: calibration.refit_decomposition(y, p, random_state=0),
}


def _tables():
    for (name, call), (kind, change) in product(TABLES.items(), (NOT_NUMBERS | NOT_FINITE | NOT_A_MATRIX).items()):
        yield refused(f"{name}-proba-{kind}", "proba", lambda c, ch: c(Y, ch(PROBA)), call, change)
    for name, call in TABLES.items():
        yield refused(f"{name}-logits", "proba", lambda c: c(Y, LOGITS), call)
        for kind, y in BAD_Y.items():
            if kind != "infinite":
                yield refused(f"{name}-y-{kind}", "y_true|y", lambda c, v: c(v, PROBA), call, y)


@pytest.mark.parametrize("case", list(_tables()))
def test_tables(case):
    case.run()
