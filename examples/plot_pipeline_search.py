"""
In a Pipeline, with a grid search
=================================

A selective classifier is a scikit-learn estimator: it goes last into a Pipeline, and a search tunes it by a
selective metric. Pipelines hide ``decide``, so there is a function for it.
"""

# %%
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import abstain
from abstain.datasets import load_hard_digits
from abstain.metrics import RiskCoverageDisplay, aurc, make_selective_scorer
from abstain.scores import entropy, margin, max_probability

X, y = load_hard_digits()
X_fit, X_rest, y_fit, y_rest = train_test_split(X, y, train_size=700, stratify=y, random_state=0)
X_cal, X_test, y_cal, y_test = train_test_split(X_rest, y_rest, train_size=600, stratify=y_rest, random_state=0)

# %%
# The classifier inside and the confidence score are tuned together, by the area under the risk-coverage curve.
pipeline = make_pipeline(StandardScaler(), PCA(30, random_state=0), abstain.SelectiveClassifier(cv=2, random_state=0))
name = "selectiveclassifier"
grid = {
    f"{name}__estimator": [
        LogisticRegression(C=0.01), LogisticRegression(C=1), RandomForestClassifier(100, random_state=0)
    ],
    f"{name}__scorer": [max_probability, margin, entropy],
}  # fmt: skip
search = GridSearchCV(pipeline, grid, scoring=make_selective_scorer(aurc), cv=3).fit(X_fit, y_fit)
table = pd.DataFrame(search.cv_results_["params"]).map(lambda v: getattr(v, "__name__", str(v)))
table["AURC"] = -search.cv_results_["mean_test_score"]
table["sd"] = search.cv_results_["std_test_score"]
print(table.sort_values("AURC").to_string(index=False))

# %%
# The threshold is chosen last, on data that the search has not seen.
policy = abstain.fit_policy(search, X_cal, y_cal, abstain.TargetRisk(0.08, delta=0.1))
decided = abstain.decide(search, X_test)
print(policy.certificate_)

# %%
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
classifier, X_seen = abstain.unwrap(search, X_test)
RiskCoverageDisplay.from_estimator(classifier, X_seen, y_test, name="tuned", ax=ax)

# %%
answered = decided != -1
print(
    f"The tuned pipeline answers {answered.mean():.0%} of the test set with an error rate of "
    f"{(decided != y_test)[answered].mean():.1%}; without abstaining it would be "
    f"{(search.predict(X_test) != y_test).mean():.1%}."
)
