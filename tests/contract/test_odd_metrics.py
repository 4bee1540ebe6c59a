"""Metrics, scores, policies and displays, given odd arrays: the right answer, or an error that names the parameter."""

from functools import cache
from itertools import product

import numpy as np
import pytest
from odd_inputs import (
    CORRECT,
    INF,
    LOGITS,
    NAN,
    NOT_A_CHOICE,
    NOT_A_MATRIX,
    NOT_A_VECTOR,
    NOT_FINITE,
    NOT_NUMBERS,
    PROBA,
    SAME_MATRIX,
    SAME_VECTOR,
    SCORE,
    UNSURE,
    X,
    Y,
    close,
    either,
    finite,
    first,
    fitted_classifier,
    not_count,
    not_number,
    refused,
    right,
    short,
)
from sklearn.base import clone

from abstain import metrics, policies, scores

METRICS = {
    "aurc": metrics.aurc,
    "augrc": metrics.augrc,
    "e_aurc": metrics.e_aurc,
    "naurc": metrics.naurc,
    "risk_coverage_curve": lambda correct, score, **options: metrics.risk_coverage_curve(correct, score, **options)[1],
    "risk_at_coverage": lambda correct, score, **options: metrics.risk_at_coverage(correct, score, 0.7, **options),
    "coverage_at_risk": lambda correct, score, **options: metrics.coverage_at_risk(correct, score, 0.3, **options),
}
CONFIDENCES = (
    "smooth_calibration_error", "ks_calibration_error", "overconfidence_error", "debiased_calibration_error"
)  # fmt: skip
PLAIN = METRICS | {
    "failure_report": lambda correct, score: metrics.failure_report(correct, score, threshold=0.4),
    "bootstrap_ci": lambda correct, score: metrics.bootstrap_ci(
        metrics.aurc, correct, score, n_resamples=3, random_state=0
    ),
    "compare_aurc": lambda correct, score: metrics.compare_aurc(correct, score, SCORE[::-1].copy())[:7],
    "expected_calibration_error": lambda correct, confidence: metrics.expected_calibration_error(correct, confidence),
    "reliability_curve": lambda correct, confidence: metrics.reliability_curve(correct, confidence)[1],
    **{name: getattr(metrics, name) for name in CONFIDENCES},
    "TargetCoverage": lambda correct, score: policies.TargetCoverage(0.5).fit(score, correct).accept(SCORE),
    "TargetRisk": lambda correct, score: policies.TargetRisk(0.9, delta=0.5).fit(score, correct).accept(SCORE),
    "RejectCost": lambda correct, score: policies.RejectCost(0.3).fit(score, correct).accept(SCORE),
    "FixedThreshold": lambda correct, score: policies.FixedThreshold(0.4).fit(score, correct).certificate_.errors,
    "RiskCoverageDisplay": lambda correct, score: _drawn("RiskCoverageDisplay", correct, score).aurc,
    "TrustHistogramDisplay": lambda correct, score: _drawn("TrustHistogramDisplay", correct, score).right,
}
POLICIES = ("TargetCoverage", "TargetRisk", "RejectCost", "FixedThreshold")


def _drawn(name, *arrays, **options):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    try:
        return getattr(metrics, name).from_predictions(*arrays, **options)
    finally:
        pyplot.close("all")


def _name(function):
    calibration = ("expected_calibration_error", "reliability_curve", *CONFIDENCES)
    return "confidence" if function in calibration else "score"


WHOLE = ("aurc", "failure_report", "expected_calibration_error", "TargetRisk", "bootstrap_ci", "RiskCoverageDisplay")

MISSING = ("None", "NaN", "infinite", "minus infinite", "beyond float64", "a series with NA")


