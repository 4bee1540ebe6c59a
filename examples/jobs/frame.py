"""A frame of numbers, gaps and words, labels that are words, a pipeline and a search."""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

rng = np.random.default_rng(0)
X = pd.DataFrame({"age": rng.normal(50, 15, 3000), "town": rng.choice(["Bern", "Oslo", "Rome"], 3000)})
risk = (X["age"] - 50) / 15 * np.where(X["town"] == "Rome", -1, 1) + rng.normal(0, 0.4, 3000)
y = np.where(risk > 0, "ill", "well")
X.loc[::20, "age"] = np.nan

# %%
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import abstain

columns = make_column_transformer((SimpleImputer(), ["age"]), (OneHotEncoder(), ["town"]))
model = make_pipeline(columns, LogisticRegression(max_iter=1000))
search = GridSearchCV(model, {"logisticregression__C": [0.1, 10]}, cv=3)
est = abstain.AutoTrust(search, random_state=0).fit(X[:1500], y[:1500])
est.fit_policy(X[1500:2500], y[1500:2500], abstain.TargetRisk(0.1))
print(est.report_)
print(est.decide(X[2500:2510]))  # "abstain" where it does
