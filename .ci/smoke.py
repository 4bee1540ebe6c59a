"""Use the installed package as the README does, and say where it was imported from."""

import abstain
from abstain import SteepSlopeTrust, TargetRisk
from abstain.datasets import load_hard_digits

X, y = load_hard_digits()
est = SteepSlopeTrust(random_state=0).fit(X[:600], y[:600])
est.fit_policy(X[600:1300], y[600:1300], TargetRisk(0.2, delta=0.05))
answered = est.accept(X[1300:])
assert est.policy_.certificate_.guaranteed
assert (est.decide(X[1300:]) == -1).sum() == (~answered).sum()
assert "site" in abstain.__file__
# the nouns of WordNet are a file that ships with the package
assert abstain.ClassSemantics.imagenet().distance("lca_depth").shape == (1000, 1000)
print(f"{abstain.__file__}: {answered.mean():.2f} answered")
