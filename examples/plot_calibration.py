"""
True probabilities, without choosing a calibrator
=================================================

Naive Bayes is far too sure; a forest, and a logistic regression under a strong penalty, are not sure enough.
`AutoCalibrator` mixes calibrators by what they gain on samples that they have not seen, and leaves the probabilities
alone where nothing is gained.
"""

# %%
# Three classifiers, frozen; a calibration set of 300, and a test set.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abstain import AutoCalibrator, SelectiveClassifier, TargetRisk
from abstain.calibration import Isotonic, MatrixScaling, Temperature
from abstain.datasets import load_hard_digits
from abstain.metrics import ReliabilityDisplay, calibration_report

X, y = load_hard_digits(noise=4)
X_fit, X_rest, y_fit, y_rest = train_test_split(X, y, train_size=600, stratify=y, random_state=0)
X_cal, X_test, y_cal, y_test = train_test_split(X_rest, y_rest, train_size=300, stratify=y_rest, random_state=0)
CLASSIFIERS = {
    "naive Bayes": GaussianNB(),
    "forest": RandomForestClassifier(100, random_state=0),
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=500)),
}
frozen = {name: FrozenEstimator(model.fit(X_fit, y_fit)) for name, model in CLASSIFIERS.items()}

# %%
# Every calibrator is a classifier around a classifier. Log-loss and Brier score come first: the calibration error alone
# rewards modesty.
CALIBRATORS = {
    "as it is": lambda clf: clf,
    "temperature": lambda clf: Temperature(clf).fit(X_cal, y_cal),
    "matrix": lambda clf: MatrixScaling(clf).fit(X_cal, y_cal),
    "isotonic": lambda clf: Isotonic(clf).fit(X_cal, y_cal),
    "AutoCalibrator": lambda clf: AutoCalibrator(clf, random_state=0).fit(X_cal, y_cal),
}
models = {}
print(f"{'':<14}{'':<16}{'log-loss':>10}{'Brier':>8}{'ECE-15':>8}{'accuracy':>10}")
for base, clf in frozen.items():
    for name, make in CALIBRATORS.items():
        model = models[base, name] = make(clf)
        row = calibration_report(y_test, model.predict_proba(X_test), n_resamples=0).overall
        print(f"{base:<14}{name:<16}{row.log_loss:>10.3f}{row.brier:>8.3f}{row.ece:>8.3f}{row.frequency:>10.3f}")

# %%
# The report says what was tried, what it gained on held-out samples, and what was chosen.
print(models["naive Bayes", "AutoCalibrator"].report_)

# %%
# A calibrated classifier is the estimator of any selective classifier.
calibrated = SelectiveClassifier(FrozenEstimator(models["forest", "AutoCalibrator"]), cv=3).fit(
    X_test[:300], y_test[:300]
)
calibrated.fit_policy(X_test[300:], y_test[300:], TargetRisk(0.1))
print(f"answered with at most 10 % errors: {np.mean(calibrated.accept(X_test[300:])):.0%}")

# %%
# Before and after: frequency against confidence, with exact intervals.
figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
for ax, base in zip(axes, frozen, strict=True):
    proba = {
        name: models[base, key].predict_proba(X_test)
        for name, key in (("before", "as it is"), ("after", "AutoCalibrator"))
    }
    ReliabilityDisplay.from_predictions(y_test, proba, n_bins=10, ax=ax)
    losses = (calibration_report(y_test, p, n_resamples=0).overall.log_loss for p in proba.values())
    ax.set_title("{}: log-loss {:.2f}, then {:.2f}".format(base, *losses))
plt.show()
