"""Functions and losses, given odd parameters: the right answer, or an error that names the parameter."""

import numpy as np
import pytest
from odd_inputs import (
    CORRECT,
    INF,
    LOGITS,
    NAN,
    NOT_A_CHOICE,
    NOT_A_FLAG,
    NOT_A_MATRIX,
    NOT_A_SEED,
    NOT_A_VECTOR,
    NOT_FINITE,
    NOT_NUMBERS,
    PROBA,
    SAME_MATRIX,
    SAME_VECTOR,
    SCORE,
    X,
    Y,
    either,
    finite,
    first,
    fitted_classifier,
    not_count,
    not_number,
    refused,
    right,
)
from sklearn.linear_model import LogisticRegression

import abstain
from abstain import losses, metrics, policies, scores


def _function_parameters():
    for kind, bad in (not_number(above=0)).items():
        yield refused(f"gen gamma {kind}", "gamma", scores.gen, PROBA, gamma=bad)
        yield refused(f"energy temperature {kind}", "temperature", scores.energy, LOGITS, temperature=bad)
    for kind, bad in not_count(1).items():
        yield refused(f"gen top {kind}", "top", scores.gen, PROBA, top=bad)
        yield refused(f"confidence_features top {kind}", "top", scores.confidence_features, np.log(PROBA), top=bad)
    for kind, change in (NOT_NUMBERS | NOT_A_MATRIX).items():
        if kind != "empty":
            yield refused(
                f"confidence_features {kind}",
                "log_proba",
                lambda ch: scores.confidence_features(ch(np.log(PROBA))),
                change,
            )
    yield refused("confidence_features NaN", "log_proba", scores.confidence_features, first(NAN, np.log(PROBA), float))
    for small in (1e-300, 1e-320):
        yield either(f"energy temperature {small:g}", "temperature", finite, scores.energy, LOGITS, temperature=small)
    yield from _difficulty_weights()
    yield from _upper_bounds()
    yield from _coverages()
    yield from _bootstrap()
    yield from _heads()
    yield from _datasets()
    yield from _scorers()


def _difficulty_weights():
    call, hard = scores.difficulty_weights, np.arange(8.0)
    for kind, bad in not_number(above=0, none=True).items():
        yield refused(f"difficulty_weights temperature {kind}", "temperature", call, hard, temperature=bad)
    for kind, bad in NOT_A_CHOICE.items():
        yield refused(f"difficulty_weights scale {kind}", "scale", call, hard, scale=bad)
    for kind, change in (NOT_NUMBERS | NOT_FINITE | NOT_A_VECTOR).items():
        if kind not in ("one too few", "one too many"):
            yield refused(f"difficulty_weights {kind}", "difficulty", lambda ch: call(ch(hard)), change)
    for kind, change in SAME_VECTOR.items():
        yield right(f"difficulty_weights {kind}", call(hard), lambda ch: call(ch(hard)), change)
    for scale in ("robust_z", "raw", "rank"):
        yield right(
            f"difficulty_weights {scale} of equal", lambda v: np.ptp(v) == 0 and v[0] > 0, call, np.ones(5), scale=scale
        )
        yield right(f"difficulty_weights {scale} of one", lambda v: finite(v) and v[0] > 0, call, [3.0], scale=scale)
        extreme = [-1e308, 0.0, 1e308]
        yield right(
            f"difficulty_weights {scale} of huge", lambda v: finite(v) and v.max() > 0, call, extreme, scale=scale
        )


