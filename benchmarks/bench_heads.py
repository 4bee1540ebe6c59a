"""Trust heads against maximum probability, on real tables and embeddings that are at hand.

Each row: AURC divided by that of maximum probability of the same classifier on the same test set, geometric mean over
splits, with a 95 % interval of the mean from the splits. Maximum probability is the first row, 1 by definition. "paper"
is the steep slope head on features alone, with outcomes of the training fit, as published. A row of 1.000 throughout
means that maximum probability took over: two classes rank alike by any score, or there were fewer than 20 errors to
learn from (an overfitted classifier makes none on its training data).
"""

import warnings

import numpy as np
from common import Report, mean_interval, quick, real_sets
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abstain import CorrectnessTrust, FocalTrust, SelectiveClassifier, SteepSlopeTrust, TCPTrust
from abstain.metrics import aurc
from abstain.scores import MaxLogitPNorm, RelU, entropy, gen, gini, margin, max_probability
from abstain.warnings import AbstainWarning

ROWS = {
    "margin": lambda clf: SelectiveClassifier(clf, margin, cv=3, random_state=0),
    "entropy": lambda clf: SelectiveClassifier(clf, entropy, cv=3, random_state=0),
    "Gini (DOCTOR)": lambda clf: SelectiveClassifier(clf, gini, cv=3, random_state=0),
    "GEN": lambda clf: SelectiveClassifier(clf, gen, cv=3, random_state=0),
    "MaxLogit-pNorm": lambda clf: SelectiveClassifier(clf, MaxLogitPNorm(), cv=3, random_state=0),
    "REL-U": lambda clf: SelectiveClassifier(clf, RelU(), cv=3, random_state=0),
    "correctness": lambda clf: CorrectnessTrust(clf, cv=3, guard=None, random_state=0),
    "correctness, 3:1": lambda clf: CorrectnessTrust(clf, error_weight=3.0, cv=3, guard=None, random_state=0),
    "focal": lambda clf: FocalTrust(clf, cv=3, guard=None, random_state=0),
    "TCP": lambda clf: TCPTrust(clf, cv=3, guard=None, random_state=0),
    "normalised TCP": lambda clf: TCPTrust(clf, ratio=True, cv=3, guard=None, random_state=0),
    "steep slope": lambda clf: SteepSlopeTrust(clf, cv=3, guard=None, random_state=0),
    "steep slope, paper": lambda clf: SteepSlopeTrust(
        clf, cv=3, guard=None, random_state=0, head_inputs="features", outcomes="training", unit_norm=True
    ),
}
BASES = {
    "linear": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=60, random_state=0),
}


def ratios(X, y, size, base, splits):
    """AURC ratio of every row on every split, and the mean accuracy."""
    found, accuracy = {name: [] for name in ROWS}, []
    for seed in range(splits):
        X_fit, X_test, y_fit, y_test = train_test_split(X, y, train_size=size, stratify=y, random_state=seed)
        for name, make in ROWS.items():
            model = make(BASES[base]()).fit(X_fit, y_fit)
            correct = model.predict(X_test) == y_test
            baseline = aurc(correct, max_probability(model.predict_proba(X_test)))
            found[name].append(aurc(correct, model.score_samples(X_test)) / baseline)
        accuracy.append(correct.mean())
    return found, float(np.mean(accuracy))


def interval(values):
    """Geometric mean with a 95 % interval from Student's t over splits."""
    mean, half = mean_interval(np.log(values))
    return tuple(float(np.exp(mean + d)) for d in (0, -half, half))


def main():
    small = quick()
    warnings.simplefilter("ignore", AbstainWarning)
    report = Report("bench_heads", small)
    columns = {}
    for name, X, y, size in real_sets(limit=800 if small else None):
        for base in BASES:
            few = len(np.unique(y)) <= 6  # boosting many classes thirteen times over is slow
            if (small and name not in ("digits", "spambase")) or (base == "boosting" and (small or not few)):
                continue
            splits = 2 if small else 3 if name == "banking77" else 5
            columns[f"{name} {base}"] = *ratios(X, y, size, base, splits), splits
    for name, (_, accuracy, splits) in columns.items():
        report(f"{name:<20} accuracy {accuracy:.3f}, {splits} splits")
    report("A cell of 1.000 [1.000, 1.000]: maximum probability took over, or any score ranks two classes alike.")
    report("")
    report(f"{'AURC / max. probability':<24}" + "".join(f"{name:>24}" for name in columns))
    report(f"{'maximum probability':<24}" + "".join(f"{'1.000':>24}" for _ in columns))
    for row in ROWS:
        cells = [interval(found[row]) for found, _, _ in columns.values()]
        report(f"{row:<24}" + "".join(f"{f'{m:.3f} [{low:.3f}, {high:.3f}]':>24}" for m, low, high in cells))
    report.keep()


if __name__ == "__main__":
    main()
