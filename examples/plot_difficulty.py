"""
Difficulty: which training samples are hard, and which are mislabelled
=======================================================================

Relative Mahalanobis distance says how hard a sample is for its label. Alone it ranks label errors; as a weight it holds
a classifier back on hard samples while it learns.
"""

# %%
# Digits, of which one in twenty gets a wrong label.
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from abstain import DifficultyAwareClassifier, LinearProbe, RelativeMahalanobis
from abstain.metrics import expected_calibration_error

images, truth = load_digits(return_X_y=True)
X_fit, X_test, y_fit, y_test = train_test_split(images, truth, train_size=900, stratify=truth, random_state=0)
rng = np.random.default_rng(0)
flipped = rng.random(len(y_fit)) < 0.05
labels = np.where(flipped, (y_fit + rng.integers(1, 10, len(y_fit))) % 10, y_fit)

# %%
# Every sample is measured by a model that has not seen it (in closed form, at no cost worth speaking of).
for loo in (False, True):
    scorer = RelativeMahalanobis(loo=loo).fit(X_fit, labels)
    area = roc_auc_score(flipped, scorer.training_difficulty(X_fit, labels))
    print(f"wrong labels found, AUROC, {'each left out' if loo else 'in sample    '}: {area:.3f}")
difficulty = scorer.training_difficulty(X_fit, labels)
hardest = np.argsort(difficulty)[::-1]
print(f"of the {flipped.sum()} hardest samples {flipped[hardest[: flipped.sum()]].sum()} are mislabelled")

# %%
# Difficulty as a weight in training. Plain cross-entropy, which is alpha = 0, is the first row.
print(f"{'probe':<28}{'accuracy':>9}{'log-loss':>9}{'ECE':>7}{'counts for':>12}")
rows = [("cross-entropy", LinearProbe())]
for alpha in (0.1, 0.3, 1.0):
    rows.append((f"difficulty-aware, {alpha:g}", DifficultyAwareClassifier(alpha, cv=3, random_state=0)))
for name, model in rows:
    proba = model.fit(X_fit, labels).predict_proba(X_test)
    correct = proba.argmax(axis=1) == y_test
    size = f"{model.effective_size_:.0f} of {len(X_fit)}" if hasattr(model, "effective_size_") else ""
    ece = expected_calibration_error(correct, proba.max(axis=1))
    print(f"{name:<28}{correct.mean():>9.3f}{log_loss(y_test, proba):>9.3f}{ece:>7.3f}{size:>12}")

# %%
# The hardest training samples, with the label they came with and, where that is wrong, the true one.
import matplotlib.pyplot as plt

figure, axes = plt.subplots(2, 8, figsize=(10, 3.4), layout="constrained")
for ax, i in zip(axes.ravel(), hardest, strict=False):
    ax.imshow(X_fit[i].reshape(8, 8), cmap="gray_r")
    title = f"{labels[i]}, is {y_fit[i]}" if flipped[i] else f"{labels[i]}"
    ax.set_title(title, fontsize=9, color="crimson" if flipped[i] else "black")
    ax.set_axis_off()
figure.suptitle("The hardest training samples: most carry a wrong label (red)")
