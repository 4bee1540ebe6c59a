"""A fitted random forest: answer only what is wrong at most once in fifty times, with confidence 95 %."""

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

X, y = load_digits(return_X_y=True)
forest = RandomForestClassifier(random_state=0).fit(X[:500], y[:500])  # yours, as it is

# %%
from abstain import AutoTrust, FrozenEstimator, TargetRisk

est = AutoTrust(FrozenEstimator(forest), random_state=0).fit(X[500:900], y[500:900])  # data it has not seen
est.fit_policy(X[900:1500], y[900:1500], TargetRisk(0.02))  # fresh data choose the threshold
print(est.policy_.certificate_)
answers = est.decide(X[1500:])  # -1 where it abstains
answered = answers != -1
print(f"{answered.mean():.0%} answered, {(answers != y[1500:])[answered].mean():.1%} of them wrong")
