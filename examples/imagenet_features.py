"""
ImageNet features: every trust head against maximum probability
===============================================================

From an image folder to a certified decision: any folder of sub-folders, any timm network, its weights from a file
or from timm. Features are extracted once, to disk; the network's own last layer is the frozen classifier; every
trust head is compared with maximum probability on images that neither has seen.

Run it on your own images::

    python examples/imagenet_features.py --images val/ --model vit_base_patch16_224 --pretrained --classes synsets.txt

``--classes`` lists the folder names in the order of the network's outputs; without it a logistic regression on the
features is the classifier. With no ``--images`` a small folder of digits is made, so that the script runs anywhere.
"""

# sphinx_gallery_thumbnail_path = "thumbnails/imagenet_features.svg"

import argparse
import warnings
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abstain import (
    CorrectnessTrust,
    FocalTrust,
    SelectiveClassifier,
    SteepSlopeTrust,
    TargetRisk,
    TCPTrust,
    TimmBackbone,
)
from abstain.backbones import image_folder
from abstain.metrics import RiskCoverageDisplay, augrc, aurc, bootstrap_ci
from abstain.scores import MaxLogitPNorm, entropy, gini, margin, max_probability
from abstain.warnings import FewErrorsWarning, UncertifiedWarning

HEADS = {
    "margin": lambda clf: SelectiveClassifier(clf, margin),
    "entropy": lambda clf: SelectiveClassifier(clf, entropy),
    "Gini (DOCTOR)": lambda clf: SelectiveClassifier(clf, gini),
    "MaxLogit-pNorm": lambda clf: SelectiveClassifier(clf, MaxLogitPNorm(), random_state=0),
    "correctness": lambda clf: CorrectnessTrust(clf, guard=None, random_state=0),
    "correctness, 3:1": lambda clf: CorrectnessTrust(clf, error_weight=3.0, guard=None, random_state=0),
    "focal": lambda clf: FocalTrust(clf, guard=None, random_state=0),
    "TCP": lambda clf: TCPTrust(clf, guard=None, random_state=0),
    "normalised TCP": lambda clf: TCPTrust(clf, ratio=True, guard=None, random_state=0),
    "steep slope": lambda clf: SteepSlopeTrust(clf, guard=None, random_state=0),
    "steep slope, paper's inputs": lambda clf: SteepSlopeTrust(
        clf, head_inputs="features", unit_norm=True, guard=None, random_state=0
    ),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--images", type=Path, help="folder of sub-folders of images")
    parser.add_argument("--model", default="test_vit", help="name of a timm network")
    parser.add_argument("--weights", type=Path, help="state dict to load")
    parser.add_argument("--pretrained", action="store_true", help="let timm download weights")
    parser.add_argument("--mean", type=float, nargs=3, help="mean of the channels")
    parser.add_argument("--std", type=float, nargs=3, help="standard deviation of the channels")
    parser.add_argument("--classes", type=Path, help="folder names in the order of the network's outputs")
    parser.add_argument("--risk", type=float, default=0.1, help="selective risk to certify")
    parser.add_argument("--out", type=Path, default=Path("out/imagenet_features"), help="where results go")
    return parser.parse_args()


def digits_folder(root):
    """Write noisy digits as images, one folder a class."""
    from PIL import Image

    from abstain.datasets import load_hard_digits

    X, y = load_hard_digits(noise=3.0)
    pixels = np.clip(X.reshape(-1, 8, 8) * 16, 0, 255).astype(np.uint8)
    for i, (image, label) in enumerate(zip(pixels[:600], y[:600], strict=True)):
        path = root / str(label) / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((64, 64)).save(path)
    return root


def compare(make, clf, X, y):
    """Fit on one half, look at the other, and the reverse; average AURC, AUGRC and their paired intervals."""
    estimates, widths = [], []
    for fit, test in StratifiedKFold(2, shuffle=True, random_state=0).split(X, np.zeros(len(y))):
        model = make(clf).fit(X[fit], y[fit])
        correct = model.predict(X[test]) == y[test]
        score, baseline = model.score_samples(X[test]), max_probability(model.predict_proba(X[test]))
        values = [1000 * metric(correct, score) for metric in (aurc, augrc)]
        paired = bootstrap_ci(aurc, correct, score, baseline=baseline, random_state=0)
        estimates.append([*values, 1000 * paired.estimate])
        widths.append(500 * (paired.high - paired.low))
    area, generalised, difference = np.mean(estimates, axis=0)
    half = np.sqrt(np.sum(np.square(widths))) / 2
    return area, generalised, difference, difference - half, difference + half


def certify(clf, X, y, risk, rng):
    """Fit a trust head, certify a threshold on fresh images, and look at the rest."""
    fit, cal, test = np.split(rng.permutation(len(y)), [int(0.4 * len(y)), int(0.75 * len(y))])
    model = SteepSlopeTrust(clf, random_state=0).fit(X[fit], y[fit])
    model.fit_policy(X[cal], y[cal], TargetRisk(risk, delta=0.1))
    return model, X[test], y[test]


def main():
    args = arguments()
    warnings.simplefilter("ignore", FewErrorsWarning)
    warnings.simplefilter("ignore", UncertifiedWarning)
    args.out.mkdir(parents=True, exist_ok=True)
    images = args.images or digits_folder(args.out / "digits")
    backbone = TimmBackbone(args.model, pretrained=args.pretrained, weights=args.weights, mean=args.mean, std=args.std)
    paths, labels = image_folder(images)
    X = backbone.extract(paths, args.out / f"{args.model}.npy")
    if args.classes:
        clf = backbone.linear_head(np.array(args.classes.read_text().split()))
    else:
        clf = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))

    rng = np.random.default_rng(0)
    base = SelectiveClassifier(clf).fit(X, labels)
    kind = "top-1" if args.classes else "training top-1"
    lines = [
        f"{len(labels)} images, {X.shape[1]} features of {args.model}, {kind} {(base.predict(X) == labels).mean():.3f}",
        "AURC and AUGRC x 1000, mean of two halves, each scored by a head fitted on the other; 95 % paired bootstrap",
        "",
        f"{'score':<30}{'AURC':>8}{'AUGRC':>8}{'AURC - max. probability':>26}",
    ]
    makers = {"maximum probability": SelectiveClassifier, **HEADS}
    for name, make in makers.items():
        area, generalised, difference, low, high = compare(make, clf, X, labels)
        interval = "" if name == "maximum probability" else f"{difference:+8.2f} [{low:+.2f}, {high:+.2f}]"
        lines.append(f"{name:<30}{area:8.2f}{generalised:8.2f}{interval:>26}")

    model, X_test, y_test = certify(clf, X, labels, args.risk, rng)
    decided = model.accept(X_test)
    errors = int((model.predict(X_test) != y_test)[decided].sum())
    lines += ["", f"certificate for a selective risk of {args.risk:g}:", str(model.policy_.certificate_)]
    lines.append(f"test        {decided.sum()} of {len(y_test)} answered, {errors} errors")
    (args.out / "table.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))

    import matplotlib

    matplotlib.use("Agg")
    correct = model.predict(X_test) == y_test
    baseline = max_probability(model.predict_proba(X_test))
    display = RiskCoverageDisplay.from_predictions(correct, baseline, name="maximum probability", color="0.6")
    RiskCoverageDisplay.from_estimator(model, X_test, y_test, name="steep slope", ax=display.ax_)
    display.figure_.savefig(args.out / "risk_coverage.png", dpi=120)
    print(f"\nThe intervals say which differences are real: where one holds 0, the head has not shown its worth here.\n"
          f"Picture: {args.out / 'risk_coverage.png'}")  # fmt: skip


if __name__ == "__main__":
    main()
