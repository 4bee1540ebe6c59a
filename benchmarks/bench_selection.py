"""Learned selection against softmax response: selective error at fixed coverages, AURC, and the coverage that is got.

First row: softmax response of a linear probe. "network" is the same body as that of the learned selectors, trained by
cross-entropy (self-adaptive training with momentum 1). A method stands in two rows: its own score, and the softmax
response of its own network, each from a fit whose epoch was chosen by that score. SelectiveNet and SYNC are trained
once for each coverage, and once for all ("one fit"); their error at 1, AURC and softmax response are those of the
network for 0.8. "post hoc" selectors stand behind the probe, one fit for all. Networks learn from four fifths of the
training set, and the rest chooses the epoch; probe and AutoTrust learn from all of it, selectors behind the probe from
four fifths of its held-out predictions.

Errors are per cent of the accepted part of the test set, mean over seeds with a 95 % interval of the mean (Student's
t); a seed draws the split and everything else. The ImageNet sample has one image a class, so that nothing but a frozen
network can predict there. Results are kept in benchmarks/results/bench_selection.json seed by seed; `--fresh` forgets
them, `--only=letter` runs some sets, `--auto` does the row of AutoTrust again, `--kept` prints what is there.
"""

import sys
import warnings

import numpy as np
from bench_quality import FASHION, fashion
from common import DATA, Kept, Report, argument, mean_interval, quick, real_sets
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import abstain
from abstain.metrics import aurc, risk_at_coverage
from abstain.warnings import AbstainWarning

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
TRAINED = COVERAGES[1:]
MAIN = 0.8
PER_COVERAGE = {"SelectiveNet": abstain.SelectiveNetClassifier, "SYNC": abstain.SYNCClassifier}
ONCE = {"Deep Gamblers": abstain.GamblersClassifier, "self-adaptive": abstain.SelfAdaptiveClassifier}


ROWS = (
    "probe, softmax", "SelectiveNet, post hoc", "SYNC, post hoc", "Deep Gamblers, post hoc", "SYNC, post hoc, auto",
    "AutoTrust", "network, softmax", "network, entropy .01", "SelectiveNet", "SelectiveNet, one fit",
    "SelectiveNet, softmax", "SYNC", "SYNC, one fit", "SYNC, softmax", "SYNC, auto", "Deep Gamblers",
    "Deep Gamblers, softmax", "self-adaptive", "self-adaptive, softmax",
)  # fmt: skip


class SavedLayer(ClassifierMixin, BaseEstimator):
    """The last layer of a network, on its features."""

    def __init__(self, weights=None, bias=None):
        self.weights = weights
        self.bias = bias
        self.classes_ = np.arange(len(bias)) if bias is not None else None

    def predict_proba(self, X):
        return softmax(np.asarray(X, dtype=np.float64) @ self.weights.T + self.bias, axis=1)


def probe():
    return make_pipeline(StandardScaler(), abstain.LinearProbe())


class Cell:
    """One split of one set: what every row gives on it."""

    def __init__(self, X, y, sizes, seed, base, small):
        n_fit, n_cal, n_test = sizes
        order = np.random.default_rng(seed).permutation(len(y))
        self.fit_rows, cal, test = np.split(order[: n_fit + n_cal + n_test], [n_fit, n_fit + n_cal])
        self.X, self.y, self.X_cal, self.y_cal, self.X_test, self.y_test = X, y, X[cal], y[cal], X[test], y[test]
        self.seed, self.base = seed, base
        self.training = abstain.Training(epochs=20, lr=3e-3, batch_size=256) if small else None
        self.trained = [MAIN] if small else list(TRAINED)
        self.rows, self.coverage = {}, []

    def fitted(self, kind, *arguments, **options):
        options = {"random_state": self.seed, **options}
        if kind not in (abstain.SelectiveClassifier, abstain.AutoTrust):
            options["training"] = self.training
        return kind(*arguments, **options).fit(self.X[self.fit_rows], self.y[self.fit_rows])

    def row(self, name, model, at=None):
        """Errors by the score of a model, at every coverage or at those given, and its AURC."""
        correct, score = model.predict(self.X_test) == self.y_test, model.score_samples(self.X_test)
        row = self.rows.setdefault(name, {})
        for c in COVERAGES if at is None else at:
            row[str(c)] = 100 * float(risk_at_coverage(correct, score, c))
        if at is None or MAIN in at:
            row["AURC"] = 1000 * float(aurc(correct, score))

    def one_fit(self, name, model):
        """A row from one fit with a selector for each coverage."""
        for target in self.trained:
            self.row(name, model.at(target), [1.0, target] if target == MAIN else [target])
            self.coverages(name, model.at(target), target)

    def coverages(self, name, model, target, alone=True):
        """Coverage asked for, got by the selector alone, and got after the policy has seen the calibration set."""
        alone = float((model.score_samples(self.X_test) > 0).mean()) if alone else np.nan
        model.fit_policy(self.X_cal, self.y_cal, abstain.TargetCoverage(target))
        got = float(model.accept(self.X_test).mean())
        spread = np.sqrt(target * (1 - target) * (1 / len(self.y_cal) + 1 / len(self.y_test)))
        self.coverage.append([name, target, alone, got, float(1.96 * spread)])


