"""An error costs 40, asking somebody costs 3: which answers pay, and what a decision costs on average."""

from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

X, y = make_classification(4000, n_informative=5, flip_y=0.05, random_state=0)
classifier = LogisticRegression().fit(X[:1000], y[:1000])

# %%
from abstain import FrozenEstimator, RejectCost, SelectiveClassifier

est = SelectiveClassifier(FrozenEstimator(classifier))
est.fit_policy(X[1000:3000], y[1000:3000], RejectCost(3, error_cost=40))
print(est.policy_.certificate_)
answers = est.decide(X[3000:])
wrong, asked = (answers != -1) & (answers != y[3000:]), answers == -1
print(f"always answering {40 * (est.predict(X[3000:]) != y[3000:]).mean():.2f}, never 3.00 a sample")
print(f"deciding         {40 * wrong.mean() + 3 * asked.mean():.2f}")
