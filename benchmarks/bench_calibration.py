"""Calibrators on held-out samples: what each gains over the probabilities as they came, and how often it does harm.

``python benchmarks/bench_calibration.py`` goes on where it was stopped; ``--fresh`` starts anew. Rows of probmetrics
and netcal are there where these packages are.
"""

import importlib
import importlib.util
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from common import DATA, Kept, Report, argument, interleaved, mean_interval, quick, real_sets
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abstain.calibration import (
    Affine,
    AutoCalibrator,
    Beta,
    EnsembleTemperature,
    Isotonic,
    MatrixScaling,
    Quadratic,
    Spline,
    Temperature,
    VectorScaling,
    VennAbers,
)
from abstain.metrics._labelled import labelled
from abstain.solvers.temperature import fit_inverse_temperature

SIZES = (150, 400, 1000, 5000)
N_SPLITS = 5
MOST_TEST = 6000
TWO_CLASSES = {"Affine": Affine, "Beta": Beta, "Quadratic": Quadratic, "Spline": Spline, "VennAbers": VennAbers}
ROWS = {
    "Temperature": Temperature,
    "EnsembleTemperature": EnsembleTemperature,
    "VectorScaling": VectorScaling,
    "MatrixScaling": MatrixScaling,
    "Isotonic": Isotonic,
    "AutoCalibrator": lambda kind: AutoCalibrator(kind=kind, random_state=0),
}
BASES = {
    "logistic": lambda seed: make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
    "boosting": lambda seed: HistGradientBoostingClassifier(max_iter=60, random_state=seed),
    "forest": lambda seed: RandomForestClassifier(100, random_state=seed),
    "mlp": lambda seed: make_pipeline(StandardScaler(), MLPClassifier((100,), max_iter=60, random_state=seed)),
    "naive Bayes": lambda seed: make_pipeline(StandardScaler(), GaussianNB()),
}


def reference(name, kind):
    """The same fit and prediction by probmetrics, which takes probabilities."""
    from probmetrics.calibrators import get_calibrator

    def fitted(values, y):
        model = get_calibrator(name).fit(probabilities(values, kind), y)
        return lambda query: np.asarray(model.predict_proba(probabilities(query, kind)), dtype=np.float64)

    return fitted


def calibrators(n_classes, kind):
    """Name -> function of outputs and labels that gives a function of outputs."""

    def ours(make):
        def fitted(values, y):
            return make(kind=kind).fit(values, y).predict_proba

        return fitted

    rows = {name: ours(make) for name, make in ROWS.items()}
    if n_classes == 2:
        rows |= {name: ours(make) for name, make in TWO_CLASSES.items()}
    if importlib.util.find_spec("probmetrics"):
        names = ("svs",) if n_classes > 200 else ("sms", "svs")  # a matrix of a million entries would take hours
        rows |= {f"probmetrics {name}": reference(name, kind) for name in names}
    return rows


def probabilities(values, kind):
    return values if kind == "proba" else np.exp(values - np.logaddexp.reduce(values, axis=1, keepdims=True))


def losses(y, proba):
    data = labelled(y, proba / proba.sum(axis=1, keepdims=True))
    return [data.mean(data.log_losses), data.mean(data.brier_scores)]