def _vectors():
    bad = NOT_NUMBERS | NOT_FINITE | NOT_A_VECTOR
    for (function, call), (kind, change) in product(PLAIN.items(), bad.items()):
        if kind not in short(bad) and function not in WHOLE:
            continue
        if function in POLICIES and kind in (
            "None",
            "NaN",
            "infinite",
            "minus infinite",
            "beyond float64",
            "a series with NA",
        ):
            continue
        either_name = (
            "score|confidence|correct|baseline"
            if kind in ("one too few", "one too many", "empty", "empty float")
            else _name(function)
        )
        yield refused(f"{function}-score-{kind}", either_name, lambda c, ch: c(CORRECT, ch(SCORE)), call, change)
        if kind != "infinite":
            name = "score|confidence|correct" if kind in ("one too few", "one too many") else "correct"
            yield refused(f"{function}-correct-{kind}", name, lambda c, ch: c(ch(CORRECT), SCORE), call, change)
    for (function, call), (kind, change) in product(PLAIN.items(), SAME_VECTOR.items()):
        if function not in WHOLE and kind not in ("list", "unmasked", "float16", "series with an odd index"):
            continue
        yield right(
            f"{function}-score-{kind}",
            lambda v, f=function: _same(v, f),
            lambda c, ch: c(CORRECT, ch(SCORE)),
            call,
            change,
        )
        yield right(
            f"{function}-correct-{kind}",
            lambda v, f=function: _same(v, f),
            lambda c, ch: c(ch(CORRECT), SCORE),
            call,
            change,
        )
    for (function, call), (kind, change) in product(PLAIN.items(), UNSURE.items()):
        yield either(
            f"{function}-score-{kind}",
            _name(function),
            lambda v, f=function: _same(v, f),
            lambda c, ch: c(CORRECT, ch(SCORE)),
            call,
            change,
        )


def _same(value, function):
    np.testing.assert_allclose(_numbers(value), _numbers(_reference(function)), rtol=1e-9)
    return True


@cache
def _reference(function):
    return PLAIN[function](CORRECT, SCORE)


def _numbers(value):
    return np.asarray(value, dtype=np.float64)


@pytest.mark.parametrize("case", list(_vectors()))
def test_vectors(case):
    case.run()


def _plain_aurc(correct, weight=None):
    """Weighted mean of the selective risks, for scores without ties and equal weights."""
    wrong = 1.0 - np.asarray(correct)
    return np.mean(np.cumsum(wrong) / np.arange(1, len(wrong) + 1))


def _references():
    area = _plain_aurc(CORRECT)
    yield right("aurc by hand", area, metrics.aurc, CORRECT, SCORE)
    yield right("aurc of booleans", area, metrics.aurc, CORRECT.astype(bool), SCORE)
    yield right("aurc of one sample", 1.0, metrics.aurc, [0], [0.3])
    yield right("aurc of huge scores", area, metrics.aurc, CORRECT, 1e200 * SCORE)
    yield right("aurc of tiny scores", area, metrics.aurc, CORRECT, 1e-300 * SCORE)
    yield right("aurc of integers", area, metrics.aurc, CORRECT, (8 * SCORE).astype(int))
    yield right("aurc of unsigned integers", area, metrics.aurc, CORRECT, (8 * SCORE).astype(np.uint8))
    yield right("aurc of subnormal scores", area, metrics.aurc, CORRECT, 8e-320 * SCORE)
    yield right("aurc of losses", area, metrics.aurc, None, SCORE, loss=1.0 - CORRECT)
    yield refused("aurc swapped", "score", metrics.aurc, SCORE, CORRECT)
    for name in POLICIES:
        policy = getattr(policies, name)()
        yield refused(f"{name} swapped", "score", lambda p: clone(p).fit(CORRECT, SCORE), policy)
        unscored = first(NAN, SCORE, float)
        yield right(
            f"{name} never accepts NaN",
            lambda v: not v[0],
            lambda p, s: clone(p).fit(s, CORRECT).accept(s),
            policy,
            unscored,
        )
        yield refused(
            f"{name} with neither correct nor loss", "correct|loss", lambda p: clone(p).fit(SCORE, None), policy
        )
        yield right(
            f"{name} one sample", lambda v: v.shape == (1,), lambda p: clone(p).fit([0.5], [1]).accept([0.5]), policy
        )
        yield right(
            f"{name} huge scores",
            lambda v: v.shape == (8,),
            lambda p: clone(p).fit(1e200 * SCORE, CORRECT).accept(SCORE),
            policy,
        )
    ece = np.mean([abs(SCORE[i] - CORRECT[i]) for i in range(8)])
    yield right("ece by hand", ece, metrics.expected_calibration_error, CORRECT, SCORE, n_bins=16)
    yield right("ece of booleans", 0.0, metrics.expected_calibration_error, [1, 0], [True, False])
    yield right("ece of one sample", 0.25, metrics.expected_calibration_error, [1], [0.75])
    for bad in (-1, 0, 2.5, True, "10", None, NAN, INF, [10]):
        yield refused(f"ece n_bins={bad}", "n_bins", metrics.expected_calibration_error, CORRECT, SCORE, n_bins=bad)
        yield refused(f"curve n_bins={bad}", "n_bins", metrics.reliability_curve, CORRECT, SCORE, n_bins=bad)
    yield either("ece n_bins=10**9", "n_bins", ece, metrics.expected_calibration_error, CORRECT, SCORE, n_bins=10**9)
    yield either("ece n_bins=10**30", "n_bins", ece, metrics.expected_calibration_error, CORRECT, SCORE, n_bins=10**30)
    yield either(
        "curve n_bins=10**9",
        "n_bins",
        lambda v: len(v[0]) == 8,
        metrics.reliability_curve,
        CORRECT,
        SCORE,
        n_bins=10**9,
    )
    for bad in (1.5, -0.5):
        yield refused(f"ece confidence={bad}", "confidence", metrics.expected_calibration_error, CORRECT, SCORE + bad)


