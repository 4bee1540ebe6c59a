"""
A frozen torch model, through its saved logits
==============================================

A network was trained on a GPU; its features and logits are on disk. Everything else happens on a laptop, from
arrays: no network, no second forward pass. Here a small torch network stands for the large one.
"""

# %%
# Somewhere else: train, run once over data that the network has not seen, save.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from abstain import SelectiveClassifier, SteepSlopeTrust, TargetRisk, linear_head
from abstain.datasets import load_hard_digits
from abstain.metrics import ReliabilityDisplay, RiskCoverageDisplay
from abstain.scores import energy, max_probability

X, y = load_hard_digits()
torch.manual_seed(0)
body = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU())
last = torch.nn.Linear(64, 10)
optimiser = torch.optim.Adam([*body.parameters(), *last.parameters()], lr=0.01)
images, labels = torch.tensor(X[:600]) / 16, torch.tensor(y[:600])
for _ in range(60):
    optimiser.zero_grad()
    torch.nn.functional.cross_entropy(last(body(images)), labels).backward()
    optimiser.step()
with torch.inference_mode():
    features = body(torch.tensor(X[600:]) / 16)
    logits = last(features)
saved = Path(tempfile.mkdtemp()) / "network.npz"
np.savez(
    saved, features=features, logits=logits, labels=y[600:],
    weight=last.weight.detach(), bias=last.bias.detach(),
)  # fmt: skip

# %%
# On the laptop. The last layer is a frozen classifier on the features; logits alone would do as well, with
# ``linear_head(np.eye(10))`` as the classifier of the logits. That they are logits is declared, never guessed.
data = np.load(saved)
F, y = data["features"], data["labels"]
fit, cal, test = slice(0, 500), slice(500, 850), slice(850, None)
network = linear_head(data["weight"], data["bias"])
by_logits = SelectiveClassifier(linear_head(np.eye(10)), energy, response_method="decision_function")
by_logits.fit(data["logits"][fit], y[fit])

trust = SteepSlopeTrust(network, random_state=0).fit(F[fit], y[fit])
trust.fit_policy(F[cal], y[cal], TargetRisk(0.15, delta=0.1))
print(trust.policy_.certificate_)

# %%
# The trust score is a probability, and truer than the network's own.
correct = trust.predict(F[test]) == y[test]
scores = {
    "maximum probability": max_probability(trust.predict_proba(F[test])),
    "energy of the logits": by_logits.score_samples(data["logits"][test]),
    "steep slope trust": trust.score_samples(F[test]),
}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
for name, score in scores.items():
    RiskCoverageDisplay.from_predictions(correct, score, name=name, ax=left)
ReliabilityDisplay.from_estimator(trust, F[test], y[test], n_bins=10, ax=right, label="network's probability")
score = scores["steep slope trust"]
two_columns = np.column_stack([1 - score, score])
ReliabilityDisplay.from_predictions(correct.astype(int), two_columns, n_bins=10, ax=right, label="trust score")

# %%
answered = trust.accept(F[test])
print(
    f"{answered.mean():.0%} of the test set is answered, with an error rate of {1 - correct[answered].mean():.1%} "
    f"instead of {1 - correct.mean():.1%}, and the network was never called."
)
