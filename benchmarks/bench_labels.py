"""Label errors found: find_label_errors beside its parts and cleanlab's ranking.

One in twenty labels is replaced by another class at random. Precision: how many of the first m are wrong, with m the
number of wrong labels; mean over splits with a 95 % interval. cleanlab ranks by its default, self-confidence, on
cross-validated probabilities of the same linear probe; it is left out where it is not installed. banking77 has label
noise of its own, which counts as an error of the ranking.
"""

import importlib.util

import numpy as np
from common import Report, mean_interval, quick, real_sets
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from abstain import LinearProbe, RelativeMahalanobis, find_label_errors


def rankings(X, labels, seed):
    """Samples by suspicion, the most suspect first, for every way."""
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    proba = cross_val_predict(LinearProbe(), X, labels, cv=folds, method="predict_proba")
    found = {"cross-validated probability": np.argsort(proba[np.arange(len(labels)), labels], kind="stable")}
    rmd = RelativeMahalanobis(loo=True).fit(X, labels)
    found["RMD, each left out"] = np.argsort(-rmd.training_difficulty(X, labels), kind="stable")
    if importlib.util.find_spec("cleanlab"):
        from cleanlab.rank import order_label_issues

        everything = np.ones(len(labels), dtype=bool)
        found["cleanlab, self-confidence"] = order_label_issues(everything, labels, proba)
    found["find_label_errors"] = find_label_errors(X, labels, random_state=seed).order
    return found


def main():
    report, small = Report("bench_labels", quick()), quick()
    for name, X, y, _ in real_sets():
        truth = np.unique(y, return_inverse=True)[1]
        precision = {}
        for seed in range(1 if small else 5):
            rng = np.random.default_rng(seed)
            rows = rng.permutation(len(truth))[: 500 if small else 20_000]
            codes, k = truth[rows], truth.max() + 1
            wrong = rng.random(len(codes)) < 0.05
            labels = np.where(wrong, (codes + rng.integers(1, k, len(codes))) % k, codes)
            for way, order in rankings(np.asarray(X)[rows].astype(np.float32), labels, seed).items():
                precision.setdefault(way, []).append(wrong[order[: wrong.sum()]].mean())
        for way, values in precision.items():
            mean, half = mean_interval(values)
            report(f"{name:<12}{way:<30}{mean:.3f} ± {half:.3f}")
        report("")
    report.keep()


if __name__ == "__main__":
    main()
