"""
Suspect labels
==============

Which labels should somebody look at again? `find_label_errors` asks models that have not seen a sample how likely its
label is, and suggests another.
"""

# %%
# Digits, of which one label in twenty is wrong.
import numpy as np
from sklearn.datasets import load_digits

from abstain import find_label_errors

X, truth = load_digits(return_X_y=True)
rng = np.random.default_rng(0)
wrong = rng.random(len(truth)) < 0.05
labels = np.where(wrong, (truth + rng.integers(1, 10, len(truth))) % 10, truth)

# %%
# The most suspect ones, each with what it may be instead.
errors = find_label_errors(X, labels, random_state=0)
print(errors)

# %%
# How many of those that are looked at are wrong, and how many of the suggestions are right?
for looked_at in (20, 50, wrong.sum()):
    first = errors.order[:looked_at]
    right = (errors.suggested == truth)[first[wrong[first]]].mean()
    print(
        f"first {looked_at:3d}: {wrong[first].mean():.0%} are wrong; {right:.0%} of the suggestions for them are right"
    )

# %%
# Label given, and suggested. Red: the label was indeed wrong.
import matplotlib.pyplot as plt

figure, axes = plt.subplots(2, 8, figsize=(10, 3.4), layout="constrained")
for ax, i in zip(axes.ravel(), errors.order, strict=False):
    ax.imshow(X[i].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{labels[i]}, rather {errors.suggested[i]}", fontsize=9, color="crimson" if wrong[i] else "black")
    ax.set_axis_off()
figure.suptitle(f"The most suspect of {len(truth)} labels; red: wrong indeed")
