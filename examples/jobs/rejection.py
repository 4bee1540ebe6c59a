"""Why one prediction was held back."""

from sklearn.datasets import load_breast_cancer

X, y = load_breast_cancer(return_X_y=True, as_frame=True)

# %%
from abstain import SelectiveClassifier, TargetCoverage
from abstain.scores import RelativeMahalanobis

est = SelectiveClassifier(None, RelativeMahalanobis(), TargetCoverage(0.9), random_state=0).fit(X[:400], y[:400])
held_back = X[400:][~est.accept(X[400:])]
print(est.explain(held_back[:5]))  # in a notebook, a table