def _upper_bounds():
    call = policies.upper_bound
    for kind, bad in not_number(above=0, below=1).items():
        yield refused(f"upper_bound delta {kind}", "delta", call, 1, 10, bad)
    for kind, bad in {
        "negative": -1,
        "a fraction": 0.5,
        "NaN": NAN,
        "a word": "x",
        "None": None,
        "complex": 1j,
        "infinite": INF,
    }.items():
        yield refused(f"upper_bound errors {kind}", "errors", call, bad, 10, 0.1)
        yield refused(f"upper_bound accepted {kind}", "accepted", call, 0, bad, 0.1)
    for kind, bad in {"a fraction": 10.5, "infinite": INF}.items():
        yield refused(f"upper_bound errors {kind} beside whole ones", "errors", call, [1, bad], [10, 20], 0.1)
        yield refused(f"upper_bound accepted {kind} beside whole ones", "accepted", call, [0, 1], [10, bad], 0.1)
    yield refused("upper_bound more errors than accepted", "errors|accepted", call, 11, 10, 0.1)
    yield refused("upper_bound shapes", "errors|accepted", call, [1, 2], [10, 20, 30], 0.1)
    yield refused("upper_bound masked", "errors", call, np.ma.array([1, 2], mask=[1, 0]), [10, 20], 0.1)
    yield right("upper_bound of none", 1.0, call, 0, 0, 0.1)
    yield right("upper_bound of all", 1.0, call, 10, 10, 0.1)
    yield right("upper_bound by hand", 1 - 0.05 ** (1 / 59), call, 0, 59, 0.05)
    yield right("upper_bound of lists", lambda v: v.shape == (2,), call, [0, 1], [10, 20], 0.1)
    yield right("upper_bound of a huge count", lambda v: 0 < v < 1e-10, call, 0, 10**12, 0.1)


def _coverages():
    for kind, bad in not_number(above=0, most=1).items():
        yield refused(f"risk_at_coverage coverage {kind}", "coverage", metrics.risk_at_coverage, CORRECT, SCORE, bad)
    for kind, bad in not_number(least=0, most=1).items():
        yield refused(f"coverage_at_risk risk {kind}", "risk", metrics.coverage_at_risk, CORRECT, SCORE, bad)
    for kind, bad in {"a word": "x", "complex": 1j, "a list": [0.1, 0.2], "NaN": NAN, "True": True}.items():
        yield refused(
            f"failure_report threshold {kind}", "threshold", metrics.failure_report, CORRECT, SCORE, threshold=bad
        )
    yield right(
        "failure_report of right ones",
        lambda v: v.accuracy == 1 and v.aurc == 0,
        metrics.failure_report,
        [1, 1],
        [0.1, 0.2],
    )
    yield right("failure_report of one", lambda v: v.accuracy == 0, metrics.failure_report, [0], [0.1])
    for kind, change in (NOT_NUMBERS | NOT_FINITE | NOT_A_VECTOR).items():
        yield refused(
            f"compare_aurc baseline {kind}",
            "baseline",
            lambda ch: metrics.compare_aurc(CORRECT, SCORE, ch(SCORE)),
            change,
        )


def _bootstrap():
    def call(metric=metrics.aurc, correct=CORRECT, score=SCORE, **options):
        return metrics.bootstrap_ci(metric, correct, score, **({"n_resamples": 5} | options))

    for kind, bad in not_count(1).items():
        yield refused(f"bootstrap_ci n_resamples {kind}", "n_resamples", call, n_resamples=bad)
    for kind, bad in not_number(above=0, below=1).items():
        yield refused(f"bootstrap_ci confidence {kind}", "confidence", call, confidence=bad)
    for kind, bad in NOT_A_CHOICE.items():
        yield refused(f"bootstrap_ci compare {kind}", "compare", call, baseline=SCORE, compare=bad)
    for kind, bad in NOT_A_SEED.items():
        yield refused(f"bootstrap_ci random_state {kind}", "random_state|[Ss]eed", call, random_state=bad)
    for kind, bad in {"a word": "aurc", "None": None, "a number": 3}.items():
        yield refused(f"bootstrap_ci metric {kind}", "metric", call, metric=bad)
    yield refused("bootstrap_ci metric of many numbers", "metric", call, metric=metrics.risk_coverage_curve)
    yield refused("bootstrap_ci neither correct nor loss", "correct|loss", call, correct=None)
    yield refused("bootstrap_ci correct out of range", "correct", call, correct=2 * CORRECT)
    yield refused("bootstrap_ci loss out of range", "loss", call, correct=None, loss=3 * SCORE)
    for kind, change in (NOT_NUMBERS | NOT_FINITE | NOT_A_VECTOR).items():
        if kind != "None itself":
            yield refused(f"bootstrap_ci baseline {kind}", "baseline", lambda ch: call(baseline=ch(SCORE)), change)
            yield refused(f"bootstrap_ci loss {kind}", "loss", lambda ch: call(correct=None, loss=ch(SCORE)), change)
    yield right("bootstrap_ci of one sample", (1.0, 1.0, 1.0), call, correct=[0], score=[0.5])
    options = {"correct": [1, 1, 1], "score": [0.1, 0.2, 0.3], "baseline": [0.1, 0.2, 0.3], "compare": "ratio"}
    yield either("bootstrap_ci ratio to nothing", "compare|baseline", lambda v: np.isnan(v.estimate), call, **options)


