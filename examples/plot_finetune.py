"""
Training the backbone too
=========================

A frozen network and a linear classifier on its features are the start; `FineTunedClassifier` trains both, on a copy. A
run that is cut off goes on from its checkpoint, and what did not lower the loss on held-out images is not kept.
"""

# %%
# Images with a bright bar, upright or lying, under noise. The network has random weights, since none can be downloaded
# here: its frozen features say little, so that there is much to learn. With weights of your own the start is better,
# and the gain smaller.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from abstain import FineTunedClassifier, FineTuning, LinearProbe, TimmBackbone
from abstain.metrics import RiskCoverageDisplay, aurc
from abstain.outputs import ClassOutputs


def bars(n, seed):
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 180, size=(n, 16, 16, 3)), np.arange(n) % 2
    for image, label, place in zip(images, labels, rng.integers(2, 13, n), strict=True):
        (image if label else image.transpose(1, 0, 2))[place : place + 2] += 45
    return images.astype(np.uint8), np.array(["upright", "lying"])[labels]


(X, y), (X_test, y_test) = bars(240, 0), bars(400, 1)
backbone = TimmBackbone("test_resnet", weights="random", input_size=32, batch_size=64)

# %%
# One object holds the knobs. The checkpoint is written whole or not at all, and belongs to these images, this network
# and these knobs.
training = FineTuning(epochs=8, batch_size=16, lr=1e-3)
with tempfile.TemporaryDirectory() as folder:
    est = FineTunedClassifier(
        backbone, training=training, checkpoint=Path(folder) / "state.pt", random_state=0
    ).fit(X, y)  # fmt: skip
for epoch in est.history_:
    print(f"epoch {epoch['epoch'] + 1}: held-out loss {epoch['validation_loss']:.3f}")

# %%
# ``est.backbone_`` is a transformer like the one it came from: saved features, heads and scores work on it.
frozen = LinearProbe().fit(backbone.transform(X), y)
curves = {}
for name, proba in (
    ("frozen", frozen.predict_proba(backbone.transform(X_test))), ("trained", est.predict_proba(X_test))
):  # fmt: skip
    outputs = ClassOutputs(proba, classes=est.classes_)
    right = outputs.classes[outputs.answer] == y_test
    curves[name] = right, outputs.log_odds
    print(f"{name:8} accuracy {right.mean():.3f}, AURC {aurc(right, outputs.log_odds):.4f}")

# %%
# What is answered, at which error.
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", width_ratios=(1, 2))
left.imshow(np.hstack([X[0], X[1]]))
left.set_title(f"{y[0]}, {y[1]}", fontsize=10)
left.set_axis_off()
for name, (correct, score) in curves.items():
    RiskCoverageDisplay.from_predictions(correct, score, ax=right, name=name)
right.set_title("The backbone learns what its frozen features do not say", loc="left", fontsize=10)
plt.show()
