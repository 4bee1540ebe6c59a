"""
Learned selection: when it helps
================================

Four ways to learn what to answer, on noisy digits: SelectiveNet, SYNC, Deep Gamblers and self-adaptive training. Each
network has two rankings to offer, that of its selector and the softmax response of its own probabilities, and both are
drawn. Then the same selectors behind a classifier that is already there, where they learn from held-out errors.
"""

# %%
# Train each for a coverage of 80 %. ``rank_by="auto"``, the default, would take the better ranking on held-out samples.
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abstain import GamblersClassifier, SelectiveNetClassifier, SelfAdaptiveClassifier, SYNCClassifier
from abstain.datasets import load_hard_digits
from abstain.metrics import RiskCoverageDisplay, aurc, risk_at_coverage
from abstain.scores import max_probability

X, y = load_hard_digits(noise=4)
X_fit, X_test, y_fit, y_test = train_test_split(X, y, train_size=900, stratify=y, random_state=0)
classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))

settings = {"coverage": 0.8, "rank_by": "selector", "random_state": 0}
models = {
    "SelectiveNet": SelectiveNetClassifier(**settings),
    "SYNC": SYNCClassifier(**settings),
    "Deep Gamblers": GamblersClassifier(**settings),
    "self-adaptive": SelfAdaptiveClassifier(**settings),
    "SelectiveNet, post hoc": SelectiveNetClassifier(classifier, **settings),
    "SYNC, post hoc": SYNCClassifier(classifier, **settings),
}

# %%
# The error among the safest 80 %, and the area under the whole curve, by either ranking.
print(f"{'':<24}{'error':>8}{'error at .8':>22}{'AURC':>22}")
print(f"{'':<24}{'':>8}{'selector':>12}{'softmax':>10}{'selector':>12}{'softmax':>10}")
curves = {}
for name, model in models.items():
    model.fit(X_fit, y_fit)
    correct = model.predict(X_test) == y_test
    selector, response = model.score_samples(X_test), max_probability(model.predict_proba(X_test))
    curves[name] = correct, selector, response
    risks = [risk_at_coverage(correct, score, 0.8) for score in (selector, response)]
    areas = [aurc(correct, score) for score in (selector, response)]
    print(f"{name:<24}{1 - correct.mean():>8.3f}{risks[0]:>12.4f}{risks[1]:>10.4f}{areas[0]:>12.4f}{areas[1]:>10.4f}")

# %%
# What the held-out samples said, and what would have been used.
print(SYNCClassifier(classifier, coverage=0.8, random_state=0).fit(X_fit, y_fit).report_)

# %%
# One fit for several coverages: a selector each, behind one classifier.
served = SYNCClassifier(classifier, coverages=[0.5, 0.7, 0.9], random_state=0).fit(X_fit, y_fit)
for coverage in (0.5, 0.7, 0.8, 0.9):
    decided = served.at(coverage).decide(X_test)
    answered = decided != served.abstain_label_
    wrong = (decided != y_test)[answered].mean()
    print(f"asked for {coverage:.1f}: answers {answered.mean():.3f}, of which wrong {wrong:.3f}")

# %%
# Solid: the selector. Dashed: the softmax response of the same network.
import matplotlib.pyplot as plt

figure, axes = plt.subplots(2, 3, figsize=(13, 7), sharex=True, sharey=True, layout="constrained")
for ax, (name, (correct, selector, response)) in zip(axes.flat, curves.items(), strict=True):
    RiskCoverageDisplay.from_predictions(correct, response, name="softmax response", ax=ax, linestyle="--")
    RiskCoverageDisplay.from_predictions(correct, selector, name="selector", ax=ax)
    ax.set_title(f"{name}: {aurc(correct, selector) / aurc(correct, response):.2f} x")
    ax.set_ylim(0, 0.25)
    ax.axvline(0.8, color="0.8", linewidth=1)
figure.suptitle("AURC of learned selectors, as a multiple of that of the softmax response of the same network")
plt.show()
