"""
Coarser answers: "dog" instead of silence
=========================================

A network with 1,000 classes is sure of "dog" long before it is sure of the breed. `HierarchicalClassifier` answers with
the most specific node of a class tree that it can stand behind, and `CostSensitiveClassifier` with the class whose
mistakes are expected to cost least.
"""

# %%
# Saved logits of a network on real images, one for each class of ImageNet, and the class tree of WordNet that comes
# with the package. Where the images are not at hand, handwritten digits and a tree grown from their features stand in.
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import softmax

from abstain import ClassSemantics, ConformalRisk, HierarchicalClassifier
from abstain.calibration import Temperature
from abstain.decisions import least_expected_cost
from abstain.metrics import MistakeDistanceDisplay, haurc, hierarchical_risk_coverage_curve, severity_report
from abstain.outputs import ClassOutputs
from abstain.semantics import DARTS, AnswerTreeDisplay, Climb, LeafOrRoot, MaxCoverage

DATA = Path(os.environ.get("ABSTAIN_DATA", "../shared/data"))


def imagenet_sample():
    saved = np.load(DATA / "imagenet_sample_lite0.npz")
    files = [next((DATA / "imagenet_sample" / synset).iterdir())
             for synset in (DATA / "imagenet_synsets.txt").read_text().split()]  # fmt: skip
    semantics = ClassSemantics.imagenet()
    return saved["logits"].astype(float), saved["labels"], semantics, lambda i: plt.imread(files[saved["labels"][i]])


def digits():
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    X, y = load_digits(return_X_y=True)
    noisy = X + np.random.default_rng(0).normal(scale=6.0, size=X.shape)
    semantics = ClassSemantics.from_features(X[:600], y[:600])
    network = LogisticRegression(C=0.01, max_iter=1000).fit(noisy[:600], y[:600])
    return network.decision_function(noisy[600:]), y[600:], semantics, lambda i: noisy[600 + i].reshape(8, 8)


logits, y, semantics, image = imagenet_sample() if DATA.is_dir() else digits()
calibration, test = np.array_split(np.random.default_rng(0).permutation(len(y)), 2)
print(semantics)

# %%
# Decisions weigh probabilities, so these come first: one temperature.
temperature = Temperature().fit(ClassOutputs(logits[calibration], "logits"), y[calibration])
proba = softmax(temperature.transform(logits), axis=1)
print(f"temperature {temperature.temperature_:.2f}")

# %%
# The node is that of largest expected reward (`DARTS`), where a right answer earns what it says and a bonus for being
# right. How large a bonus is the threshold, and `ConformalRisk` promises that at most a tenth of the samples is
# answered wrongly, on average over calibration sets: an answer is right if the true class is under it.
tree = semantics.tree
ladder = DARTS().ladder(proba, tree)
policy = ConformalRisk(0.1).fit(ladder.until[calibration], loss=ladder.losses(y)[calibration])
nodes = ladder.at(policy.threshold_)[:, 0]
wrong = ~tree.contains[nodes, y]
print(policy.certificate_)
classes, nothing = nodes[test] < tree.n_classes, nodes[test] == tree.root
print(f"fresh images: {wrong[test].mean():.3f} answered wrongly")
print(f"{classes.mean():.2f} with a class, {(~classes & ~nothing).mean():.2f} coarser, {nothing.mean():.2f} not at all")
leaf = LeafOrRoot().ladder(proba, tree)
alone = ConformalRisk(0.1).fit(leaf.until[calibration], loss=leaf.losses(y)[calibration])
silent = leaf.at(alone.threshold_)[:, 0] == tree.root
print(f"without a hierarchy: {silent[test].mean():.2f} not at all")

# %%
# The same as an estimator, around a frozen classifier; here the data are the logits, and the classifier hands them on.
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator


class Saved(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = semantics.classes
        return self

    def predict_proba(self, X):
        return softmax(X, axis=1)


est = HierarchicalClassifier(
    FrozenEstimator(Saved().fit(logits, y)), semantics, calibrator=Temperature(), random_state=0
).fit(logits[calibration[:250]], y[calibration[:250]])
est.fit_policy(logits[calibration[250:]], y[calibration[250:]])
print(est.report_)
print(f"coverage by information {est.information(logits[test]).mean():.2f}")

# %%
# What is said of some images: coarser answers that are right, from fine to coarse, and two that are not.
names = [*semantics.names, *map(str, tree.labels[tree.n_classes :])]
coarse = test[(nodes[test] >= tree.n_classes) & (nodes[test] != tree.root)]
right = coarse[~wrong[coarse]]
some = [*right[np.argsort(tree.n_leaves[nodes[right]])][:: max(1, len(right) // 6)][:6], *coarse[wrong[coarse]][:2]]
figure, axes = plt.subplots(2, 4, figsize=(12, 6.6), layout="constrained")
for ax in axes.flat:
    ax.set_axis_off()
for ax, i in zip(axes.flat, some, strict=False):
    ax.imshow(image(i), cmap="gray_r")
    ax.set_title(
        f"says: {names[nodes[i]]}\nalone: {names[proba[i].argmax()]} ({proba[i].max():.2f})\ntruth: {names[y[i]]}",
        fontsize=9, loc="left", color="tab:red" if wrong[i] else "black",
    )  # fmt: skip

# %%
# Why that node: the probabilities of the tree, for one of them.
i = some[0]
AnswerTreeDisplay.from_predictions(proba[i], semantics, answer=tree.labels[nodes[i]], truth=semantics.classes[y[i]])
plt.title("One image: a coarser answer is worth less, and more often right", fontsize=9, loc="left")
plt.tight_layout()

# %%
# How much can be said at which error: the area under each curve is one number for a rule.
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for rule in (LeafOrRoot(), Climb(), MaxCoverage(), DARTS()):
    answers = rule.ladder(proba[test], tree)
    coverage, risk, _ = hierarchical_risk_coverage_curve(y[test], answers)
    ax.plot(coverage, risk, label=f"{type(rule).__name__}: area {1000 * haurc(y[test], answers):.1f} / 1000")
ax.set(xlabel="Mean information of the answers", ylabel="Share of wrong answers", xlim=(0, 1), ylim=(0, None))
ax.set_title("What is said at which error: DARTS says more", loc="left", fontsize=10)
ax.legend()

# %%
# Which class, if it must be a class: the one of least expected distance to the truth.
distance = semantics.distance("lca_depth")
cheapest, _ = least_expected_cost(proba, distance)
answers = {"likeliest class": proba[test].argmax(axis=1), "least expected distance": cheapest[test]}
for name, given in answers.items():
    print(f"{name}\n{severity_report(y[test], given, distance)}")
display = MistakeDistanceDisplay.from_predictions(y[test], answers, distance)
display.ax_.set_title("As many mistakes, a little nearer to the truth", loc="left", fontsize=10)
plt.show()
