"""A promise that holds in every group, with a threshold for each."""

import numpy as np
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

X, y = make_classification(6000, n_informative=5, flip_y=0.05, random_state=0)
groups = np.where(X[:, 0] > 0.5, "women", "men")

# %%
from abstain import SelectiveClassifier, TargetRisk

est = SelectiveClassifier(LogisticRegression()).fit(X[:2000], y[:2000])
est.fit_policy(X[2000:5000], y[2000:5000], TargetRisk(0.14, groupwise=True), groups=groups[2000:5000])
print(est.policy_.certificate_)
answers, new = est.decide(X[5000:], groups=groups[5000:]), groups[5000:]
for group in ("women", "men"):
    mine = (new == group) & (answers != -1)
    print(f"{group}: {mine.sum() / (new == group).sum():.0%} answered, {(answers != y[5000:])[mine].mean():.1%} wrong")
