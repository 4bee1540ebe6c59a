"""AutoTrust where it could do harm: few samples a class, nothing to gain, unknown inputs; and what it costs.

*Few samples a class*: 200 Gaussian classes in 40 dimensions behind a frozen linear discriminant, 1 to 16 samples of
each to learn from, tested on fresh ones. *Nothing to gain*: the classifier gives the true posterior. *Unknown inputs*:
some classes are left out of everything and asked about; AUROC of known against unknown, and joint AURC, in which an
answered unknown is an error, as a ratio to that of maximum probability. RMD is relative Mahalanobis distance on the
same samples. *Cost*: 5,000 x 16 with 26 classes, and 20,000 x 1280 with 1000 classes behind a frozen linear head.
"""

import pickle
import re
import time
import warnings
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from bench_quality import FASHION, fashion
from common import Kept, Report, interleaved, mean_interval, quick, real_sets
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import abstain
from abstain.datasets import make_known_posterior
from abstain.metrics import aurc
from abstain.scores import max_probability

BUDGETS = "full", "fast"


class Posterior(ClassifierMixin, BaseEstimator):
    """The features are log-probabilities."""

    classes_ = np.arange(4)

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        exp = np.exp(X - X.max(axis=1, keepdims=True))
        return exp / exp.sum(axis=1, keepdims=True)


def few(seed, budget, size):
    """Ratio of the AURC, and mean score less accuracy."""
    rng = np.random.default_rng(seed)
    means = 0.75 * rng.normal(size=(200, 40))

    def draw(k):
        y = np.repeat(np.arange(200), k)
        return means[y] + rng.normal(size=(len(y), 40)), y

    clf, (X, y) = LinearDiscriminantAnalysis().fit(*draw(30)), draw(20)
    est = abstain.AutoTrust(FrozenEstimator(clf), budget=budget, random_state=0).fit(*draw(size))
    correct, score = clf.predict(X) == y, est.score_samples(X)
    ratio = aurc(correct, score) / aurc(correct, max_probability(clf.predict_proba(X)))
    return [float(ratio), float(score.mean() - correct.mean())]


def few_real(X, y, seed, budget, size, frozen):
    """The same on real samples: a linear classifier that was fitted elsewhere, or on the few themselves."""
    rng, classes = np.random.default_rng(seed), np.unique(y)
    rows = [rng.permutation(np.flatnonzero(y == label)) for label in classes]
    known, rest = (np.concatenate([of[part] for of in rows]) for part in (slice(size), slice(size, None)))
    elsewhere, test = np.split(rng.permutation(rest)[:5000], [2000])
    base = make_pipeline(StandardScaler(), abstain.LinearProbe())
    clf = FrozenEstimator(base.fit(X[elsewhere], y[elsewhere])) if frozen else base
    est = abstain.AutoTrust(clf, budget=budget, random_state=0).fit(X[known], y[known])
    evidence = est.evaluate(X[test])
    correct = classes[evidence.answer] == y[test]
    ratio = aurc(correct, evidence.score) / aurc(correct, max_probability(evidence.proba))
    return [float(ratio), float(evidence.score.mean() - correct.mean())]


def few_sets():
    """Yield (name, X, y)."""
    for name, X, y, _ in real_sets():
        if name in ("letter", "banking77"):
            yield name, X, y
    if FASHION.is_dir():
        yield from (found[:3] for found in fashion(6000))


def posterior(seed, budget):
    """Whether a stack was let through, and the ratio of the AURC."""
    _, y, proba = make_known_posterior(6000, n_classes=4, separation=1.5, random_state=seed)
    X = np.log(proba)
    est = abstain.AutoTrust(FrozenEstimator(Posterior()), budget=budget, random_state=0).fit(X[:1000], y[:1000])
    correct = proba[1000:].argmax(axis=1) == y[1000:]
    ratio = aurc(correct, est.score_samples(X[1000:])) / aurc(correct, max_probability(proba[1000:]))
    return [float(est.report_.chosen == "stack"), float(ratio)]


def unknown_sets():
    """Yield (name, X, y, number of classes that are left out)."""
    left_out = {"letter": 5, "satimage": 1, "banking77": 19}
    for name, X, y, _ in real_sets():
        if name in left_out:
            yield name, np.asarray(X, dtype=np.float32), np.unique(y, return_inverse=True)[1], left_out[name]
    if FASHION.is_dir():
        for name, X, y, _ in fashion(6000):
            yield name, X, y, 2


def unknown(X, y, n_out, seed, budget, size):
    """AUROC and joint AURC (as a ratio) of maximum probability, of RMD and of AutoTrust."""
    rng = np.random.default_rng(seed)
    out = np.isin(y, rng.choice(y.max() + 1, n_out, replace=False))
    known = rng.permutation(np.flatnonzero(~out))
    fit, test = known[:size], np.concatenate([known[size : size + 3000], rng.permutation(np.flatnonzero(out))[:1500]])
    base = make_pipeline(StandardScaler(), abstain.LinearProbe())
    est = abstain.AutoTrust(base, budget=budget, random_state=0).fit(X[fit], y[fit])
    rmd = abstain.RelativeMahalanobis().fit(X[fit], y[fit])
    top = max_probability(est.predict_proba(X[test]))
    inside, right = ~out[test], (est.predict(X[test]) == y[test]) & ~out[test]
    found = {}
    for name, score in (("max", top), ("rmd", rmd.score_samples(X[test])), ("auto", est.score_samples(X[test]))):
        found[name] = [float(roc_auc_score(inside, score)), float(aurc(right, score) / aurc(right, top))]
    return found


