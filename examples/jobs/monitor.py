"""Labels come in after deployment, and the data drift: an alarm when the promise no longer holds."""

import numpy as np
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

X, y = make_classification(12000, n_informative=5, flip_y=0.02, random_state=0)
X[8000:] += np.linspace(0, 2, 4000)[:, None] * np.random.default_rng(0).normal(size=(4000, X.shape[1]))  # drift

# %%
from abstain import RiskMonitor, SelectiveClassifier, TargetRisk

est = SelectiveClassifier(LogisticRegression()).fit(X[:2000], y[:2000])
est.fit_policy(X[2000:5000], y[2000:5000], TargetRisk(0.08))
monitor = RiskMonitor(risk=0.08, alpha=0.05)
for day, start in enumerate(range(5000, 12000, 500)):
    new = slice(start, start + 500)
    monitor.update(est.accept(X[new]), est.predict(X[new]) == y[new])
    print(f"day {day:2d}: {monitor}")
