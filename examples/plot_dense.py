"""
Maps: which image can be trusted
================================

A classifier of pixels that is calibrated over all pixels may still be too sure in one image and too modest in the next.
`ContextCalibrator` looks at the image as a whole, and a promise about images takes the image as its unit.
"""

# %%
# Discs under noise. The network is imitated: its logits are a smoothed image, and in half of the images, those with a
# fog, they mean less than they say.
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

from abstain import TargetRisk
from abstain.calibration import Isotonic
from abstain.dense import (
    ContextCalibrator,
    DenseCalibrator,
    DenseReliabilityDisplay,
    MapsDisplay,
    dense_report,
    image_outcomes,
)


def scenes(n, side=48, seed=0):
    rng = np.random.default_rng(seed)
    place, radius = rng.uniform(12, side - 12, size=(2, n, 1, 1)), rng.uniform(6, 12, size=(n, 1, 1))
    row, column = np.mgrid[:side, :side]
    masks = ((row - place[0]) ** 2 + (column - place[1]) ** 2 < radius**2).astype(int)
    fog = rng.choice([0.4, 1.6], size=(n, 1, 1))
    noise = gaussian_filter(rng.normal(size=masks.shape), (0, 1, 1)) * 3.5
    images = np.clip(masks - 0.5 + fog * noise / 2, -1.5, 1.5)
    logits = 8 * (gaussian_filter(images, (0, 1.5, 1.5)) + 0.1)
    return images, logits, masks


images, logits, masks = scenes(300)
fit, test = slice(0, 120), slice(120, None)

# %%
# The error over all pixels is small for any map; that within images is not.
models = {
    "temperature": DenseCalibrator(random_state=0),
    "isotonic": DenseCalibrator(Isotonic(), random_state=0),
    "context": ContextCalibrator(random_state=0),
}
proba = {"as it is": 1 / (1 + np.exp(-logits[test]))}
for name, model in models.items():
    proba[name] = model.fit(logits[fit], masks[fit]).predict_proba(logits[test])
for name, values in proba.items():
    print(f"{name}\n{dense_report(values, masks[test])}")

# %%
# A promise: among the images that are accepted, at most 10 % of the pixels are wrong. The images are the samples.
outcomes = image_outcomes(proba["context"], masks[test])
policy = TargetRisk(0.1).fit(outcomes.confidence[:120], loss=outcomes.loss[:120])
accepted = policy.accept(outcomes.confidence[120:])
print(policy.certificate_)
if accepted.any():
    wrong = outcomes.loss[120:][accepted].mean()
    print(f"{accepted.sum()} of 60 fresh images accepted, {wrong:.1%} of their pixels wrong")

# %%
# Each image has a curve of its own.
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
for ax, name in zip(axes, ("temperature", "context"), strict=True):
    DenseReliabilityDisplay.from_predictions(proba[name], masks[test], ax=ax)
    within = dense_report(proba[name], masks[test]).image_ece
    ax.set_title(f"{name}: calibration error of an image {within:.3f}")

# %%
# Where the confidence of a pixel is below .9 it is left open.
some = [0, 3, 5, 8]
grey = np.repeat(((images[test][some] + 1.5) / 3)[..., None], 3, axis=3)
display = MapsDisplay.from_predictions(
    proba["as it is"][some], proba["context"][some], images=grey, masks=masks[test][some], threshold=0.9
)
plt.show()