@pytest.mark.parametrize("case", list(_references()))
def test_reference_values(case):
    case.run()


WEIGHT = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 1.0, 4.0, 2.0])
WEIGHTED = METRICS | {
    "expected_calibration_error": metrics.expected_calibration_error,
    "reliability_curve": lambda correct, score, **options: metrics.reliability_curve(correct, score, **options)[1],
    **{name: getattr(metrics, name) for name in CONFIDENCES[:3]},
}


def _weights():
    bad = NOT_NUMBERS | NOT_FINITE | NOT_A_VECTOR
    for (function, call), (kind, change) in product(WEIGHTED.items(), bad.items()):
        if kind not in short(bad) and function not in WHOLE:
            continue
        if kind != "None itself":
            yield refused(
                f"{function}-sample_weight-{kind}",
                "sample_weight",
                lambda c, ch: c(CORRECT, SCORE, sample_weight=ch(WEIGHT)),
                call,
                change,
            )
        if function in METRICS and kind != "None itself":
            yield refused(f"{function}-loss-{kind}", "loss", lambda c, ch: c(None, SCORE, loss=ch(SCORE)), call, change)
    for function, call in WEIGHTED.items():
        for kind, bad in {"negative": -WEIGHT, "one negative": first(-1.0, WEIGHT, float), "zero": 0 * WEIGHT}.items():
            yield refused(f"{function}-weights {kind}", "sample_weight", call, CORRECT, SCORE, sample_weight=bad)
        for factor in (2.0, 2.0001, 0.1, 7, 1e-3, 1e200, 1e305, 1e-200, 1e-300):
            unweighted = {"sample_weight": np.full(8, factor)}
            yield right(
                f"{function}-all weights {factor:g}",
                lambda v, c=call: close(v, c(CORRECT, SCORE)),
                call,
                CORRECT,
                SCORE,
                **unweighted,
            )
            scaled = {"sample_weight": factor * WEIGHT}
            yield right(
                f"{function}-weights times {factor:g}",
                lambda v, c=call: close(v, c(CORRECT, SCORE, sample_weight=WEIGHT / 16)),
                call,
                CORRECT,
                SCORE,
                **scaled,
            )
        tiny = {"sample_weight": np.full(8, 1e-320)}
        yield right(
            f"{function}-all weights 1e-320",
            lambda v, c=call: close(v, c(CORRECT, SCORE)),
            call,
            CORRECT,
            SCORE,
            **tiny,
        )
        near = {"sample_weight": WEIGHT + 1e-9}
        yield right(
            f"{function}-weights moved a little",
            lambda v, c=call: close(v, c(CORRECT, SCORE, sample_weight=WEIGHT), 1e-6),
            call,
            CORRECT,
            SCORE,
            **near,
        )
        whole = {"sample_weight": (WEIGHT > 1).astype(bool)}
        keep = WEIGHT > 1
        if function != "risk_coverage_curve":
            yield either(
                f"{function}-boolean weights",
                "sample_weight",
                lambda v, c=call, k=keep: close(v, c(CORRECT[k], SCORE[k])),
                call,
                CORRECT,
                SCORE,
                **whole,
            )
    for function, call in METRICS.items():
        for kind, bad in {"above one": 2 * SCORE, "negative": SCORE - 0.5}.items():
            yield refused(f"{function}-loss {kind}", "loss", call, None, SCORE, loss=bad)
        yield refused(f"{function}-neither correct nor loss", "correct|loss", call, None, SCORE)


