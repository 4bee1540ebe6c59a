"""Estimators, given odd data and parameters: the right answer, or an error that names the parameter."""

from functools import cache
from itertools import product

import numpy as np
import pytest
from odd_inputs import (
    INF,
    NAN,
    NOT_A_CHOICE,
    NOT_A_FLAG,
    NOT_A_MATRIX,
    NOT_A_SEED,
    NOT_FINITE,
    NOT_NUMBERS,
    SAME_MATRIX,
    SAME_VECTOR,
    UNSURE,
    X_NAMES,
    X,
    Y,
    either,
    finite,
    first,
    not_count,
    not_number,
    refused,
    right,
    short,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

import abstain
from abstain import losses


def _quick():
    return abstain.Training(epochs=2, batch_size=64, patience=1, validation_fraction=0.0)


LEARNED = {"training": _quick(), "warm_up_epochs": 0, "hidden": (4,), "cv": 3}
CLASSIFIERS = {
    "SelectiveClassifier": {"cv": 2},
    "CorrectnessTrust": {"cv": 2},
    "FocalTrust": {"cv": 2},
    "SteepSlopeTrust": {"cv": 2},
    "TCPTrust": {"cv": 2},
    "AutoTrust": {"cv": 2, "budget": "fast"},
    "DifficultyAwareClassifier": {"cv": 2},
    "GamblersClassifier": LEARNED,
    "SelectiveNetClassifier": LEARNED,
    "SYNCClassifier": LEARNED,
    "SelfAdaptiveClassifier": LEARNED,
    "LinearProbe": {},
}
TORCH = ("GamblersClassifier", "SelectiveNetClassifier", "SYNCClassifier", "SelfAdaptiveClassifier")
SCORERS = {
    "Mahalanobis": {},
    "RelativeMahalanobis": {},
    "NearestNeighbours": {"engine": "sklearn"},
    "SecondOpinion": {"estimator": LogisticRegression()},
    "TrustHead": {"head_inputs": "features"},
    "ViM": {},
    "SIRC": {},
    "MaxLogitPNorm": {},
    "RelU": {},
}
ESTIMATORS = CLASSIFIERS | SCORERS
TARGETS = ("TrustHead", "MaxLogitPNorm", "RelU")  # learn from correctness
NO_TARGET = ("SIRC", "ViM")


def _make(name, **parameters):
    if name in TORCH or "device" in parameters:
        pytest.importorskip("torch")
    return getattr(abstain, name)(**{**ESTIMATORS[name], **parameters})


def _target_of(name):
    return (X.argmax(axis=1) == Y).astype(float) if name in TARGETS else Y


def _fit(name, data=X, y=None, **parameters):
    return _make(name, **parameters).fit(data, _target_of(name) if y is None else y)


@cache
def _fitted(name):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _fit(name)


def _answer(name, data, fitted=None):
    fitted = _fitted(name) if fitted is None else fitted
    return fitted.score_samples(data) if hasattr(fitted, "score_samples") else fitted.predict_proba(data)


FULL = ("SelectiveClassifier", "DifficultyAwareClassifier", "Mahalanobis", "TrustHead", "MaxLogitPNorm")


UNSCORED = ("None", "NaN", "infinite", "minus infinite")


def _first_alone_unscored(score):
    return np.isnan(score[0]) and finite(score[1:])


def _bad_data():
    bad = NOT_NUMBERS | NOT_FINITE | NOT_A_MATRIX | {"one column too few": lambda good: good[:, :-1]}
    for name, (kind, change) in product(ESTIMATORS, bad.items()):
        if kind not in (*short(bad), "a date object", "beyond float64") and name not in FULL:
            continue
        if kind != "one column too few" and not (name in ("MaxLogitPNorm", "RelU") and kind == "minus infinite"):
            yield refused(f"{name}-fit-{kind}", X_NAMES, lambda n, ch: _fit(n, ch(X)), name, change)
        if kind in UNSCORED and name in CLASSIFIERS and name != "LinearProbe":
            yield right(f"{name}-score-{kind}", _first_alone_unscored, lambda n, ch: _answer(n, ch(X)), name, change)
        elif not (name in ("MaxLogitPNorm", "RelU") and kind == "minus infinite"):
            yield refused(f"{name}-score-{kind}", X_NAMES, lambda n, ch: _answer(n, ch(X)), name, change)
    for name, (kind, change) in product(ESTIMATORS, SAME_MATRIX.items()):
        if name not in FULL and kind not in ("list", "unmasked", "float32", "big-endian", "Fortran order", "read-only"):
            continue
        yield right(
            f"{name}-score-{kind}",
            lambda v, n=name: _near(v, _answer(n, X)),
            lambda n, ch: _answer(n, ch(X)),
            name,
            change,
        )
    for name, (kind, change) in product(ESTIMATORS, UNSURE.items()):
        yield either(
            f"{name}-score-{kind}",
            X_NAMES,
            lambda v, n=name: _near(v, _answer(n, X), 0.05),
            lambda n, ch: _answer(n, ch(X)),
            name,
            change,
        )
    for name in (*FULL, "LinearProbe", "NearestNeighbours"):
        for kind, change in SAME_MATRIX.items():
            yield right(
                f"{name}-fit-{kind}",
                lambda v, n=name: _near(v, _answer(n, X)),
                lambda n, ch: _answer(n, X, _fit(n, ch(X))),
                name,
                change,
            )
    for name in ESTIMATORS:
        for kind, size in {"1e200": 1e200, "1e30": 1e30, "1e-200": 1e-200}.items():
            if name not in (*TORCH, "SecondOpinion"):  # whose second opinion is scikit-learn's, and warns
                yield either(
                    f"{name}-fit-times {kind}",
                    X_NAMES,
                    finite,
                    lambda n, s: _answer(n, s * X, _fit(n, s * X)),
                    name,
                    size,
                )
            yield either(f"{name}-score-times {kind}", X_NAMES, finite, lambda n, s: _answer(n, s * X), name, size)
        yield right(f"{name}-score-one row", lambda v: len(v) == 1 and finite(v), lambda n: _answer(n, X[:1]), name)
    yield right(
        "SelectiveClassifier sparse",
        lambda v: _near(v, _answer("SelectiveClassifier", X, _with_base(X))),
        lambda: _answer("", _csr(X), _with_base(_csr(X))),
    )
    for kind in ("masked entry", "complex", "dates", "numeric strings"):
        change = NOT_NUMBERS[kind]
        yield refused(f"SelectiveClassifier over a base-fit-{kind}", X_NAMES, lambda ch: _with_base(ch(X)), change)
        yield refused(
            f"SelectiveClassifier over a base-score-{kind}",
            X_NAMES,
            lambda ch: _with_base(X).score_samples(ch(X)),
            change,
        )


def _with_base(data):
    return abstain.SelectiveClassifier(LogisticRegression(), cv=2, random_state=0).fit(data, Y)


def _csr(good):
    from scipy.sparse import csr_matrix

    return csr_matrix(good)


def _near(value, want, rtol=1e-3):
    np.testing.assert_allclose(value, want, rtol=rtol, atol=1e-3)
    return True


def _bad_targets():
    kinds = {
        "masked": lambda y: np.ma.array(y, mask=np.arange(len(y)) == 0),
        "NaN": lambda y: first(NAN, y, float),
        "None entry": lambda y: first(None, y),
        "complex": lambda y: y + 0j,
        "too short": lambda y: y[:-1],
        "empty": lambda y: [],
        "a matrix": lambda y: np.column_stack([y, y]),
        "ragged": lambda y: [[1], [1, 2]],
        "a word": lambda y: "y",
        "a number": lambda y: 3,
        "a dictionary": lambda y: {0: 1},
        "infinite": lambda y: first(INF, y, float),
        "a word among numbers": lambda y: first("x", y),
        "structured": lambda y: np.array([(v,) for v in y], [("a", int)]),
    }
    classes = kinds | {
        "one class": lambda y: np.zeros(len(y), dtype=int),
        "fractions": lambda y: y + 0.5,
        "all different": lambda y: np.random.default_rng(0).normal(size=len(y)),
    }
    numbers = kinds | {"strings": lambda y: y.astype(str), "dates": lambda y: y.astype("datetime64[D]")}
    for name in ESTIMATORS:
        if name in NO_TARGET:
            continue
        for kind, change in (numbers if name in TARGETS else classes).items():
            if kind == "one class" and name in SCORERS:
                continue
            names = (
                "y|target|labels?|class(es)?|Complex data"
                if kind not in ("too short", "a word", "a number", "empty")
                else "y|target|samples|X"
            )
            yield refused(f"{name}-y-{kind}", names, lambda n, ch: _fit(n, y=ch(_target_of(n))), name, change)
    for name in ("SelectiveClassifier", "LinearProbe", "Mahalanobis", "NearestNeighbours"):
        for kind, change in {
            "list": lambda y: y.tolist(),
            "unmasked": lambda y: np.ma.array(y),
            "whole floats": lambda y: y.astype(float),
            "series with an odd index": SAME_VECTOR["series with an odd index"],
            "uint64": lambda y: y.astype(np.uint64),
            "big-endian": SAME_VECTOR["big-endian"],
            "strided": SAME_VECTOR["strided"],
            "categories": lambda y: pytest.importorskip("pandas").Series(y, index=y).astype("category"),
        }.items():
            yield right(
                f"{name}-y-{kind}",
                lambda v, n=name: _near(v, _answer(n, X)),
                lambda n, ch: _answer(n, X, _fit(n, y=ch(Y))),
                name,
                change,
            )
        dates = Y.astype("datetime64[D]")
        yield either(
            f"{name}-y-dates",
            "y",
            lambda v, n=name: _near(v, _answer(n, X)),
            lambda n, d: _answer(n, X, _fit(n, y=d)),
            name,
            dates,
        )
        objects = Y.astype(object)
        yield either(
            f"{name}-y-objects",
            "y|label",
            lambda v, n=name: _near(v, _answer(n, X)),
            lambda n, o: _answer(n, X, _fit(n, y=o)),
            name,
            objects,
        )
    for kind, y in {
        "masked": np.ma.array(Y, mask=Y == 0),
        "unknown": Y + 7,
        "too short": Y[:-1],
        "strings": Y.astype(str),
        "NaN": first(NAN, Y, float),
        "None": first(None, Y),
    }.items():
        yield refused(
            f"fit_policy y {kind}", "y|samples", lambda y: clone_of("SelectiveClassifier").fit_policy(X, y), y
        )
    for kind, policy in {
        "a word": "x",
        "a class": abstain.TargetRisk,
        "a number": 0.9,
        "zero": 0,
        "False": False,
    }.items():
        yield refused(
            f"fit_policy policy {kind}", "policy", lambda p: clone_of("SelectiveClassifier").fit_policy(X, Y, p), policy
        )
    for kind, groups in {
        "too short": Y[:-1],
        "NaN": first(NAN, Y, float),
        "masked": np.ma.array(Y, mask=Y == 0),
        "a matrix": X,
    }.items():
        yield refused(
            f"fit_policy groups {kind}",
            "groups",
            lambda g: clone_of("SelectiveClassifier").fit_policy(X, Y, abstain.TargetRisk(0.9), groups=g),
            groups,
        )
    for kind, model in {"None": None, "a word": "x", "a plain classifier": LogisticRegression()}.items():
        yield refused(f"decide model {kind}", "decide|model", abstain.decide, model, X)
        yield refused(f"fit_policy model {kind}", "decide|model", abstain.fit_policy, model, X, Y)


def clone_of(name):
    """A fitted estimator of its own."""
    import copy

    return copy.deepcopy(_fitted(name))


@pytest.mark.parametrize("case", list(_bad_data()))
def test_data_of_estimators(case):
    case.run()


@pytest.mark.parametrize("case", list(_bad_targets()))
def test_targets_of_estimators(case):
    case.run()


NOT_A_CV = {
    "0": 0,
    "1": 1,
    "-1": -1,
    "True": True,
    "2.5": 2.5,
    "a word": "x",
    "an empty list": [],
    "NaN": NAN,
    "numbers": [1, 2],
}
NOT_CV_ROWS = {
    "rows beyond the data": [(np.arange(0, 45), np.arange(80, 100))],
    "negative rows": [(np.arange(0, 45), np.array([-1, -2]))],
    "no test rows": [(np.arange(0, 45), np.array([], dtype=int))],
    "fractional rows": [(np.arange(0, 45) + 0.5, np.arange(45, 90))],
    "short masks": [(np.arange(45) < 40, np.arange(45) >= 40)],
    "one array": [np.arange(90)],
    "test rows that were trained on": [(np.arange(90), np.arange(90))],
}
NOT_JOBS = {"zero": 0, "a word": "x", "a fraction": 2.5}
NOT_AN_OBJECT = {"a word": "x", "a number": 3}
HIDDEN = {
    "zero": (0,),
    "negative": (-4,),
    "a fraction": (2.5,),
    "a word": "x",
    "True": (True,),
    "None": None,
    "nested": ((4, 4), (4, 4)),
}
NOT_L2 = not_number(least=0) | {"a word": "x"}
COMMON = {
    "estimator": NOT_AN_OBJECT
    | {"a class": LogisticRegression, "a fresh frozen one": FrozenEstimator(LogisticRegression())},
    "policy": {"a word": "x", "a class": abstain.TargetRisk, "a number": 0.9, "zero": 0},
    "cv": NOT_A_CV | NOT_CV_ROWS,
    "n_jobs": NOT_JOBS,
    "backbone": NOT_AN_OBJECT,
    "abstain_label": {"a class": 1, "a list": [1, 2], "an array": np.array([7, 8])},
    "random_state": NOT_A_SEED,
}
RESPONSE = {"response_method": NOT_A_CHOICE}
HEAD = {
    "head_inputs": NOT_A_CHOICE,
    "outcomes": NOT_A_CHOICE,
    "hidden": HIDDEN,
    "training": {"a word": "x", "a dictionary": {"epochs": 3}, "the class": abstain.Training, "a number": 3},
}
SELECTION = {
    "coverage": not_number(above=0, most=1),
    "rank_by": NOT_A_CHOICE,
    "hidden": HIDDEN,
    "entropy": not_number(least=0),
    "entropy_form": NOT_A_CHOICE,
    "warm_up_epochs": not_count(0) | {"too many": 2},
    "training": HEAD["training"],
}
COVERAGES = {
    "coverages": {
        "a number": 0.5,
        "a word": "x",
        "too large": [0.5, 1.5],
        "NaN": [NAN],
        "a matrix": [[0.5]],
        "True": [True],
    }
}
NETWORK = {
    "lam": not_number(least=0),
    "alpha": not_number(above=0, most=1),
    "normalise": NOT_A_FLAG,
    "risk": {"a word": "x", "error": "error"},
}
PARAMETERS = {
    "SelectiveClassifier": COMMON | RESPONSE | {"scorer": NOT_AN_OBJECT | {"a class": abstain.TrustHead}},
    "CorrectnessTrust": COMMON | HEAD | {"error_weight": not_number(above=0)},
    "FocalTrust": HEAD | {"error_weight": not_number(above=0), "gamma": not_number(least=0, most=100)},
    "SteepSlopeTrust": HEAD
    | {"alpha_pos": not_number(above=0, most=80), "alpha_neg": not_number(above=0, most=80), "unit_norm": NOT_A_FLAG},
    "TCPTrust": HEAD | {"ratio": NOT_A_FLAG, "calibrate": NOT_A_FLAG},
    "AutoTrust": COMMON
    | RESPONSE
    | {
        "scorers": {
            "a word": "x",
            "a scorer": abstain.Mahalanobis(),
            "words": ["x"],
            "None": None,
            "a class": [abstain.ViM],
        },
        "head_inputs": NOT_A_CHOICE | {"features": "features"},
        "budget": {kind: bad for kind, bad in not_number(least=0).items() if kind != "infinite"},
    },
    "DifficultyAwareClassifier": {
        "alpha": not_number(least=0),
        "scale": NOT_A_CHOICE,
        "temperature": not_number(above=0, none=True),
        "difficulty": NOT_AN_OBJECT | {"a class": abstain.Mahalanobis},
        "l2": NOT_L2,
        "policy": COMMON["policy"],
        "cv": COMMON["cv"],
        "abstain_label": COMMON["abstain_label"],
        "random_state": NOT_A_SEED,
    },
    "GamblersClassifier": SELECTION
    | {"reward": not_number(above=1, none=True) | {"too large": 3.5}, "head_inputs": NOT_A_CHOICE},
    "SelectiveNetClassifier": SELECTION | COVERAGES | NETWORK | {"cv": COMMON["cv"], "random_state": NOT_A_SEED},
    "SYNCClassifier": SELECTION
    | COVERAGES
    | NETWORK
    | {
        "beta": not_number(least=0),
        "mode": NOT_A_CHOICE,
        "gamma": not_number(above=0),
        "chance_correction": NOT_A_FLAG,
        "prior_head": NOT_A_CHOICE,
        "detach_prior": NOT_A_FLAG,
    },
    "SelfAdaptiveClassifier": SELECTION | {"momentum": not_number(least=0, most=1)},
    "LinearProbe": {
        "l2": NOT_L2,
        "standardise": NOT_A_FLAG,
        "max_iter": not_count(1),
        "tol": not_number(above=0, none=True),
        "n_jobs": NOT_JOBS,
        "device": {"a word": "x", "a number": -3},
        "random_state": NOT_A_SEED,
    },
    "Mahalanobis": {
        "at": NOT_A_CHOICE,
        "shrinkage": not_number(least=0, most=1),
        "normalize": NOT_A_FLAG,
        "loo": NOT_A_CHOICE,
        "precision": NOT_A_CHOICE,
    },
    "RelativeMahalanobis": {"at": NOT_A_CHOICE, "shrinkage": not_number(least=0, most=1)},
    "NearestNeighbours": {
        "n_neighbors": not_count(1),
        "measure": NOT_A_CHOICE,
        "scale": NOT_A_FLAG,
        "normalize": NOT_A_FLAG,
        "index": NOT_A_CHOICE,
        "engine": NOT_A_CHOICE,
    },
    "SecondOpinion": {"estimator": NOT_AN_OBJECT | {"a class": LogisticRegression}, "random_state": NOT_A_SEED},
    "TrustHead": {
        "loss": NOT_AN_OBJECT | {"a class": losses.TCPLoss, "a class loss": losses.SoftmaxLoss()},
        "target": NOT_A_CHOICE,
        "head_inputs": NOT_A_CHOICE,
        "hidden": HIDDEN,
        "l2": NOT_L2,
        "unit_norm": NOT_A_FLAG,
        "restarts": not_count(1),
        "calibrate": NOT_A_FLAG,
        "training": HEAD["training"],
        "random_state": NOT_A_SEED,
    },
    "ViM": {
        "n_principal": not_count(0, none=True) | {"as many as features": 3},
        "weight": {
            "a word": "x",
            "a vector": [1.0, 2.0, 3.0],
            "NaN": np.full((3, 3), NAN),
            "complex": 1j * np.eye(3),
            "masked": np.ma.array(np.eye(3), mask=np.eye(3)),
            "other features": np.eye(4),
        },
        "bias": {"without weight": [0.0, 0.0, 0.0]},
    },
    "SIRC": {
        "secondary": NOT_AN_OBJECT
        | {
            "of a matrix": lambda features: features,
            "of too few": lambda features: features[:-1, 0],
            "of NaN": lambda features: features[:, 0] * NAN,
            "of words": lambda features: ["x"] * len(features),
        }
    },
    "MaxLogitPNorm": {
        "exponents": {
            "negative": (-1,),
            "a number": 3,
            "a word": "x",
            "NaN": (NAN,),
            "words": ("x",),
            "None": None,
            "True": (True,),
            "infinite below": (-INF,),
            "nested": ((1, 2), (3, 4)),
            "complex": (1j,),
        }
    },
    "RelU": {"lam": not_number(above=0, below=1), "temperature": not_number(above=0)},
}


# what makes a parameter matter
BESIDE = {("LinearProbe", "random_state"): {"l2": "auto"}, ("SecondOpinion", "random_state"): {"estimator": None}}


def _parameter_cases():
    for name, bad in PARAMETERS.items():
        for parameter, kinds in bad.items():
            for kind, value in kinds.items():
                named = {"random_state": "random_state|[Ss]eed", "bias": "bias|weight"}.get(parameter, parameter)
                yield refused(f"{name}-{parameter}-{kind}", named, lambda n, o: _used(n, o), name, {parameter: value})
    biases = {"too short": [1.0], "NaN": [NAN, 0, 0], "a word": "x", "masked": np.ma.array([1.0, 2, 3], mask=[1, 0, 0])}
    for kind, bad in biases.items():
        yield refused(
            f"ViM-bias-{kind}",
            "bias|weight" if kind == "too short" else "bias",
            lambda b: _fit("ViM", weight=np.eye(3), bias=b),
            bad,
        )
    for field, kinds in {
        "epochs": not_count(1),
        "batch_size": not_count(1),
        "patience": not_count(1),
        "lr": not_number(above=0),
        "weight_decay": not_number(least=0),
        "validation_fraction": not_number(least=0, below=1),
        "device": {"a word": "x", "a number": -3},
    }.items():
        for kind, value in kinds.items():
            yield refused(
                f"Training-{field}-{kind}",
                field,
                lambda o: _fit("SelfAdaptiveClassifier", training=abstain.Training(**({"epochs": 2} | o))),
                {field: value},
            )
            options = {"training": {field: value}, "hidden": (4,)}
            yield refused(f"TrustHead-training.{field}-{kind}", field, _trained_head, options)
    features = "difficulty_features"
    for kind, bad in {
        "too few rows": X[:-1],
        "a vector": X[:, 0],
        "NaN": first(NAN, X, float),
        "masked": np.ma.array(X, mask=X > 1),
        "complex": X + 1j,
        "words": X.astype(str),
        "dates": NOT_NUMBERS["dates"](X),
    }.items():
        names = f"{features}|Complex data" if kind == "complex" else features
        yield refused(
            f"DifficultyAwareClassifier-{features}-{kind}",
            names,
            lambda f: _make("DifficultyAwareClassifier").fit(X, Y, difficulty_features=f),
            bad,
        )
    yield refused("Training unknown field", "momentum", lambda: abstain.Training().set_params(momentum=1))
    yield refused("at a coverage not trained for", "coverage", lambda: _fitted("SelectiveNetClassifier").at(0.123))
    yield refused("Mahalanobis difficulty y unknown", "y", lambda: _fitted("Mahalanobis").difficulty(X, Y + 7))
    yield refused(
        "Mahalanobis difficulty y too short", "y|samples", lambda: _fitted("Mahalanobis").difficulty(X, Y[:-1])
    )
    yield refused(
        "Mahalanobis merge of another", "other", lambda: _fitted("Mahalanobis").merge(_fitted("RelativeMahalanobis"))
    )
    yield refused("Mahalanobis merge of None", "other", lambda: _fitted("Mahalanobis").merge(None))
    yield refused(
        "Mahalanobis partial_fit classes too few",
        "classes",
        lambda: _make("Mahalanobis").partial_fit(X, Y, classes=[0, 1]),
    )
    for kind, bad in {
        "a word": "x",
        "NaN": [0.0, 1.0, 2.0, NAN],
        "masked": np.ma.array([0, 1, 2], mask=[1, 0, 0]),
        "a number": 3,
    }.items():
        yield refused(
            f"Mahalanobis partial_fit classes {kind}",
            "classes",
            lambda c: _make("Mahalanobis").partial_fit(X, Y, classes=c),
            bad,
        )


def _trained_head(options):
    pytest.importorskip("torch")
    training = abstain.Training(**({"epochs": 2} | options["training"]))
    return _fit("TrustHead", training=training, hidden=options["hidden"])


def _used(name, options):
    """Fit with the parameters, and use what they may first come to."""
    (parameter,) = options
    fitted = _fit(name, **(BESIDE.get((name, parameter), {}) | options))
    if "loo" in options:
        fitted.training_difficulty(X, Y)
    return _answer(name, X, fitted)


@pytest.mark.parametrize("case", list(_parameter_cases()))
def test_parameters_of_estimators(case):
    case.run()
