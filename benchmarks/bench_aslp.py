"""Does adaptive label perturbation calibrate, and keep accuracy, behind a classifier of features?

A logistic regression with next to no penalty is trained on part of the rows, on which it is too sure. The calibrators
learn from these rows and from others that it has not seen, as they ask; a temperature learns from the others alone.
Tested on fresh rows, and on the same rows under noise of half a standard deviation. Tables, sentence embeddings
(banking77), and features of Fashion-MNIST images by a frozen EfficientNet-Lite0, where bench_quality has left them.
"""

import time
import warnings

import numpy as np
from bench_calibration import fashion
from common import Report, mean_interval, quick, real_sets
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from abstain.calibration import ASLPCalibrator, Temperature
from abstain.metrics import aurc, calibration_report

N_SEEDS = 5
COLUMNS = ("log-loss", "Brier", "ECE-15", "accuracy", "AURC")


def calibrators(small):
    """Name -> calibrator, and whether it learns from training rows, too."""
    yield "temperature", lambda clf: Temperature(clf), False
    for mode in ("mei",) if small else ("mc", "mei", "gap"):
        for head in ("temperature", "linear"):
            for final in (False, True):
                name = f"ASLP-{mode.upper()}, {head}{' + temperature' if final else ''}"

                def make(clf, mode=mode, head=head, final=final):
                    return ASLPCalibrator(clf, mode=mode, head=head, final_temperature=final, random_state=0)

                yield name, make, True


def measured(proba, y):
    row = calibration_report(y, proba, n_resamples=0).overall
    return row.log_loss, row.brier, row.ece, row.frequency, aurc(proba.argmax(axis=1) == y, proba.max(axis=1))


def one_seed(X, y, seed, small):
    """Measures of every row, on fresh rows and on noisy ones."""
    n = 300 if small else min(2500, len(y) // 3)
    X_fit, X_rest, y_fit, y_rest = train_test_split(X, y, train_size=n, stratify=y, random_state=seed)
    scaler = StandardScaler().fit(X_fit)
    X_fit, X_rest = scaler.transform(X_fit), scaler.transform(X_rest)
    X_held, X_test, y_held, y_test = train_test_split(X_rest, y_rest, train_size=n // 2, random_state=seed)
    X_test, y_test = X_test[:3000], y_test[:3000]
    noisy = X_test + 0.5 * np.random.default_rng(seed).normal(size=X_test.shape)
    clf = FrozenEstimator(LogisticRegression(C=1e3, max_iter=2000).fit(X_fit, y_fit))
    both, labels = np.concatenate([X_fit, X_held]), np.concatenate([y_fit, y_held])
    held_out = np.arange(len(labels)) >= len(y_fit)
    models = {"raw": clf}
    for name, make, all_rows in calibrators(small):
        model = make(clf)
        models[name] = model.fit(both, labels, held_out=held_out) if all_rows else model.fit(X_held, y_held)
    return {
        where: {name: measured(model.predict_proba(data), y_test) for name, model in models.items()}
        for where, data in (("fresh rows", X_test), ("noisy rows", noisy))
    }


def problems(small):
    """Name, features and labels."""
    wanted = ("digits",) if small else ("digits", "satimage", "spambase", "banking77")
    yield from ((name, X, y) for name, X, y, _ in real_sets() if name in wanted)
    yield from ((name, X, y) for name, X, y in (() if small else fashion()) if name == "fashion Lite0")


def main():
    warnings.simplefilter("ignore")
    started, small = time.perf_counter(), quick()
    report = Report("bench_aslp", small)
    for title, X, y in problems(small):
        codes = np.unique(y, return_inverse=True)[1]
        seeds = [one_seed(X, codes, seed, small) for seed in range(1 if small else N_SEEDS)]
        for where in seeds[0]:
            report(
                f"{title}, {where}: temperature, and differences to it; mean +- 95 % interval over {len(seeds)} splits"
            )
            report(f"{'':<34}" + "".join(f"{name:>19}" for name in COLUMNS))
            base = np.array([seed[where]["temperature"] for seed in seeds])
            for name in seeds[0][where]:
                values = np.array([seed[where][name] for seed in seeds])
                shown = values if name == "temperature" else values - base
                sign = "" if name == "temperature" else "+"
                cells = [mean_interval(column) for column in shown.T]
                report(f"{name:<34}" + "".join(f"{f'{mean:{sign}.4f}+-{half:.4f}':>19}" for mean, half in cells))
            report("")
    report.keep()
    print(f"({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
