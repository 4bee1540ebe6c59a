"""Images a second in training: `fine_tune` against a plain PyTorch loop with the same settings.

Both train the same network and linear head on Fashion-MNIST images of 64 pixels: AdamW, warm-up and cosine, clipped
gradients, moments of batch normalisation that stay, the same transform of PIL images, a loader with as many workers,
no validation. The two take turns, and change who begins; a ratio is that of one turn, and its 95 % interval is
Student's t over the turns. Features, first head and the build of the network are not timed. "kept" is the plain loop
with workers that live as long as the loader.

Fashion-MNIST is found as in bench_quality.py; without it nothing is run. ``--quick``: digits, one epoch, and nothing is
kept. ``--only=test_resnet`` runs the rows of one network, ``--fresh`` forgets what is kept.
"""

import math
import sys
import time
import warnings

import numpy as np
import torch
from bench_quality import FASHION, idx
from common import Kept, Report, argument, mean_interval
from PIL import Image
from sklearn.datasets import load_digits
from timm.data import create_transform
from torch import nn
from torch.utils.data import DataLoader, Dataset

import abstain
from abstain.backbones.tuned import fine_tune
from abstain.losses import SoftmaxLoss
from abstain.solvers.device import resolve_device
from abstain.solvers.heads import StandardisedLinear

QUICK = "--quick" in sys.argv
SIZE, TARGET = 64, 0.95
TURNS, EPOCHS = (2, 1) if QUICK else (7, 2)
JITTER = {"hflip": 0.5, "color_jitter": 0.3}
ROWS = {  # network, augmentation, workers, images
    "test_resnet, 0 workers": ("test_resnet", None, 0, 1024),
    "test_resnet, 2 workers": ("test_resnet", None, 2, 1024),
    "test_resnet, augmented, 2 workers": ("test_resnet", JITTER, 2, 1024),
    "resnet10t, 0 workers": ("resnet10t", None, 0, 512),
    "resnet10t, 2 workers": ("resnet10t", None, 2, 512),
    "tf_efficientnet_lite0, 2 workers": ("tf_efficientnet_lite0", None, 2, 256),
}


class Pictures(Dataset):
    """What one writes by hand: an image, transformed, and its label."""

    def __init__(self, images, labels, transform):
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.transform(Image.fromarray(self.images[i])), self.labels[i]


def data():
    """Images with three channels and labels, or nothing."""
    if QUICK:
        X, y = load_digits(return_X_y=True)
        return np.repeat((X.reshape(-1, 8, 8, 1) * 15).astype(np.uint8), 3, axis=3)[:128], y[:128].astype(int)
    if not FASHION.is_dir():
        return None
    images, labels = idx("t10k-images-idx3-ubyte.gz"), idx("t10k-labels-idx1-ubyte.gz")
    return np.repeat(images[..., None], 3, axis=3), labels.astype(int)


def tuning(augment):
    return abstain.FineTuning(epochs=EPOCHS, batch_size=32, lr=1e-3, augment=augment, validation_fraction=0.0)


def ours(backbone, images, labels, knobs):
    """Seconds that fine-tuning takes, and the loss of the last epoch."""
    width = backbone.module().num_features
    head = StandardisedLinear(np.zeros((10, width)), np.zeros(10), np.zeros(width), np.ones(width))
    loss = SoftmaxLoss()

    def mean_loss(outputs, batch, _):
        return loss.value_and_derivative(outputs[0], *batch.targets)[0].mean()

    started = time.perf_counter()
    history = fine_tune(
        backbone, images, head, mean_loss,
        targets=(labels,), learnt=np.arange(len(labels)), held=np.arange(0), tuning=knobs, seed=0, judge=None,
    )[2]  # fmt: skip
    return time.perf_counter() - started, history[-1]["train_loss"]


