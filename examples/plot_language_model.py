"""
A language model: which of its answers to trust
===============================================

A model was asked 3,000 questions. On disk are the probabilities of its label tokens, ten sampled answers to each
question, and what it says of its own confidence. The data here are made up, to show the shape of the work: a model that
hides some of its probability in other tokens, repeats itself more than it should, and is too sure in words.
"""

# %%
# What a model would have left on the disk.
import matplotlib.pyplot as plt
import numpy as np

from abstain import TargetRisk
from abstain.language import answer_frequencies, label_probabilities, stated_confidence
from abstain.metrics import RiskCoverageDisplay, aurc

rng = np.random.default_rng(0)
labels, n = ["A", "B", "C", "D"], 3000
truth = rng.integers(0, 4, n)
knows = rng.beta(1.2, 0.8, n)
logits = 4 * knows[:, None] * np.eye(4)[truth] + rng.normal(size=(n, 4))
belief = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
elsewhere = rng.beta(1, 8, n) * (1.2 - knows)
tokens = [dict(zip(labels, row, strict=True)) for row in np.log(belief * (1 - elsewhere[:, None]))]
sampled = [[labels[j] for j in rng.choice(4, 10, p=row**1.5 / (row**1.5).sum())] for row in belief]
felt = np.clip(belief.max(axis=1) + rng.normal(0, 0.25, n), 0, 1)
words = [f"I am {5 * round(20 * (0.6 + 0.4 * share)):d} % sure." for share in felt]
for i in rng.choice(n, 60, replace=False):  # no tokens, no answer, no number
    tokens[i], sampled[i], words[i] = None, [], "It depends."

# %%
# Three scores from three kinds of saved output. What cannot be read is NaN, and is abstained on. The answer is the
# likeliest label; mass on other tokens makes it less sure, but does not change it.
by_token = label_probabilities(tokens, labels=labels)[:, :-1]
shares, names = answer_frequencies(sampled, answers=labels)
scores = {
    "probability of the label": by_token.max(axis=1),
    "agreement of ten samples": shares[:, :-1].max(axis=1),
    "stated confidence": stated_confidence(words),
}
read = ~np.isnan(by_token).any(axis=1)
correct = read & (np.nan_to_num(by_token).argmax(axis=1) == truth)
print(f"{read.sum()} of {n} answers can be read; {correct[read].mean():.3f} of them are right")

# %%
# Which score ranks best, and what does each certify? A third of the questions chooses the threshold.
cal, test = np.arange(n) < 1000, np.arange(n) >= 1000
print(f"{'score':<28}{'AURC':>8}{'answered':>10}{'wrong':>8}   at most 10 % wrong, confidence 95 %")
for name, score in scores.items():
    policy = TargetRisk(0.1).fit(score[cal], correct[cal])
    answered = policy.accept(score) & test
    known = test & ~np.isnan(score)
    area = aurc(correct[known], score[known])
    print(f"{name:<28}{area:>8.4f}{answered.sum() / test.sum():>10.3f}{1 - correct[answered].mean():>8.3f}")

# %%
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, score in scores.items():
    known = test & ~np.isnan(score)
    RiskCoverageDisplay.from_predictions(correct[known], score[known], name=name, ax=ax)
ax.axhline(0.1, color="0.6", linestyle="--", linewidth=1)
ax.set_title("What the model says of its labels ranks best;\nits words tell the least")
plt.show()