@pytest.mark.parametrize("case", list(_weights()))
def test_weights(case):
    case.run()


OF_PROBA = {name: getattr(scores, name) for name in ("max_probability", "margin", "entropy", "gini", "gen")}
OF_LOGITS = {name: getattr(scores, name) for name in ("max_logit", "energy")}


def _score_cases():
    bad = {kind: change for kind, change in (NOT_NUMBERS | NOT_A_MATRIX).items() if kind != "empty"}
    whole = ("max_probability", "energy")
    proba_names, logit_names = "proba|outputs", "logits|outputs"
    for (name, call), (kind, change) in product(OF_PROBA.items(), (bad | NOT_FINITE).items()):
        if kind not in short(bad | NOT_FINITE) and name not in whole:
            continue
        yield refused(f"{name}-{kind}", proba_names, lambda c, ch: c(ch(PROBA)), call, change)
        if kind != "minus infinite":
            yield refused(
                f"{name}-logits-{kind}", logit_names, lambda c, ch: c(ch(LOGITS), input="logits"), call, change
            )
    for (name, call), (kind, change) in product(OF_LOGITS.items(), (bad | NOT_FINITE).items()):
        if kind != "minus infinite":
            yield refused(f"{name}-{kind}", logit_names, lambda c, ch: c(ch(LOGITS)), call, change)
    for (name, call), (kind, change) in product((OF_PROBA | OF_LOGITS).items(), SAME_MATRIX.items()):
        good, names = (PROBA, proba_names) if name in OF_PROBA else (LOGITS, logit_names)
        if kind == "objects":
            yield either(
                f"{name}-{kind}",
                names,
                lambda v, c=call, g=good: close(v, c(g)),
                lambda c, g, ch: c(ch(g)),
                call,
                good,
                change,
            )
            continue
        tolerance = 1e-2 if kind == "float16" else 1e-5
        yield right(
            f"{name}-{kind}",
            lambda v, c=call, g=good, t=tolerance: close(v, c(g), t),
            lambda c, g, ch: c(ch(g)),
            call,
            good,
            change,
        )
    for (name, call), (kind, change) in product((OF_PROBA | OF_LOGITS).items(), UNSURE.items()):
        good, names = (PROBA, proba_names) if name in OF_PROBA else (LOGITS, logit_names)
        yield either(
            f"{name}-{kind}",
            names,
            lambda v, c=call, g=good: close(v, c(g), 2e-2),
            lambda c, g, ch: c(ch(g)),
            call,
            good,
            change,
        )
    for name, call in OF_PROBA.items():
        for value in NOT_A_CHOICE.values():
            yield refused(f"{name}-input={value}", "input", call, PROBA, input=value)
        yield refused(f"{name}-negative", proba_names, call, PROBA - 0.5)
        yield refused(f"{name}-sums to two", proba_names, call, 2 * PROBA)
        yield refused(f"{name}-one column", proba_names, call, PROBA[:, :1])
        yield refused(f"{name}-logits as proba", "input", call, 10 * LOGITS)
        shift = {"input": "logits"}
        yield right(
            f"{name}-shifted logits",
            lambda v, c=call: close(v, c(LOGITS, input="logits"), 1e-6),
            call,
            LOGITS + 1e6,
            **shift,
        )
        two = np.array([[1e16, 1e16], [0.0, 0.0]])
        yield right(f"{name}-two equal logits of 1e16", lambda v: close(v[0], v[1], 1e-9), call, two, **shift)
        for size in (1e200, 1e308):
            huge = np.array([[size, -size, 0.0], [0.0, size, -size]])
            yield right(f"{name}-logits of {size:g}", lambda v: finite(v) and v[0] == v[1], call, huge, **shift)
        impossible = np.array([[0.0, -INF, -INF], [0.0, 1.0, -INF]])
        yield right(f"{name}-an impossible class", lambda v: finite(v) and v[0] > v[1], call, impossible, **shift)
        yield right(f"{name}-one sample", lambda v: v.shape == (1,) and finite(v), call, PROBA[:1])
        yield either(f"{name}-no sample", proba_names, lambda v: v.shape == (0,), call, PROBA[:0])
        yield right(f"{name}-a certain class", lambda v: finite(v) and v[0] > v[1], call, [[1, 0, 0], [0.5, 0.5, 0]])
    yield right("margin of two equal logits of 1e16", 0.0, scores.margin, [[1e16, 1e16]], input="logits")
    top = np.max(PROBA, axis=1)
    yield right("max_probability by hand", np.log(top / (1 - top)), scores.max_probability, PROBA)
    yield right("gen of two classes by hand", -np.log(2 * 0.25**0.1), scores.gen, [[0.5, 0.5]])
    yield right("energy of huge logits", lambda v: finite(v), scores.energy, [[1e308, 1e308]])
    yield right("max_logit by hand", LOGITS.max(axis=1), scores.max_logit, LOGITS)


