"""Broken promises and certified coverage of every risk-control procedure.

Synthetic data with known risk: P(error | s) = a (1 - s)^g. Real data: out-of-fold predictions of a classifier; each
repetition draws a calibration set from them, and the true risk is the error rate on all the rest. MAPIE's multiclass
controller sees the same scores and the same guarantee: selective error as its risk, a grid of 100 quantiles of the
scores, the laxest valid threshold; once with its default correction and once with fixed-sequence testing from four
starts. zugzwang's default is a column where it is installed (``pip install zugzwang==1.1.0``). Rows of rounded scores
have ties; there zugzwang tests a part of the samples of one score and then accepts all of them.
"""

import warnings
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
from common import Report, quick, real_sets
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abstain import TargetRisk
from abstain.datasets import known_risk, make_known_risk
from abstain.scores import max_probability
from abstain.warnings import UncertifiedWarning

DELTA = 0.1


def ours(method, score, correct, risk):
    return TargetRisk(risk, delta=DELTA, method=method).fit(score, correct).threshold_


def mapie(fwer, score, correct, risk):
    """MAPIE on two classes: the prediction is always class 0, the label is 0 where it was right."""
    from mapie.risk_control import BinaryRisk, FWERFixedSequenceTesting, MultiClassificationLTTController

    grid = np.quantile(score, np.linspace(0.99, 0, 100))
    controller = MultiClassificationLTTController(
        predict_function=lambda s: np.column_stack([0.5 + s[:, 0] / 2, 0.5 - s[:, 0] / 2]),
        risks=[BinaryRisk(lambda t, p: p == t, lambda t, p: ~np.isnan(p), True)],
        target_level=[1 - risk],
        confidence_level=1 - DELTA,
        list_predict_params=0.5 + grid / 2,
        classes=[0, 1],
        fwer_method=FWERFixedSequenceTesting(n_starts=4) if fwer == "fixed_sequence" else fwer,
    )
    controller.calibrate(score[:, None], (~correct).astype(int))
    valid = np.asarray(controller.valid_predict_params)
    return float(2 * valid.min() - 1) if valid.size else np.inf


def zugzwang(score, correct, risk):
    """zugzwang's hybrid of a binary search and one chain."""
    from zugzwang.core import UncertifiableRiskError, certify_threshold

    try:
        return certify_threshold(score, (~correct).astype(int), risk, DELTA).threshold
    except UncertifiableRiskError:
        return np.inf


PROCEDURES = {
    "fst (default)": partial(ours, "fst"),
    "sgr": partial(ours, "sgr"),
    "bonferroni": partial(ours, "bonferroni"),
    "MAPIE holm": partial(mapie, "bonferroni_holm"),
    "MAPIE fixed seq.": partial(mapie, "fixed_sequence"),
}
if find_spec("zugzwang"):
    PROCEDURES["zugzwang"] = zugzwang


def synthetic(scale, power, n, steps=None):
    """Draw a calibration set, whose scores may be cut to a few steps; the risk of a threshold is known."""

    def draw(seed):
        score, correct = make_known_risk(n, scale=scale, power=power, random_state=seed)
        score = np.floor(steps * score) / steps if steps else score

        def truth(threshold):
            if steps and np.isfinite(threshold):
                threshold = np.ceil(steps * threshold - 1e-9) / steps
            coverage = float(np.clip(1 - threshold, 0, 1))
            return coverage, float(known_risk(threshold, scale=scale, power=power))

        return score, correct, truth

    return draw


def resampled(score, correct, n):
    """Draw a calibration set from a pool, which is the population: with replacement.

    What a draw without replacement leaves is short of errors where the draw has many, and the other way, so that its
    risk would show promises as broken that are kept.
    """

    def draw(seed):
        cal = np.random.default_rng(seed).integers(0, score.size, n)

        def truth(threshold):
            accepted = score >= threshold
            return float(accepted.mean()), float(1 - correct[accepted].mean()) if accepted.any() else 0.0

        return score[cal], correct[cal], truth

    return draw


