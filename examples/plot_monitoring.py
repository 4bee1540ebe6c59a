"""
After deployment: does the promise still hold?
==============================================

A threshold was certified; then the world changed. `RiskMonitor` finds out from labels as they arrive, and may be asked
after every one of them; `WarningLight` needs no labels, and promises nothing.
"""

# %%
# A classifier behind a certified threshold.
import json

import numpy as np
from sklearn.model_selection import train_test_split

from abstain import AutoTrust, RiskMonitor, TargetRisk, WarningLight
from abstain.datasets import load_hard_digits

X, y = load_hard_digits(noise=4)
X_fit, X_rest, y_fit, y_rest = train_test_split(X, y, train_size=600, stratify=y, random_state=0)
X_cal, X_live, y_cal, y_live = train_test_split(X_rest, y_rest, train_size=500, stratify=y_rest, random_state=0)
est = AutoTrust(random_state=0).fit(X_fit, y_fit).fit_policy(X_cal, y_cal, TargetRisk(0.08, delta=0.05))
print(est.policy_.certificate_)

# %%
# In service: first the digits as they were, then some whose labels mean something else (ones and sevens were swapped by
# whoever writes them down). Their pictures, and so the scores, are as ever.
later = np.tile(np.arange(len(y_live)), 4)
rng = np.random.default_rng(0)
X_stream = X_live[later] + rng.normal(scale=0.5, size=(len(later), X.shape[1]))
y_stream = y_live[later].copy()
half = len(later) // 2
swapped = np.array([0, 7, 2, 3, 4, 5, 6, 1, 8, 9])
y_stream[half:] = swapped[y_stream[half:]]

# %%
# A label for one answer in two, day by day. The state fits in a line of JSON, so that any server can go on.
accepted, correct = est.accept(X_stream), (est.predict(X_stream) == y_stream).astype(float)
correct[rng.random(len(correct)) < 0.5] = np.nan
light = WarningLight(est.policy_.threshold_).set_reference(est.score_samples(X_cal))
state = RiskMonitor(0.08, alpha=0.05).state()
for day, rows in enumerate(np.array_split(np.arange(len(later)), 8), start=1):
    monitor = RiskMonitor.from_state(json.loads(json.dumps(state)))
    state = monitor.update(accepted[rows], correct[rows]).state()
    lamp = "lit" if light.check(est.score_samples(X_stream[rows])).lit else "dark"
    print(f"day {day}: {monitor}; warning light {lamp}")

# %%
# The light stays dark, since nothing that it can see has changed. The monitor needs some 140 labels.
import matplotlib.pyplot as plt

from abstain.monitoring import RiskMonitorDisplay

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
display = RiskMonitorDisplay.from_predictions(accepted, correct, risk=0.08, ax=ax)
change = int((accepted & ~np.isnan(correct))[:half].sum())
ax.axvline(change, color="0.6", linestyle=":")
ax.annotate("labels change", (change, ax.get_ylim()[0]), xytext=(4, 4), textcoords="offset points", color="0.4")