@pytest.mark.parametrize("case", list(_score_cases()))
def test_closed_form_scores(case):
    case.run()


def _fit_policy(policy, **options):
    return policy.fit(SCORE, CORRECT, **options)


def _policy_cases():
    parameters = {
        policies.TargetCoverage: {
            "coverage": not_number(above=0, most=1),
            "delta": not_number(above=0, below=1, none=True),
        },
        policies.TargetRisk: {
            "risk": not_number(above=0, below=1),
            "delta": not_number(above=0, below=1),
            "method": NOT_A_CHOICE,
        },
        policies.RejectCost: {"cost": not_number(above=0, below=1)},
        policies.FixedThreshold: {
            "threshold": {"NaN": NAN, "a word": "x", "None": None, "complex": 1j, "True": True, "a list": [0.5, 0.5]},
        },
    }
    for policy, bad in parameters.items():
        for name, kinds in bad.items():
            for kind, value in kinds.items():
                yield refused(
                    f"{policy.__name__} {name} {kind}", name, lambda p, o: _fit_policy(p(**o)), policy, {name: value}
                )
    for value in (INF, -INF, np.float32(0.5), np.int64(0)):
        want = value <= SCORE
        yield right(
            f"FixedThreshold {value!r}", want, lambda v: _fit_policy(policies.FixedThreshold(v)).accept(SCORE), value
        )
    yield right(
        "TargetCoverage of a NumPy number",
        lambda v: v.sum() == 4,
        lambda: _fit_policy(policies.TargetCoverage(np.float32(0.5))).accept(SCORE),
    )
    groups = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    risk = policies.TargetRisk(0.9, delta=0.5)
    for kind, bad in {
        "NaN": first(NAN, groups, float),
        "None": first(None, groups),
        "NaN objects": first(NAN, groups),
        "too short": groups[:-1],
        "a matrix": groups[:, None],
        "masked": np.ma.array(groups, mask=groups == 0),
        "a word": "x",
        "a number": 3,
        "a word among numbers": first("x", groups),
        "not a time": np.array(["NaT"] * 8, dtype="datetime64[s]"),
        "a generator": (g for g in groups),
        "ragged": [[1], [1, 2]],
    }.items():
        yield refused(f"groups {kind}", "groups", lambda g: _fit_policy(clone(risk), groups=g), bad)
    for kind, good in {
        "strings": groups.astype(str),
        "a list": groups.tolist(),
        "floats": groups / 2,
        "booleans": groups.astype(bool),
        "dates": groups.astype("datetime64[D]"),
        "objects": groups.astype(object),
        "unmasked": np.ma.array(groups),
    }.items():
        bound = lambda g: _fit_policy(clone(risk), groups=g).certificate_.bound  # noqa: E731
        yield right(f"groups of {kind}", lambda v, b=bound: close(v, b(groups)), bound, good)
    yield refused("groups for a policy without", "groups", lambda: _fit_policy(policies.RejectCost(), groups=groups))
    for kind, change in NOT_NUMBERS.items():
        if kind == "None":  # a missing score, which is never accepted
            continue
        yield refused(f"accept {kind}", "score", lambda ch: _fit_policy(clone(risk)).accept(ch(SCORE)), change)


