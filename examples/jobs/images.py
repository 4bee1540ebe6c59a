"""Image files, a frozen network of timm, and a certificate."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

folder = Path(tempfile.mkdtemp())  # one folder a class, as yours has
for i, (picture, label) in enumerate(zip(*load_digits(return_X_y=True), strict=True)):
    (folder / f"digit {label}").mkdir(exist_ok=True)
    Image.fromarray((picture.reshape(8, 8) * 15).astype(np.uint8)).save(folder / f"digit {label}" / f"{i}.png")

# %%
from sklearn.model_selection import train_test_split

from abstain import CorrectnessTrust, TargetRisk, TimmBackbone
from abstain.backbones import image_folder

paths, y = image_folder(folder)
network = TimmBackbone("test_resnet", weights="random", input_size=32)  # yours: "resnet50", weights="file"
features = network.extract(paths, folder / "features.npy")  # kept on disk, and gone on with
F, F_cal, y, y_cal = train_test_split(features, y, test_size=0.4, random_state=0, stratify=y)
est = CorrectnessTrust(random_state=0).fit(F, y)  # with a classifier of its own on the features
print(est.fit_policy(F_cal, y_cal, TargetRisk(0.1)).policy_.certificate_)
