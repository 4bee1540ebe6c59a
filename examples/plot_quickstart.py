"""
Quickstart: predict, or abstain
===============================

Somebody has a fitted classifier: a random forest for handwritten digits with noisy pixels, wrong one time in three.
`AutoTrust` learns, from data that the forest has not seen, which of its answers to doubt; a policy then answers only
what keeps the error rate of the answers below 10 %, with a guarantee, and abstains on the rest.
"""

# %%
# A fitted model. What comes later is data that it has not seen.
import time

from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from abstain import AutoTrust, FrozenEstimator, SelectiveClassifier, TargetRisk
from abstain.datasets import load_hard_digits

started = time.perf_counter()
X, y = load_hard_digits(noise=7)
X_old, X_rest, y_old, y_rest = train_test_split(X, y, train_size=500, stratify=y, random_state=0)
forest = RandomForestClassifier(random_state=0).fit(X_old, y_old)

# %%
# Three disjoint parts: one to learn trust from, one to choose the threshold on, one to look at.
X_fit, X_rest, y_fit, y_rest = train_test_split(X_rest, y_rest, train_size=600, stratify=y_rest, random_state=0)
X_cal, X_test, y_cal, y_test = train_test_split(X_rest, y_rest, train_size=500, stratify=y_rest, random_state=0)
est = AutoTrust(FrozenEstimator(forest), random_state=0).fit(X_fit, y_fit)
print(est.report_)

# %%
# The threshold comes from data that nothing was fitted on, so that its certificate is worth something. Maximum
# probability of the same forest, certified on the same data, is the first row of what follows.
policy = TargetRisk(0.1, delta=0.05)
baseline = SelectiveClassifier(FrozenEstimator(forest)).fit(X_fit, y_fit).fit_policy(X_cal, y_cal, policy)
est.fit_policy(X_cal, y_cal, policy)
print(est.policy_.certificate_)

# %%
# What that means on the test part. ``decide`` returns -1 where it abstains.
print(f"{'':<22}{'answered':>10}{'errors among the answers':>26}{'certified':>11}")
for name, model in (("maximum probability", baseline), ("AutoTrust", est)):
    answered = model.accept(X_test)
    error = (model.predict(X_test) != y_test)[answered].mean()
    print(f"{name:<22}{answered.mean():>10.1%}{error:>26.1%}{model.policy_.certificate_.bound:>11.1%}")
print("decisions:", est.decide(X_test)[:10])

# %%
# The dots are the policies. At the same promise AutoTrust answers several times as much.
import matplotlib.pyplot as plt

from abstain.metrics import RiskCoverageDisplay

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
RiskCoverageDisplay.from_estimator(baseline, X_test, y_test, ax=ax, name="maximum probability", color="0.5")
RiskCoverageDisplay.from_estimator(est, X_test, y_test, ax=ax, name="AutoTrust", color="tab:blue")
shares = [model.accept(X_test).mean() for model in (baseline, est)]
ax.set_title(
    f"Answered at a certified error rate of 10 %:\nmaximum probability {shares[0]:.0%}, AutoTrust {shares[1]:.0%}"
)

# %%
print(f"{time.perf_counter() - started:.1f} s")