@pytest.mark.parametrize("case", list(_policy_cases()))
def test_policies(case):
    case.run()


def _displays():
    labels = PROBA.argmax(axis=1)
    reliability = lambda *arrays, **options: len(_drawn("ReliabilityDisplay", *arrays, **options).lines_)  # noqa: E731
    for kind, change in (NOT_NUMBERS | NOT_FINITE | NOT_A_MATRIX).items():
        yield refused(
            f"ReliabilityDisplay proba {kind}",
            "proba|y_true" if kind == "empty" else "proba",
            lambda ch: reliability(labels, ch(PROBA)),
            change,
        )
    for kind, change in SAME_MATRIX.items():
        yield right(f"ReliabilityDisplay proba {kind}", 1, lambda ch: reliability(labels, ch(PROBA)), change)
    for kind, bad in {
        "too short": labels[:-1],
        "strings": labels.astype(str),
        "out of range": labels + 5,
        "a matrix": PROBA,
        "empty": [],
        "masked": np.ma.array(labels, mask=labels == 0),
        "None": None,
        "NaN": first(NAN, labels, float),
        "complex": labels + 1j,
    }.items():
        yield refused(f"ReliabilityDisplay y_true {kind}", "y_true", reliability, bad, PROBA)
    yield refused("ReliabilityDisplay logits", "proba", reliability, labels, 4 * LOGITS)
    yield refused("ReliabilityDisplay classes too few", "classes", reliability, labels, PROBA, classes=[0, 1])
    yield refused("ReliabilityDisplay classes twice", "classes", reliability, labels, PROBA, classes=[0, 1, 1])
    for kind, bad in NOT_A_CHOICE.items():
        yield refused(f"ReliabilityDisplay kind {kind}", "kind", reliability, labels, PROBA, kind=bad)
    for kind, bad in not_count(1).items():
        yield refused(f"ReliabilityDisplay n_bins {kind}", "n_bins", reliability, labels, PROBA, n_bins=bad)
        yield refused(
            f"ReliabilityDisplay per class n_bins {kind}",
            "n_bins",
            reliability,
            labels,
            PROBA,
            kind="per-class",
            n_bins=bad,
        )
        bins = lambda b: _drawn("TrustHistogramDisplay", CORRECT, SCORE).plot(bins=b)  # noqa: E731
        yield refused(f"TrustHistogramDisplay bins {kind}", "bins", bins, bad)
    for kind, bad in {"a word": "x", "complex": 1j, "a list": [0.1], "NaN": NAN, "True": True}.items():
        yield refused(
            f"TrustHistogramDisplay threshold {kind}",
            "threshold",
            _drawn,
            "TrustHistogramDisplay",
            CORRECT,
            SCORE,
            threshold=bad,
        )
    for display in ("RiskCoverageDisplay", "TrustHistogramDisplay"):
        for bad in ("x", 3):
            yield refused(f"{display} ax={bad}", "ax", _drawn, display, CORRECT, SCORE, ax=bad)
        yield refused(f"{display} swapped", "correct", _drawn, display, SCORE, CORRECT)
        yield right(f"{display} of one sample", lambda v: v.ax_ is not None, _drawn, display, [1], [0.5])
    for display in ("RiskCoverageDisplay", "TrustHistogramDisplay", "ReliabilityDisplay"):
        for kind, y in {
            "too short": Y[:-1],
            "of other labels": Y.astype(str),
            "masked": np.ma.array(Y, mask=Y == 0),
            "of unknown": Y + 7,
        }.items():
            yield refused(f"{display}.from_estimator y {kind}", "y|y_true", _from_estimator, display, y)


def _from_estimator(display, y):
    pytest.importorskip("matplotlib").use("Agg")
    return getattr(metrics, display).from_estimator(fitted_classifier(), X, y)


@pytest.mark.plot
@pytest.mark.parametrize("case", list(_displays()))
def test_displays(case):
    case.run()