def post_hoc(cell):
    plain = cell.fitted(abstain.SelectiveClassifier, cell.base())
    cell.row("probe, softmax", plain)
    for name, kind in PER_COVERAGE.items():
        cell.one_fit(f"{name}, post hoc", cell.fitted(
            kind, cell.base(), coverage=MAIN, coverages=cell.trained, rank_by="selector"
        ))  # fmt: skip
    cell.row("Deep Gamblers, post hoc", cell.fitted(abstain.GamblersClassifier, cell.base(), rank_by="selector"))
    cell.row("SYNC, post hoc, auto", cell.fitted(abstain.SYNCClassifier, cell.base(), coverage=MAIN))


def auto_trust(cell):
    cell.row("AutoTrust", cell.fitted(abstain.AutoTrust, cell.base()))


def joint(cell):
    network = cell.fitted(abstain.SelfAdaptiveClassifier, momentum=1.0, rank_by="softmax")
    cell.row("network, softmax", network)
    cell.row("network, entropy .01", cell.fitted(
        abstain.SelfAdaptiveClassifier, momentum=1.0, rank_by="softmax", entropy=0.01
    ))  # fmt: skip
    for name, kind in PER_COVERAGE.items():
        for target in cell.trained:
            model = cell.fitted(kind, coverage=target, rank_by="selector")
            cell.row(name, model, [1.0, target] if target == MAIN else [target])
            cell.coverages(name, model, target)
        cell.row(f"{name}, softmax", cell.fitted(kind, coverage=MAIN, rank_by="softmax"))
        cell.one_fit(f"{name}, one fit", cell.fitted(kind, coverage=MAIN, coverages=cell.trained, rank_by="selector"))
    for name, kind in ONCE.items():
        model = cell.fitted(kind, rank_by="selector")
        cell.row(name, model)
        for target in cell.trained:
            cell.coverages(name, model, target, alone=False)
        cell.row(f"{name}, softmax", cell.fitted(kind, rank_by="softmax"))
    cell.row("SYNC, auto", cell.fitted(abstain.SYNCClassifier, coverage=MAIN))


def sets(small):
    """Yield (name, X, y, sizes of fit, calibration and test, base, whether a network can be trained, seeds)."""
    for name, X, y, _ in real_sets():
        if name in ("letter", "banking77") and not small:
            yield name, X, y, (4000, 2000, 6000), probe, True, 3
        if name == "digits" and small:
            yield name, X, y, (800, 400, 500), probe, True, 1
    if small:
        return
    for name, X, y, _ in fashion() if FASHION.is_dir() else ():
        if name == "fashion Lite0":
            yield name, X, y, (4000, 2000, 4000), probe, True, 3
    if (DATA / "imagenet_sample_lite0.npz").exists():
        saved = np.load(DATA / "imagenet_sample_lite0.npz")
        layer = SavedLayer(saved["fc_weight"].astype(np.float64), saved["fc_bias"].astype(np.float64))
        X, y = saved["features"].astype(np.float32), saved["labels"].astype(int)
        yield "ImageNet sample", X, y, (400, 200, 400), lambda: FrozenEstimator(layer), False, 5