def _heads():
    head, weight = abstain.linear_head, np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    for kind, change in (NOT_NUMBERS | NOT_FINITE | NOT_A_MATRIX).items():
        if kind != "no columns":
            yield refused(f"linear_head weight {kind}", "weight", lambda ch: head(ch(weight)), change)
    for kind, change in (NOT_NUMBERS | NOT_FINITE | NOT_A_VECTOR).items():
        if kind != "None itself":
            yield refused(f"linear_head bias {kind}", "bias", lambda ch: head(weight, ch(np.arange(3.0))), change)
    for kind, change in SAME_MATRIX.items():
        yield right(f"linear_head weight {kind}", weight, lambda ch: head(ch(weight)).estimator.coef_, change)
    for kind, bad in {
        "unsorted": [2, 0, 1],
        "twice": [0, 0, 1],
        "too few": [0, 1],
        "NaN": [0.0, 1.0, NAN],
        "a matrix": weight,
        "masked": np.ma.array([0, 1, 2], mask=[1, 0, 0]),
        "complex": [0, 1, 2j],
        "mixed": np.array([0, "a", None], object),
        "fractions": [0.5, 1.5, 2.5],
    }.items():
        yield refused(f"linear_head classes {kind}", "classes", head, weight, classes=bad)
    yield right(
        "linear_head of strings",
        lambda v: v.predict([[0.0, 5.0]])[0] == "b",
        head,
        weight * [[1], [1], [-1]],
        None,
        ["a", "b", "c"],
    )
    yield refused("linear_head of one class", "weight", head, weight[:1])
    yield right(
        "linear_head of two classes", 1 / (1 + np.exp(1.0)), lambda: head(weight[:2]).predict_proba([[1.0, 0.0]])[0, 1]
    )


def _datasets():
    from abstain import datasets

    for kind, bad in not_count(1).items():
        yield refused(f"make_known_risk n_samples {kind}", "n_samples", datasets.make_known_risk, bad)
        yield refused(f"make_known_posterior n_samples {kind}", "n_samples", datasets.make_known_posterior, bad)
    for kind, bad in not_count(2).items():
        yield refused(
            f"make_known_posterior n_classes {kind}", "n_classes", datasets.make_known_posterior, 5, n_classes=bad
        )
    for kind, bad in not_number(least=0, most=1).items():
        yield refused(f"make_known_risk scale {kind}", "scale", datasets.make_known_risk, 5, scale=bad)
    for kind, bad in not_number(least=0).items():
        yield refused(f"make_known_risk power {kind}", "power", datasets.make_known_risk, 5, power=bad)
        yield refused(f"load_hard_digits noise {kind}", "noise", datasets.load_hard_digits, noise=bad)
    for kind, bad in not_number().items():
        yield refused(
            f"make_known_posterior separation {kind}", "separation", datasets.make_known_posterior, 5, separation=bad
        )


