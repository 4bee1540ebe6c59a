"""Logits that a network has saved: a certified threshold from two arrays, without the network."""

import numpy as np

rng = np.random.default_rng(0)
labels = rng.integers(0, 10, 4000)
logits = rng.normal(size=(4000, 10)) + 2.5 * np.eye(10)[labels]  # stand in for what is on your disk

# %%
from abstain import TargetRisk
from abstain.scores import margin

score = margin(logits, input="logits")  # larger is safer
correct = logits.argmax(axis=1) == labels
policy = TargetRisk(0.05).fit(score[:2000], correct[:2000])
print(policy.certificate_)
print(policy.check(score[2000:], correct[2000:]))  # what other labels say of the threshold