def peak():
    """Most memory that this process has held so far, MB; what is counted by `getrusage` begins with its parent's."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def cost(n, d, k, budget, new):
    """Seconds of the fit and of decisions beside the classifier's, megabytes of the scorer and of memory on top."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(k, d)).astype(np.float32) * (1.1 if d < 100 else 0.115)
    apart = means[rng.permutation(k)]

    def drawn(y):  # two clusters a class, which the classifier takes for one
        side = rng.choice([-1, 1], len(y)).astype(np.float32)[:, None]
        return means[y] + side * apart[y] + rng.normal(size=(len(y), d)).astype(np.float32)

    y = np.resize(np.arange(k), n)
    X, fresh = drawn(y), drawn(rng.integers(0, k, new))
    clf = (
        LogisticRegression(max_iter=500).fit(X, y) if d < 100 else abstain.linear_head(means, -0.5 * (means**2).sum(1))
    )
    warnings.simplefilter("ignore", abstain.warnings.AbstainWarning)
    before, started = peak(), time.perf_counter()
    frozen = clf if d >= 100 else FrozenEstimator(clf)
    est = abstain.AutoTrust(frozen, budget=budget, random_state=0).fit(X, y)
    fitted = time.perf_counter() - started
    asks = {"est": est.decide, "base": clf.predict_proba}
    asked = {(name, rows): partial(ask, fresh[:rows]) for name, ask in asks.items() for rows in (1, new)}
    seconds = interleaved(asked, 5)
    memory = peak() - before
    size = len(pickle.dumps(est.scorer_)) / 1e6
    more = 1e3 * (seconds["est", 1] - seconds["base", 1])
    return [fitted, seconds["est", new], seconds["est", new] / seconds["base", new], more, size, memory]


def main():
    warnings.simplefilter("ignore", abstain.warnings.AbstainWarning)
    small = quick()
    report, store = Report("bench_auto", small), Kept("bench_auto", small)
    seeds, budgets = range(1 if small else 5), BUDGETS[1:] if small else BUDGETS

    def kept(key, make, *arguments):
        if key not in store:
            store[key] = make(*arguments)
        return store[key]

    report("Few samples a class: AURC / max. probability, largest of the draws; mean score - accuracy, largest")
    for budget in budgets:
        for size in (1, 4) if small else (1, 2, 4, 8, 16):
            found = np.array([kept(f"few {budget} {size} {seed}", few, seed, budget, size) for seed in seeds])
            report(f"  {budget:<6}{size:>3} a class: {found[:, 0].max():.3f}   {np.abs(found[:, 1]).max():.3f}")
    report("The same on real sets: largest ratio; mean score - accuracy, mean of the draws (what so few samples say)")
    for name, X, y in () if small else few_sets():
        n_classes = len(np.unique(y))
        for frozen in (True, False):
            for size in (1, 2, 4, 8):
                if size == 1 and not frozen:
                    continue  # one sample a class cannot be held out
                line = f"  {name + (', frozen' if frozen else ', cross-fitted'):<30}{size:>3} a class:"
                said = 0.4 / np.sqrt(size * n_classes * len(seeds))  # standard error of an accuracy of .8
                for budget in budgets:
                    key = f"few {name} {'frozen' if frozen else 'cross'} {budget} {size}"
                    cells = [kept(f"{key} {seed}", few_real, X, y, seed, budget, size, frozen) for seed in seeds]
                    found = np.array(cells)
                    line += f"   {budget} {found[:, 0].max():.3f}  {found[:, 1].mean():+.3f}"
                report(f"{line}   (± {said:.3f})")
    draws = range(1 if small else 40)
    found = np.array([kept(f"posterior {seed}", posterior, seed, "full") for seed in draws])
    through = found[:, 0] > 0
    worst = found[through, 1].max() if through.any() else 1.0
    report(f"True posteriors: a stack in {through.sum()} of {len(draws)} draws; largest AURC ratio {worst:.3f}")
    report("")
    titles = "AUROC: max. prob.", "RMD", "AutoTrust", "joint AURC: RMD", "AutoTrust"
    report(f"{'Unknown inputs':<28}" + "".join(f"{title:>19}" for title in titles))
    for name, X, y, n_out in unknown_sets():
        if small and name != "satimage":
            continue
        size = 800 if small else 3000
        cells = [kept(f"unknown {name} {seed}", unknown, X, y, n_out, seed, "full", size) for seed in seeds]
        line = f"  {name + f', {n_out} left out':<26}"
        for row, column in (("max", 0), ("rmd", 0), ("auto", 0), ("rmd", 1), ("auto", 1)):
            mean, half = mean_interval([cell[row][column] for cell in cells])
            line += f"{f'{mean:.3f} ± {half:.3f}':>19}"
        report(line)
    report("")
    report("Cost: fit, s; decisions, s; times the classifier; one row more, ms; scorer, MB; memory on top, MB")
    for n, d, k, new in ((1000, 16, 10, 2000),) if small else ((5000, 16, 26, 10_000), (20_000, 1280, 1000, 5000)):
        for budget in budgets:
            # in a process of its own, whose memory is that of nothing else
            with get_context("spawn").Pool(1) as alone:
                found = kept(f"cost {n} {d} {k} {budget}", alone.apply, cost, (n, d, k, budget, new))
            numbers = "".join(f"{value:>10.2f}" for value in found)
            report(f"  {f'{n} x {d}, {k} classes, {budget}':<38}{numbers}  ({new} decisions)")
    report.keep()


if __name__ == "__main__":
    main()
