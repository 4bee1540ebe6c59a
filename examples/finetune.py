"""
Fine-tuning, with one process or with several
=============================================

A script for a folder of images::

    python examples/finetune.py --images FOLDER --model resnet50 --weights FILE --out run
    torchrun --nproc-per-node=4 examples/finetune.py --images FOLDER ...

FOLDER holds a sub-folder of images for each class. A run that is cut off goes on from ``<out>/state.pt``; all processes
get the same data and seed, each computes a part of every batch, and the first one writes. Without ``--images`` it runs
on digits, with a small network of random weights.
"""

# sphinx_gallery_thumbnail_path = "thumbnails/finetune.svg"

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import train_test_split

from abstain import FineTunedClassifier, FineTuning, TimmBackbone
from abstain.backbones import image_folder
from abstain.metrics import aurc
from abstain.outputs import ClassOutputs


def digits():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    images = np.repeat((X[:400].reshape(-1, 8, 8, 1) * 15).astype(np.uint8), 3, axis=3)
    return images, y[:400], TimmBackbone("test_resnet", weights="random", input_size=32, device="cpu")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, default=Path("out/finetune"))
    arguments = parser.parse_args()
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    if several:
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if arguments.images is None:
        images, labels, backbone = digits()
    else:
        paths, labels = image_folder(arguments.images)
        images, backbone = np.array(paths, dtype=str), TimmBackbone(arguments.model, weights=arguments.weights)
    learn, test = train_test_split(np.arange(len(labels)), test_size=0.25, stratify=labels, random_state=0)
    training = FineTuning(epochs=arguments.epochs, lr=arguments.lr, batch_size=32, device=backbone.device)
    model = FineTunedClassifier(
        backbone, training=training, checkpoint=arguments.out / "state.pt", random_state=0
    ).fit(images[learn], labels[learn])  # fmt: skip
    if not several or torch.distributed.get_rank() == 0:
        for epoch in model.history_:
            print(f"epoch {epoch['epoch'] + 1}: held-out loss {epoch['validation_loss']:.4f}")
        outputs = ClassOutputs(model.predict_proba(images[test]), classes=model.classes_)
        right = model.classes_[outputs.answer] == labels[test]
        print(f"accuracy {right.mean():.4f}, AURC {aurc(right, outputs.log_odds):.5f} on {len(test)} images")
    if several:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