def one_split(X, y, base, seed, sizes, known):
    """Losses of every calibrator at every size on one split."""
    n_train = min(4000, len(y) // 3)
    X_fit, X_rest, y_fit, y_rest = train_test_split(X, y, train_size=n_train, stratify=y, random_state=seed)
    model = BASES[base](seed).fit(X_fit, y_fit)
    n_test = min(MOST_TEST, len(y_rest) // 2)
    proba = model.predict_proba(X_rest).astype(np.float64)
    proba /= proba.sum(axis=1, keepdims=True)
    test, pool = slice(0, n_test), slice(n_test, None)
    return compared(proba[pool], y_rest[pool], proba[test], y_rest[test], "proba", sizes, known)


def compared(values, y, query, y_query, kind, sizes, known):
    cell = {key: dict(value) for key, value in known.items()}
    raw = probabilities(query, kind)
    for n in sizes:
        if n > len(y):
            continue
        rows = cell.setdefault(str(n), {})
        rows["raw"] = losses(y_query, raw)
        for name, fit in calibrators(values.shape[1], kind).items():
            if name not in rows:
                rows[name] = losses(y_query, fit(values[:n], y[:n])(query))
    return cell


def imagenet():
    """Logits and labels of the ImageNet sample, where it is."""
    path = DATA / "imagenet_sample_lite0.npz"
    if path.exists():
        saved = np.load(path)
        yield saved["logits"].astype(np.float64), saved["labels"].astype(int)


def fashion():
    """Outputs of a linear probe on features of a frozen EfficientNet-Lite0, where bench_quality has left them."""
    folder = Path("out/fashion_features")
    if folder.exists():
        import bench_quality

        for name, X, y, _ in bench_quality.fashion():
            yield name, X, y


def quality(report, small):
    kept = Kept("bench_calibration", small)
    only, splits = argument("only"), 1 if small else N_SPLITS
    sizes = (150,) if small else SIZES
    for name, X, y in [(name, X, y) for name, X, y, _ in real_sets(limit=5000)] + list(fashion()):
        if small and name != "digits":
            continue
        codes = np.unique(y, return_inverse=True)[1]
        for base in BASES:
            if (only and only not in name) or (small and base != "forest"):
                continue
            if base == "boosting" and len(np.unique(codes)) > 50:
                continue  # a tree for each class and round
            for seed in range(splits):
                key = f"{name}|{base}|{seed}"
                names = set(calibrators(codes.max() + 1, "proba"))
                if not kept.get(key) or not all(names <= set(rows) for rows in kept[key].values()):
                    kept[key] = one_split(X, codes, base, seed, sizes, kept.get(key))
    for logits, y in () if small else imagenet():
        for seed in range(splits):
            order = np.random.default_rng(seed).permutation(len(y))
            half = order[: len(y) // 2], order[len(y) // 2 :]
            key = f"imagenet sample|frozen net|{seed}"
            parts = logits[half[0]], y[half[0]], logits[half[1]], y[half[1]]
            kept[key] = compared(*parts, "logits", (150, 400, 500), kept.get(key))
    table(report, kept)


def table(report, kept):
    cases = {(key, n): rows for key in kept for n, rows in kept[key].items()}
    report(f"{len(cases)} cases: data sets x classifiers x calibration sizes x splits; gains over raw in per cent")
    groups = {
        "all": lambda key, n, k: True,
        "all with a matrix of the reference (not the ImageNet sample)": lambda key, n, k: "probmetrics sms" in k,
        "ImageNet sample, 1000 classes, 150 to 500 samples": lambda key, n, k: key.startswith("imagenet"),
        "two classes": lambda key, n, k: "Affine" in k,
        "more classes": lambda key, n, k: "Affine" not in k,
        **{f"{size} samples": lambda key, n, k, size=size: n == str(size) for size in SIZES},
    }
    for title, belongs in groups.items():
        some = [rows for (key, n), rows in cases.items() if belongs(key, n, rows)]
        if not some:
            continue
        report("")
        report(f"{title}: {len(some)} cases")
        report(
            f"{'':<26}{'log-loss':>9}{'mean gain':>17}{'median':>8}{'worse':>7}{'>1 %':>6}{'>5 %':>6}{'worst':>8}"
            f"{'Brier gain':>12}{'>1 %':>6}{'worst':>8}"
        )
        names = ["raw", *dict.fromkeys(name for rows in some for name in rows if name != "raw")]
        for name in names:
            pairs = np.array([[rows[name], rows["raw"]] for rows in some if name in rows])
            if len(pairs) < len(some):
                continue  # of some cases only, which cannot be compared
            report(line(name, pairs))
    against_reference(report, cases)


def against_reference(report, cases):
    """How much more than the reference is gained, and how much could be if test labels told the best of our rows."""
    cases = {key: rows for key, rows in cases.items() if "probmetrics sms" in rows}
    if not cases:
        return  # the reference is not installed
    gains = {}
    for (key, _), rows in cases.items():
        gain = {name: 1 - found[0] / rows["raw"][0] for name, found in rows.items()}
        best = max(value for name, value in gain.items() if not name.startswith("probmetrics"))
        gains.setdefault(key.split("|")[0], []).append([gain["AutoCalibrator"], best, gain["probmetrics sms"]])
    pairs = np.array([[rows["MatrixScaling"][0], rows["probmetrics sms"][0]] for rows in cases.values()])
    apart = pairs[:, 0] / pairs[:, 1] - 1
    report("")
    report(
        f"log-loss of MatrixScaling against probmetrics sms: within .1 % in {np.mean(np.abs(apart) <= 1e-3):.0%} of "
        f"cases, less in {np.mean(apart < -1e-3):.0%}, more in {np.mean(apart > 1e-3):.0%}"
    )
    report("")
    report(
        f"{'mean gain over that of probmetrics sms':<44}{'cases':>7}{'AutoCalibrator':>16}{'best by test labels':>21}"
    )
    total = [found for some in gains.values() for found in some]
    for name, some in {"all": total, **gains}.items():
        ours, best, theirs = np.mean(some, axis=0)
        report(f"{name:<44}{len(some):>7}{ours / theirs:>16.3f}{best / theirs:>21.3f}")


def line(name, pairs):
    gain = 100 * (1 - pairs[:, 0] / pairs[:, 1])
    log, brier = gain.T
    mean, half = mean_interval(log)
    shares = "".join(f"{100 * np.mean(log < limit):>{width}.1f}" for limit, width in ((-1e-9, 7), (-1, 6), (-5, 6)))
    return (
        f"{name:<26}{pairs[:, 0, 0].mean():>9.4f}{f'{mean:.2f} +- {half:.2f}':>17}{np.median(log):>8.2f}{shares}"
        f"{log.min():>8.2f}{brier.mean():>12.2f}{100 * np.mean(brier < -1):>6.1f}{brier.min():>8.2f}"
    )


def confident(n, k, rank=None, stretch=1.6):
    """Logits that are too large, and labels."""
    rng = np.random.default_rng(0)
    true = (
        2 * rng.normal(size=(n, k)) if rank is None else 0.3 * rng.normal(size=(n, rank)) @ rng.normal(size=(rank, k))
    )
    return stretch * true, (true + rng.gumbel(size=true.shape)).argmax(axis=1)


def temperatures(logits, y):
    """Fits of a temperature by other libraries, each given what it takes; the factor by which ours is to be faster."""
    fits = {}
    peer = getattr(importlib.import_module("sklearn.calibration"), "_TemperatureScaling", None)
    if peer is not None:
        fits["scikit-learn"] = partial(peer().fit, logits, y), 8
    proba = probabilities(logits, "logits")
    if importlib.util.find_spec("probmetrics"):
        from probmetrics.calibrators import get_calibrator

        least = 20 if logits.shape[1] == 1000 else 0
        fits["probmetrics"] = partial(get_calibrator("temp-scaling").fit, proba, y), least
    if importlib.util.find_spec("netcal"):
        from netcal.scaling import TemperatureScaling

        fits["netcal"] = partial(TemperatureScaling().fit, proba, y), 0
    return fits


def ratio(functions, repeats):
    """Median time of the first over that of the second."""
    took = list(interleaved(dict(enumerate(functions)), repeats).values())
    return took[0] / took[1]


def speed(report, small):
    """Ratios of times, both sides in one run."""
    report("")
    report(f"{'times, as ratios':<62}{'target':>9}")
    repeats = 1 if small else 3
    for n, k in ((2000, 10),) if small else ((200_000, 100), (50_000, 1000)):
        data = confident(n, k)
        ours = {"alone": partial(fit_inverse_temperature, *data), "fit": partial(Temperature().fit, *data)}
        peers = temperatures(*data)
        took = interleaved(ours | {name: fit for name, (fit, _) in peers.items()}, repeats)
        for name, (_, least) in peers.items():
            target = f">= {least}" if least else ""
            report(f"{f'{name} / temperature ({n} x {k})':<52}{took[name] / took['alone']:>10.1f}{target:>9}")
            report(f"{'  with checks and copies':<52}{took[name] / took['fit']:>10.1f}")
    data = confident(1500, 200, 64) if small else confident(25_000, 1000, 64)
    found = ratio((partial(MatrixScaling().fit, *data), partial(Temperature().fit, *data)), repeats)
    report(f"{f'MatrixScaling / Temperature {data[0].shape}':<52}{found:>10.1f}{'<= 5':>9}")
    for k in (2, 10, 26):
        data = confident(1000, k)
        found = ratio((partial(AutoCalibrator(random_state=0).fit, *data), partial(MatrixScaling().fit, *data)), 5)
        report(f"{f'AutoCalibrator / MatrixScaling (1000 x {k})':<52}{found:>10.1f}{'<= 8':>9}")


def main():
    warnings.simplefilter("ignore")
    started, small = time.perf_counter(), quick()
    report = Report("bench_calibration", small)
    quality(report, small)
    speed(report, small)
    report.keep()
    print(f"({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