def _scorers():
    for kind, bad in {"a word": "aurc", "None": None, "a number": 3}.items():
        yield refused(f"make_selective_scorer metric {kind}", "metric", metrics.make_selective_scorer, bad)
    for kind, bad in NOT_A_FLAG.items():
        yield refused(
            f"make_selective_scorer sign {kind}",
            "greater_is_better",
            metrics.make_selective_scorer,
            metrics.aurc,
            greater_is_better=bad,
        )
    yield refused(
        "make_selective_scorer unknown option",
        "covrage",
        metrics.make_selective_scorer,
        metrics.risk_at_coverage,
        covrage=0.8,
    )
    yield refused(
        "make_selective_scorer missing option",
        "coverage",
        lambda: metrics.make_selective_scorer(metrics.risk_at_coverage)(fitted_classifier(), X, Y),
    )
    scorer = metrics.make_selective_scorer(metrics.aurc)
    yield refused("selective scorer y of other labels", "y", lambda: scorer(fitted_classifier(), X, Y.astype(str)))
    yield refused("selective scorer y too short", "y", lambda: scorer(fitted_classifier(), X, Y[:-1]))
    yield refused(
        "selective scorer without score_samples", "score_samples", lambda: scorer(LogisticRegression().fit(X, Y), X, Y)
    )


@pytest.mark.parametrize("case", list(_function_parameters()))
def test_parameters_of_functions(case):
    case.run()


Z, TARGET, CODES = np.array([-1.0, 0.5, 2.0, -3.0]), np.array([0.0, 1.0, 1.0, 0.25]), np.array([0, 1, 2, 1])
SELECT, LOSS_LOGITS = np.array([0.5, -1.0, 2.0, 0.0]), np.arange(12.0).reshape(4, 3) % 5
TRUST = ("CrossEntropyLoss", "FocalLoss", "SteepSlopeLoss", "TCPLoss")
CLASS = ("SoftmaxLoss", "DifficultyEntropyLoss")
SELECTIVE = ("GamblersLoss", "SelectiveNetLoss", "SYNCLoss", "SelfAdaptiveLoss")


