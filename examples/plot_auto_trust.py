"""
AutoTrust: the score to use when one does not want to choose
============================================================

Noisy digits and a linear classifier. `AutoTrust` gathers every cheap piece of evidence on a prediction, learns from
held-out errors what each is worth, and keeps only what loses to maximum probability nowhere: not among the answers that
are trusted most, nor with noise on the features, nor with other shares of the classes.
"""

# %%
# Fit on a part, look at the rest.

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abstain import AutoTrust
from abstain.datasets import load_hard_digits
from abstain.metrics import RiskCoverageDisplay, TrustHistogramDisplay, aurc
from abstain.scores import max_probability

X, y = load_hard_digits(noise=4)
X_fit, X_test, y_fit, y_test = train_test_split(X, y, train_size=900, stratify=y, random_state=0)
classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))

# %%
# What was compared on held-out samples, and what was kept.
est = AutoTrust(classifier, random_state=0).fit(X_fit, y_fit)
print(est.report_)

# %%
# On new data: the order is better, and the score is the probability of being right.
correct = est.predict(X_test) == y_test
score = est.score_samples(X_test)
baseline = max_probability(est.predict_proba(X_test))
print(f"AURC: maximum probability {aurc(correct, baseline):.4f}, AutoTrust {aurc(correct, score):.4f}")
for low, high in ((0, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.0)):
    there = (score >= low) & (score < high)
    print(
        f"P(correct) in [{low:.2f}, {high:.2f}): {there.sum():4d} samples, {score[there].mean():.2f} said, "
        f"{correct[there].mean():.2f} right"
    )

# %%
# Why is a prediction doubted? Words where the evidence bears them out, and what each does to P(correct).
for i in np.argsort(score)[[0, 1, 2, len(score) // 4, -1]]:
    print(f"is {y_test[i]}: {est.explain(X_test[[i]])}")

# %%
# Left: the risk of answering the safest share. Right: where right and wrong predictions lie.
import matplotlib.pyplot as plt

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
RiskCoverageDisplay.from_predictions(correct, baseline, name="maximum probability", ax=left)
RiskCoverageDisplay.from_predictions(correct, score, name="AutoTrust", ax=left)
TrustHistogramDisplay.from_predictions(correct, score, ax=right)
right.set_xlabel("P(correct)")
saved = 1 - aurc(correct, score) / aurc(correct, baseline)
figure.suptitle(f"Evidence beyond the probabilities: {saved:.0%} less area under the curve of errors")