def plain(backbone, images, labels, knobs, keep=False):
    """The same for a loop by hand."""
    body, (_, _, config) = backbone.module(), backbone._loaded()
    device = next(body.parameters()).device
    body.reset_classifier(0)
    head = nn.Linear(body.num_features, 10).to(device)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    network = nn.Sequential(body, head)
    augmented = {"is_training": True, **knobs.augment} if knobs.augment else {}
    transform = create_transform(**config | augmented)
    started = time.perf_counter()
    torch.manual_seed(0)
    loader = DataLoader(
        Pictures(images, labels, transform), batch_size=knobs.batch_size, shuffle=True,
        num_workers=backbone.num_workers, persistent_workers=keep, pin_memory=device.type == "cuda",
    )  # fmt: skip
    optimiser = torch.optim.AdamW(network.parameters(), lr=knobs.lr, weight_decay=knobs.weight_decay)
    steps = len(loader) * knobs.epochs
    warm = knobs.warm_up * steps

    def factor(step):
        if step < warm:
            return (step + 1) / (math.ceil(warm) + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    for _ in range(knobs.epochs):
        network.train()
        for part in body.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()
        total = 0.0
        for pixels, targets in loader:
            pixels = pixels.to(device, memory_format=torch.channels_last, non_blocking=True)
            optimiser.zero_grad()
            with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
                features = body(pixels).float()
            loss = nn.functional.cross_entropy(head(features), targets.to(device))
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), knobs.clip_norm)
            optimiser.step()
            schedule.step()
            total += loss.item() * len(targets)
    return time.perf_counter() - started, total / len(images)


def measured(name, augment, workers, images, labels):
    """Seconds and last losses of each way, by turns, after one turn that does not count."""
    backbone = abstain.TimmBackbone(name, weights="random", input_size=SIZE, num_workers=workers)
    knobs, found = tuning(augment), {}
    ways = {"plain": plain, "ours": ours}
    if workers:
        ways["kept"] = lambda *arguments: plain(*arguments, keep=True)
    for turn in range(-1, TURNS):
        for way in list(ways)[:: 1 if turn % 2 else -1]:
            seconds, loss = ways[way](backbone, images, labels, knobs)
            if turn >= 0:
                found.setdefault(way, []).append([seconds, loss])
    return found


def ratios(found, way):
    """Images a second of ours over those of another way, by turns."""
    return [other[0] / own[0] for own, other in zip(found["ours"], found[way], strict=True)]


def main():
    warnings.simplefilter("ignore", abstain.warnings.AbstainWarning)
    report, kept, found = Report("bench_throughput", QUICK), Kept("bench_throughput", QUICK), data()
    if found is None:
        report("Fashion-MNIST is absent: nothing was run.")
        return
    images, labels = found
    rows = {key: row for key, row in ROWS.items() if row[0].startswith(argument("only") or "")}
    if QUICK:
        rows = dict(list(rows.items())[:2])
    for key, (name, augment, workers, count) in rows.items():
        if key not in kept:
            kept[key] = measured(name, augment, workers, images[:count], labels[:count])
    report(
        f"torch {torch.__version__}, {resolve_device().type}, {torch.get_num_threads()} threads of torch; {EPOCHS} "
        f"epochs in batches of 32, {TURNS} turns; mean and 95 % interval of ours / plain, target {TARGET}"
    )
    report(f"{'':36}{'plain, images/s':>18}{'ours, images/s':>18}{'ours / plain':>20}{'ours / kept':>20}{'losses':>18}")
    for key, (_, _, _, count) in rows.items():
        speeds = {way: EPOCHS * count / np.median([s for s, _ in turns]) for way, turns in kept[key].items()}
        cells = []
        for way in ("plain", "kept"):
            known = way in kept[key]
            mean, half = mean_interval(ratios(kept[key], way)) if known else (0, 0)
            cells.append(f"{mean:>12.3f} ± {half:<5.3f}" if known else f"{'':>20}")
        missed = "" if mean_interval(ratios(kept[key], "plain"))[0] >= TARGET else "  MISSED"
        losses = " / ".join(f"{kept[key][way][-1][1]:.3f}" for way in ("ours", "plain"))
        report(f"{key:36}{speeds['plain']:>18.1f}{speeds['ours']:>18.1f}{''.join(cells)}{losses:>18}{missed}")
    report.keep()


if __name__ == "__main__":
    main()
