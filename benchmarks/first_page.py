"""The picture and the table of the README: how many answers may be given at a certified error rate.

In every case a classifier is fitted on one part of the data; the score learns on a second part that the classifier has
not seen; a third part certifies a threshold at the error rate named, with confidence 0.95; and the share answered and
the error rate among the answers are measured on the rest. Means over splits, 95 % intervals. "Maximum probability" is
the same classifier, certified on the same third part with the same policy.
"""

import sys
from pathlib import Path

import numpy as np
from bench_quality import FASHION, fashion
from common import DATA, Kept, Report, mean_interval, quick
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import abstain
from abstain.metrics import risk_coverage_curve

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "first_page.svg"
SCORES = {
    "maximum probability": lambda clf: abstain.SelectiveClassifier(clf),
    "AutoTrust, fast": lambda clf: abstain.AutoTrust(clf, budget="fast", random_state=0),
    "AutoTrust": lambda clf: abstain.AutoTrust(clf, random_state=0),
}


def network():
    return make_pipeline(StandardScaler(), MLPClassifier((100,), max_iter=60, random_state=0))


def cases():
    """Yield (name, X, y, classifier, certified error rate); of ImageNet the classifier is there already."""
    if (DATA / "tabular.npz").exists():
        saved = np.load(DATA / "tabular.npz")
        X, y = saved["letter_X"], saved["letter_y"]
        yield "letter, logistic regression", X, y, make_pipeline(StandardScaler(), abstain.LinearProbe()), 0.05
        yield "letter, random forest", X, y, RandomForestClassifier(100, random_state=0), 0.02
    if FASHION.is_dir():
        for name, X, y, _ in fashion():
            if name == "fashion raw":
                yield "Fashion-MNIST images, a network", X, y, network(), 0.05
    if (DATA / "imagenet_sample_lite0.npz").exists():
        saved = np.load(DATA / "imagenet_sample_lite0.npz")
        head = abstain.linear_head(saved["fc_weight"], saved["fc_bias"])
        yield "ImageNet sample, EfficientNet-Lite0", saved["features"].astype(np.float32), saved["labels"], head, 0.1


def one_split(X, y, clf, risk, seed):
    """For every score: share answered, error rate of the answers, and the curve."""
    trained = hasattr(clf, "coef_") or type(clf).__name__ == "FrozenEstimator"
    rows = np.random.default_rng(seed).permutation(len(y))
    if trained:
        parts = np.split(rows, [int(0.3 * len(y)), int(0.7 * len(y))])
    else:
        first, rest = rows[: int(0.3 * len(y))], rows[int(0.3 * len(y)) :]
        clf = FrozenEstimator(clf.fit(X[first], y[first]))
        parts = np.split(rest, [int(len(rest) * 0.35), int(len(rest) * 0.7)])
    fit, cal, test = parts
    found = {}
    for name, make in SCORES.items():
        est = make(clf).fit(X[fit], y[fit]).fit_policy(X[cal], y[cal], abstain.TargetRisk(risk, delta=0.05))
        evidence = est.evaluate(X[test])
        correct, accept = est.classes_[evidence.answer] == y[test], est.policy_.accept(evidence.score)
        found[name] = {
            "answered": float(accept.mean()), "error": float((~correct[accept]).mean()) if accept.any() else 0.0,
            "certified": bool(est.policy_.certificate_.guaranteed), "accuracy": float(correct.mean()),
        }  # fmt: skip
        if seed == 0:
            coverage, risks = risk_coverage_curve(correct, evidence.score)[:2]
            kept = np.linspace(0, len(coverage) - 1, 200).astype(int)
            found[name]["curve"] = [coverage[kept].tolist(), risks[kept].tolist()]
    return found


def draw(name, cell, risk):
    """The picture: both curves, and the certified dots."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "abstain"
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
    for score, color in (("maximum probability", "0.45"), ("AutoTrust", "tab:blue")):
        one = cell[score]
        ax.plot(100 * np.array(one["curve"][0]), 100 * np.array(one["curve"][1]), color=color, lw=2, label=score)
        if one["certified"]:
            ax.plot(100 * one["answered"], 100 * one["error"], "o", color=color, ms=9)
            ax.annotate(
                f"{100 * one['answered']:.0f} % answered", (100 * one["answered"], 100 * one["error"]),
                xytext=(8, -14), textcoords="offset points", color=color, fontweight="bold",
            )  # fmt: skip
    ax.axhline(100 * risk, color="tab:red", ls="--", lw=1)
    ax.text(1, 100 * risk, f" promised: at most {100 * risk:g} % errors, confidence 95 %", color="tab:red", va="bottom")
    ax.set(xlim=(0, 100), ylim=(0, None), xlabel="Share answered, %", ylabel="Errors among the answers, %")
    gain = cell["AutoTrust"]["answered"] / max(cell["maximum probability"]["answered"], 1e-9)
    ax.set_title(f"{gain:.1f} times as many answers at the same certified error rate\n({name})", fontsize=11)
    ax.legend(loc="upper left", frameon=False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    fig.savefig(PICTURE, metadata={"Date": None})


def main():
    small = quick()
    report, store = Report("first_page", small), Kept("first_page", small)
    report(f"{'':<38}{'accuracy':>9}{'at most':>9}  " + "".join(f"{score:>24}" for score in SCORES))
    for name, X, y, clf, risk in cases():
        if small:
            X, y = X[:3000], y[:3000]
        cells = []
        for seed in range(1 if small else 5):
            key = f"{name} {seed}"
            if "--kept" not in sys.argv and key not in store:
                store[key] = one_split(X, y, clf, risk, seed)
            cells.append(store[key])
        if name.startswith("letter, logistic") and not small:
            draw(name, cells[0], risk)
        line = f"{name:<38}{np.mean([c['AutoTrust']['accuracy'] for c in cells]):>9.3f}{risk:>9g}  "
        for score in SCORES:
            mean, half = mean_interval([100 * c[score]["answered"] for c in cells])
            error = 100 * np.mean([c[score]["error"] for c in cells])
            line += f"{f'{mean:.0f} ± {half:.0f} % ({error:.1f})':>24}"
        report(line)
    report("")
    report("Share answered, in brackets the error rate among the answers, %; means over splits.")
    report.keep()


if __name__ == "__main__":
    main()