def pool(X, y):
    """Out-of-fold scores of logistic regression, mapped to [0, 1] by rank, and correctness."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    proba = cross_val_predict(model, X, y, cv=5, method="predict_proba", n_jobs=2)
    score = max_probability(proba)
    # a pool large enough that the rest tells the true risk, shuffled ties kept apart
    ranks = np.argsort(np.argsort(score + 1e-12 * np.random.default_rng(0).normal(size=score.size)))
    return (ranks + 0.5) / score.size, proba.argmax(axis=1) == np.searchsorted(np.unique(y), y)


def oracle(draw):
    """Largest coverage whose true risk meets the target, on a fine grid."""

    def best(risk):
        _, _, truth = draw(0)
        points = [truth(t) for t in np.linspace(0, 0.999, 1000)]
        return max([c for c, r in points if r <= risk], default=0.0)

    return best


def row(draw, risk, repeats, peers):
    """Share of broken promises and mean coverage of each procedure."""
    out = {}
    for name, procedure in PROCEDURES.items():
        times = peers if name.startswith("MAPIE") else repeats
        results = []
        for seed in range(times):
            score, correct, truth = draw(seed)
            results.append(truth(procedure(score, correct, risk)))
        coverage, true_risk = np.array(results).T
        out[name] = (true_risk > risk).mean(), coverage.mean(), coverage.std() / np.sqrt(times)
    return out


def main():
    small = quick()
    warnings.simplefilter("ignore")
    warnings.simplefilter("ignore", UncertifiedWarning)
    report = Report("bench_guarantee", small)
    repeats, peers = (30, 4) if small else (1000, 300)
    sizes = (200, 500, 2000) if small else (200, 500, 1000, 2000, 5000, 20_000)
    cases = []
    for scale, power, risk in (
        (0.45, 1, 0.05),
        (0.6, 2, 0.05),
        (0.6, 2, 0.02),
        (0.3, 1, 0.05),
        (0.2, 4, 0.01),
        (0.06, 1, 0.05),
    ):
        for n in sizes:
            cases.append((f"a={scale} g={power}", n, risk, synthetic(scale, power, n)))
    for name, scale, power, steps in (("a=0.45 g=1, tenths", 0.45, 1, 10), ("a=0.6 g=2, thirds", 0.6, 2, 3)):
        for n in sizes:
            cases.append((name, n, 0.05, synthetic(scale, power, n, steps)))
    for name, X, y, _ in real_sets():
        if name in (("digits",) if small else ("letter", "banking77", "digits")):
            score, correct = pool(X, y)
            error = 1 - correct.mean()
            for n in (500,) if name == "digits" else [s for s in sizes if 2 * s <= score.size]:
                for share in (0.25, 0.5):
                    cases.append(
                        (f"{name} (error {error:.3f})", n, round(share * error, 4), resampled(score, correct, n))
                    )

    if "zugzwang" in PROCEDURES:
        report(f"zugzwang {version('zugzwang')}")
    report(f"delta = {DELTA}; {repeats} calibration sets a row ({peers} for MAPIE)")
    report(
        "each cell: mean certified coverage / share of broken promises; oracle: largest coverage that meets the target"
    )
    report("")
    report(f"{'data':<24}{'n':>6}{'risk':>8}{'oracle':>8}" + "".join(f"{name:>19}" for name in PROCEDURES))
    broken, covered, distance = [], [], []
    for name, n, risk, draw in cases:
        results, best = row(draw, risk, repeats, peers), oracle(draw)(risk)
        broken.append([r[0] for r in results.values()])
        covered.append([r[1] for r in results.values()])
        distance.append(best - covered[-1][0])
        cells = "".join(f"{f'{coverage:.3f} / {rate:.3f}':>19}" for rate, coverage, _ in results.values())
        report(f"{name:<24}{n:>6}{risk:>8.4f}{best:>8.3f}{cells}")
    report("")
    names = list(PROCEDURES)
    report(
        "mean coverage        "
        + ", ".join(f"{n} {c:.4f}" for n, c in zip(names, np.mean(covered, axis=0), strict=True))
    )
    report(
        "worst broken share   " + ", ".join(f"{n} {b:.3f}" for n, b in zip(names, np.max(broken, axis=0), strict=True))
    )
    report(f"default below oracle {np.mean(distance):.4f} on average, {np.max(distance):.4f} at worst")
    limit = DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / repeats)
    held = np.max(np.array(broken)[:, :3]) <= limit
    ahead = np.mean(covered, axis=0)[0] >= np.max(np.mean(covered, axis=0)[1:]) - 0.01
    report(f"every promise of ours kept (<= delta + 3 standard errors, {limit:.3f}): {held}")
    tied = np.array([name.endswith(("tenths", "thirds")) for name, *_ in cases])
    for kind, rows in (("without ties", ~tied), ("with ties", tied)):
        worst, reached = np.array(broken)[rows].max(axis=0), np.array(covered)[rows]
        keep = worst <= limit
        short = (reached[:, 0] < reached[:, keep].max(axis=1) - 0.01).sum()
        faithless = ", ".join(f"{n} (breaks {b:.3f})" for n, b in zip(names, worst, strict=True) if b > limit)
        report(
            f"settings {kind} in which another certifies more than .01 above the default: {short} of {rows.sum()}"
            + (f", left out for its broken promises: {faithless}" if faithless else "")
        )
    report.keep()
    if not (held and (ahead or small)):
        raise SystemExit("the guarantee benchmark failed")


if __name__ == "__main__":
    main()