def _loss_arrays():
    not_arrays = {"None": lambda a: None, "a number": lambda a: 0.5}
    odd = {kind: NOT_NUMBERS[kind] for kind in ("masked entry", "complex", "numeric strings", "dates", "None")}
    shapes = {"a column": lambda a: a[:, None], "one too few": lambda a: a[:-1]}
    bad = {kind + " entries" if kind == "None" else kind: change for kind, change in odd.items()} | not_arrays | shapes
    for name in TRUST:
        loss = getattr(losses, name)()
        for kind, change in bad.items():
            for method in ("value", "derivative"):
                yield refused(
                    f"{name}.{method} z {kind}", "z", lambda c, ch: c(ch(Z), TARGET), getattr(loss, method), change
                )
                yield refused(
                    f"{name}.{method} target {kind}",
                    "target",
                    lambda c, ch: c(Z, ch(TARGET)),
                    getattr(loss, method),
                    change,
                )
        for kind, value in {"above one": 2.0, "negative": -1.0, "NaN": NAN}.items():
            yield refused(f"{name} target {kind}", "target", loss.value, Z, first(value, TARGET, float))
        for kind in ("complex", "numeric strings", "masked entry", "dates"):
            yield refused(f"{name}.inverse_link {kind}", "z", lambda c, ch: c(ch(Z)), loss.inverse_link, odd[kind])
        yield either(
            f"{name}.value of lists", "z|target", loss.value(Z, TARGET), loss.value, Z.tolist(), TARGET.tolist()
        )
        yield either(f"{name}.inverse_link of a list", "z", loss.inverse_link(Z), loss.inverse_link, Z.tolist())
        yield right(
            f"{name} huge z", finite, lambda c: c(np.array([1e300, -1e300]), np.array([0.5, 0.5])) / 1e300, loss.value
        )
        yield right(f"{name} of no samples", lambda v: v.shape == (0,), loss.value, np.empty(0), np.empty(0))
    codes = {
        "out of range": np.array([0, 1, 3, 1]),
        "negative": np.array([0, 1, -1, 1]),
        "huge": np.array([0, 1, 10**18, 1]),
        "floats": CODES + 0.5,
        "NaN": first(NAN, CODES, float),
        "strings": CODES.astype(str),
        "masked": np.ma.array(CODES, mask=CODES == 0),
        "a column": CODES[:, None],
        "one too few": CODES[:-1],
        "booleans": CODES > 0,
        "complex": CODES + 1j,
    }
    for name in CLASS:
        loss = getattr(losses, name)()
        for kind, value in codes.items():
            yield refused(
                f"{name} codes {kind}", "codes|targets?", loss.value_and_derivative, LOSS_LOGITS, value, np.ones(4)
            )
        for kind, change in (bad | {"a vector": lambda a: a[:, 0]}).items():
            if kind != "a column":
                yield refused(
                    f"{name} logits {kind}",
                    "logits",
                    lambda c, ch: c(ch(LOSS_LOGITS), CODES, np.ones(4)),
                    loss.value_and_derivative,
                    change,
                )
        for kind, change in bad.items():
            if kind == "None":
                continue
            yield refused(
                f"{name} strength {kind}",
                "strength",
                lambda c, ch: c(LOSS_LOGITS, CODES, ch(np.ones(4))),
                loss.value_and_derivative,
                change,
            )
    for name in SELECTIVE:
        loss = getattr(losses, name)()
        for kind, value in codes.items():
            yield refused(f"{name} codes {kind}", "codes|targets?", loss.value, LOSS_LOGITS, SELECT, value)
        for kind, change in bad.items():
            yield refused(
                f"{name} select {kind}", "select", lambda c, ch: c(LOSS_LOGITS, ch(SELECT), CODES), loss.value, change
            )
            if kind != "a column":
                yield refused(
                    f"{name} logits {kind}",
                    "logits",
                    lambda c, ch: c(ch(LOSS_LOGITS), SELECT, CODES),
                    loss.value,
                    change,
                )


def _loss_parameters():
    positive, share = not_number(above=0), not_number(above=0, most=1)
    flag, choice = NOT_A_FLAG, NOT_A_CHOICE
    parameters = {
        "CrossEntropyLoss": {"error_weight": positive},
        "FocalLoss": {"error_weight": positive, "gamma": not_number(least=0, most=100)},
        "SteepSlopeLoss": {"alpha_pos": not_number(above=0, most=80), "alpha_neg": not_number(above=0, most=80)},
        "DifficultyEntropyLoss": {"alpha": not_number(least=0)},
        "EntropyTerm": {"form": choice},
        "GamblersLoss": {"reward": not_number(above=1, none=True)},
        "SelfAdaptiveLoss": {"momentum": not_number(least=0, most=1)},
        "SelectiveNetLoss": {
            "coverage": share,
            "lam": not_number(least=0),
            "alpha": share,
            "normalise": flag,
            "risk": choice,
        },
        "SYNCLoss": {
            "coverage": share,
            "lam": not_number(least=0),
            "alpha": share,
            "beta": not_number(least=0),
            "mode": choice,
            "gamma": positive,
            "chance_correction": flag,
            "prior_head": choice,
            "detach_prior": flag,
        },
    }
    for name, bad in parameters.items():
        for parameter, kinds in bad.items():
            for kind, value in kinds.items():
                yield refused(f"{name} {parameter} {kind}", parameter, getattr(losses, name), **{parameter: value})


@pytest.mark.parametrize("case", [*_loss_arrays(), *_loss_parameters()])
def test_losses(case):
    case.run()