def table(report, name, cells):
    columns = [*(str(c) for c in COVERAGES), "AURC"]
    report("")
    report(f"{name}: {len(cells)} seeds; error in % at a coverage, and AURC x 1000")
    report(f"{'':<24}" + "".join(f"{column:>16}" for column in columns))
    for row in (name for name in ROWS if name in cells[0]["rows"]):
        found = [shown([cell["rows"][row][c] for cell in cells if c in cell["rows"][row]]) for c in columns]
        report(f"{row:<24}" + "".join(f"{cell:>16}" for cell in found))


def claim(report, results):
    """Error of SYNC less that of SelectiveNet, trained alike, set by set."""
    report("")
    report("SYNC less SelectiveNet, error in points, mean over seeds with a 95 % interval")
    report(f"{'':<40}" + "".join(f"{c:>16}" for c in TRAINED))
    pairs = {"selector": "", "selector, one fit": ", one fit", "softmax response": ", softmax",
             "selector, post hoc": ", post hoc"}  # fmt: skip
    for label, suffix in pairs.items():
        for name, cells in results.items():
            both = [
                (cell["rows"].get(f"SYNC{suffix}", {}), cell["rows"].get(f"SelectiveNet{suffix}", {})) for cell in cells
            ]
            differences = {c: [mine[c] - theirs[c] for mine, theirs in both if c in mine] for c in map(str, TRAINED)}
            if any(differences.values()):
                found = [shown(values, "+") for values in differences.values()]
                report(f"{f'{label}, {name}':<40}" + "".join(f"{cell:>16}" for cell in found))


def shown(values, sign=""):
    """Mean and half of the interval; "-" where nothing was measured, no interval where it was once."""
    if not len(values):
        return "-"
    mean, half = mean_interval(values)
    return f"{mean:{sign}.2f}" if np.isnan(half) else f"{mean:{sign}.2f} +- {half:.2f}"


def coverage_table(report, results):
    report("")
    report("Coverage got less coverage asked for, on test data, in points: largest and mean absolute miss over sets,")
    report("seeds and coverages; by the selector alone (log-odds > 0), and after the policy on a calibration set, with")
    report("the share of cases inside the 95 % interval of the two samples' binomial noise")
    report(f"{'':<24}{'alone: mean':>14}{'largest':>10}{'policy: mean':>15}{'largest':>10}{'inside':>18}")
    entries = [entry for cells in results.values() for cell in cells for entry in cell["coverage"]]
    for name in dict.fromkeys(entry[0] for entry in entries):
        mine = np.array([entry[1:] for entry in entries if entry[0] == name])
        alone, got = 100 * np.abs(mine[:, 1] - mine[:, 0]), 100 * np.abs(mine[:, 2] - mine[:, 0])
        inside = np.abs(mine[:, 2] - mine[:, 0]) <= mine[:, 3]
        trained = ["-", "-"] if np.isnan(alone).any() else [f"{alone.mean():.1f}", f"{alone.max():.1f}"]
        report(
            f"{name:<24}{trained[0]:>14}{trained[1]:>10}{got.mean():>15.2f}{got.max():>10.2f}"
            f"{f'{inside.sum()} of {len(inside)}':>18}"
        )


def main():
    small = quick()
    warnings.simplefilter("ignore", AbstainWarning)
    report, store = Report("bench_selection", small), Kept("bench_selection", small)
    only, again = [name for name in argument("only").split(",") if name], "--auto" in sys.argv
    for name, X, y, sizes, base, trainable, seeds in () if "--kept" in sys.argv else sets(small):
        if only and name not in only:
            continue
        parts = [auto_trust] if again else [post_hoc, auto_trust, *([joint] if trainable else [])]
        for seed in range(seeds):
            key = f"{name} {seed}"
            if key not in store or again:
                cell, known = Cell(X, y, sizes, seed, base, small), store.get(key)
                for part in parts:
                    part(cell)
                rows, coverage = known.get("rows", {}), known.get("coverage", [])
                store[key] = {"rows": rows | cell.rows, "coverage": coverage + cell.coverage}
    results = {}
    for key in sorted(store):
        name = key.rsplit(" ", 1)[0]
        if not only or name in only:
            results.setdefault(name, []).append(store[key])
    for name, cells in results.items():
        table(report, name, cells)
    claim(report, results)
    coverage_table(report, results)
    if not only:
        report.keep()


if __name__ == "__main__":
    main()
