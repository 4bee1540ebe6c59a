"""
Quickstart: predict, or abstain
===============================

Handwritten digits with noisy pixels and few labels: a classifier that is wrong about one time in four. A trust head
learns, from held-out predictions, which answers to doubt; a policy then answers only what keeps the error rate of
the answers below 12 %, with a guarantee, and abstains on the rest.
"""

# %%
# Three disjoint parts: one to fit on, one to choose the threshold on, one to look at.
import time

from sklearn.model_selection import train_test_split

from abstain import SteepSlopeTrust, TargetRisk
from abstain.datasets import load_hard_digits

started = time.perf_counter()
X, y = load_hard_digits()
X_fit, X_rest, y_fit, y_rest = train_test_split(X, y, train_size=500, stratify=y, random_state=0)
X_cal, X_test, y_cal, y_test = train_test_split(X_rest, y_rest, train_size=700, stratify=y_rest, random_state=0)

# %%
# Features and labels, nothing else. Correctness is that of out-of-fold predictions.
est = SteepSlopeTrust(random_state=0).fit(X_fit, y_fit)
print(est.report_)

# %%
# The threshold comes from data that nothing was fitted on, so that its certificate is worth something.
est.fit_policy(X_cal, y_cal, TargetRisk(0.12, delta=0.05))
print(est.policy_.certificate_)

# %%
# What that means on the test part. ``decide`` returns -1 where it abstains.
decided = est.decide(X_test)
answered = decided != -1
rows = [
    ("accuracy on everything", est.score(X_test, y_test)),
    ("coverage (share answered)", answered.mean()),
    ("selective risk (errors among answers)", (decided != y_test)[answered].mean()),
    ("certified bound, at 95 % confidence", est.policy_.certificate_.bound),
]
print("\n".join(f"{name:<40}{value:8.3f}" for name, value in rows))

# %%
# The dot is the policy: left of it every threshold answers less, right of it risk rises above the dashed target.
import matplotlib.pyplot as plt

from abstain.metrics import RiskCoverageDisplay, TrustHistogramDisplay
from abstain.scores import max_probability

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
correct = est.predict(X_test) == y_test
baseline = max_probability(est.predict_proba(X_test))
RiskCoverageDisplay.from_predictions(correct, baseline, name="maximum probability", ax=left, color="0.8", linewidth=5)
RiskCoverageDisplay.from_estimator(est, X_test, y_test, ax=left)
TrustHistogramDisplay.from_estimator(est, X_test, y_test, ax=right)
figure.suptitle("Answer what is left of the dot, abstain on the rest")

# %%
print(
    f"Of {len(y_test)} new digits, {answered.sum()} are answered and {(decided != y_test)[answered].sum()} of those "
    f"answers are wrong; asked about everything, the classifier errs {(~correct).sum()} times "
    f"({time.perf_counter() - started:.1f} s)."
)
