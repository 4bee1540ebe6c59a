"""
Errors and novelties: which score serves which
==============================================

A classifier in use meets samples that it gets wrong, and samples that belong to no class it knows. A score may be
good at one and useless at the other. Here the classifier knows the digits 0 to 7; the 8 and the 9 are new to it but not
far off, and negatives of the known digits are far off.
"""

# %%
# Train on the known digits; test on known and unknown ones together.
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abstain import (
    SIRC,
    AutoTrust,
    Mahalanobis,
    NearestNeighbours,
    RelativeMahalanobis,
    SelectiveClassifier,
    ViM,
)
from abstain.datasets import load_hard_digits
from abstain.metrics import aurc
from abstain.scores import energy, max_probability

X, y = load_hard_digits(noise=3)
known = y < 8
X_fit, X_test, y_fit, y_test = train_test_split(X[known], y[known], train_size=700, stratify=y[known], random_state=0)
near, far = X[~known], X_test.max() - X_test
classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))

# %%
# All scores are asked in the same way. SIRC puts a novelty score behind maximum probability; here it is the relative
# Mahalanobis distance, fitted on the training features.
novelty = RelativeMahalanobis().fit(X_fit, y_fit)
logits = {"response_method": "decision_function"}
SCORES = {
    "maximum probability": (max_probability, {}),
    "energy": (energy, logits),
    "ViM": (ViM(), logits),
    "Mahalanobis": (Mahalanobis(), {}),
    "relative Mahalanobis": (RelativeMahalanobis(), {}),
    "neighbour distance": (NearestNeighbours(), {}),
    "SIRC with rel. Mahalanobis": (SIRC(novelty.score_samples), {}),
}
models = {
    name: SelectiveClassifier(classifier, scorer, cv=3, random_state=0, **options).fit(X_fit, y_fit)
    for name, (scorer, options) in SCORES.items()
}
models["AutoTrust"] = AutoTrust(classifier, cv=3, random_state=0).fit(X_fit, y_fit)


# %%
# Three questions: does the score tell right from wrong among the known? The known from the new, near and far? And, in
# a stream of all three where an answer to a novelty is always wrong, what is the area under the risk-coverage curve?
def auroc(good, bad):
    return roc_auc_score(np.r_[np.ones(len(good)), np.zeros(len(bad))], np.r_[good, bad])


print(f"{'score':<28}{'errors':>9}{'near':>9}{'far':>9}{'AURC of all':>14}")
table = {}
for name, model in models.items():
    right = model.predict(X_test) == y_test
    inside, new = model.score_samples(X_test), [model.score_samples(part) for part in (near, far)]
    correct = np.r_[right, np.zeros(len(near) + len(far), dtype=bool)]
    mixed = aurc(correct, np.concatenate([inside, *new]))
    table[name] = auroc(inside[right], inside[~right]), auroc(inside, new[0]), auroc(inside, new[1]), mixed
    print(f"{name:<28}" + "".join(f"{value:>9.3f}" for value in table[name][:3]) + f"{mixed:>14.4f}")

# %%
# Distances see what is far and little else; scores of the probabilities see errors, and are fooled by what is far. SIRC
# keeps the order of maximum probability among the known and turns away what its second score finds new. AutoTrust has
# learnt from errors alone and promises nothing of novelties; its distances and second opinions serve it here.
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 4, figsize=(11, 3.6), layout="constrained", sharey=True)
titles = ("errors, AUROC", "near novelties, AUROC", "far novelties, AUROC", "all in one stream, AURC")
for j, (ax, title) in enumerate(zip(axes, titles, strict=True)):
    values = [row[j] for row in table.values()]
    best = min(values) if j == 3 else max(values)
    ax.barh(list(table), values, color=["tab:orange" if abs(value - best) < 0.005 else "0.75" for value in values])
    ax.set_title(title, fontsize=10)
    ax.set_xlim(0 if j == 3 else 0.4, max(values) * 1.15)
    for i, value in enumerate(values):
        ax.text(max(value, ax.get_xlim()[0]) + 0.005, i, f"{value:.2f}", va="center", fontsize=8)
axes[0].invert_yaxis()
figure.suptitle("Which score serves which (AUROC: more is better; AURC: less is better)")
