"""Calibration of maps of salient objects (ECSSD): over all pixels together, and image by image; and promises by image.

The maps are the logits of a head on a frozen network, too sure on images that it was not trained on. Calibrators learn
from 200 images; those of adaptive label perturbation also from the 500 that the head was trained on, as they ask.
"""

import time
import warnings

import numpy as np
from common import DATA, Report, mean_interval, quick
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from abstain import TargetRisk
from abstain.calibration import Affine, ASLPCalibrator, AutoCalibrator, Isotonic, Temperature
from abstain.dense import ContextCalibrator, DenseCalibrator, dense_report, image_outcomes, pixel_outcomes
from abstain.losses import LabelPerturbationLoss
from abstain.solvers.perturbed_heads import fit_temperature_head
from abstain.warnings import AbstainWarning

N_SPLITS = 5
COLUMNS = ("log_loss", "ece", "image_ece", "overconfidence", "brier", "accuracy", "pixel_aurc", "image_aurc")


class Smoothed(DenseCalibrator):
    """A temperature that is fitted to training images, with one level of perturbation for all."""

    def __init__(self, level=0.0, random_state=0):
        super().__init__(random_state=random_state, pixels_per_image=200)
        self.level = level

    def _fit(self, maps, masks, valid, held_out):
        super()._fit(maps, masks, valid, None)
        z = np.concatenate([maps.image(i).reshape(2, -1)[:, ::40].T for i in np.flatnonzero(~held_out)])
        codes = np.concatenate([masks[i].ravel()[::40] for i in np.flatnonzero(~held_out)]).astype(int)
        even = np.ones(len(codes))
        head = fit_temperature_head(LabelPerturbationLoss(), z, codes, even, np.full(len(codes), self.level))
        self.calibrator_.temperature_ = 1.0 / head.slope


def aslp(mode, final, head="temperature"):
    calibrator = ASLPCalibrator(mode=mode, head=head, final_temperature=final, random_state=0)
    return DenseCalibrator(calibrator, pixels_per_image=200, random_state=0)


def rows():
    """Name -> calibrator, and whether it also learns from training images."""
    pooled = {
        "temperature": Temperature(),
        "affine": Affine(),
        "isotonic": Isotonic(),
        "AutoCalibrator": AutoCalibrator(random_state=0),
    }
    yield from ((name, DenseCalibrator(c, random_state=0, pixels_per_image=500), False) for name, c in pooled.items())
    for name, loss in (
        ("label smoothing .1", LabelPerturbationLoss.label_smoothing(0.1)),
        ("hard inversion, static .05", LabelPerturbationLoss.hard_inversion(0.05)),
        ("moderation, static .05", LabelPerturbationLoss.moderation(0.05)),
    ):
        yield name, Smoothed(loss.level), True
    for mode in ("mc", "mei", "gap"):
        yield f"ASLP-{mode.upper()}, published", aslp(mode, False), True
        yield f"ASLP-{mode.upper()}, affine", aslp(mode, False, "affine"), True
        yield f"ASLP-{mode.upper()} + temperature", aslp(mode, True), True
    yield "context", ContextCalibrator(random_state=0), False


def load():
    saved, images = np.load(DATA / "ecssd_96_logits.npz"), np.load(DATA / "ecssd_96.npz")
    return saved["logits"].astype(np.float32), (images["masks"] > 0).astype(np.int64), saved


def oracle(logits, masks):
    """Every image at the temperature that is best for it, which needs its labels: what no calibrator can pass."""
    out = np.empty_like(logits)
    for i, (z, y) in enumerate(zip(logits.astype(float), masks, strict=True)):

        def loss(t, z=z, y=y):
            return np.mean(np.logaddexp(0, z * np.exp(t)) - y * z * np.exp(t))

        out[i] = z * np.exp(minimize_scalar(loss, bounds=(-6, 3), method="bounded").x)
    return out


def one_split(logits, masks, train, fit, test):
    """Report of every row."""
    both = np.concatenate([train, fit])
    held_out = np.arange(len(both)) >= len(train)
    found = {"raw": dense_report(logits[test], masks[test], kind="logits")}
    for name, calibrator, all_images in rows():
        if all_images:
            calibrator.fit(logits[both], masks[both], held_out=held_out)
        else:
            calibrator.fit(logits[fit], masks[fit])
        found[name] = dense_report(calibrator.predict_proba(logits[test]), masks[test])
    found["temperature by image, oracle"] = dense_report(oracle(logits[test], masks[test]), masks[test], kind="logits")
    return found


def quality(report, logits, masks, saved, small):
    rest = np.concatenate([saved["val"], saved["test"]])
    splits = [(saved["val"], saved["test"])]
    for seed in range(0 if small else N_SPLITS):
        order = np.random.default_rng(seed).permutation(len(rest))
        splits.append((rest[order[:200]], rest[order[200:]]))
    if small:
        splits = [(saved["val"][:30], saved["test"][:40])]
        saved = {"train": saved["train"][:40]}
    reports = [one_split(logits, masks, saved["train"], *split) for split in splits]
    names = ("log-loss", "ECE pixels", "ECE in images", "over-conf.", "Brier", "accuracy", "AURC pixels", "AURC images")
    head = f"{'':<32}" + "".join(f"{name:>15}" for name in names)
    report("the split that comes with the data")
    report(head)
    for name, found in reports[0].items():
        report(f"{name:<32}" + "".join(f"{getattr(found, c):>15.4f}" for c in COLUMNS))
    if small:
        return
    report("")
    report(
        f"{N_SPLITS} random splits, 200 images to fit and 300 to test; difference to temperature, mean +- 95 % interval"
    )
    report(f"{'':<32}" + "".join(f"{name:>17}" for name in names))
    for name in reports[0]:
        cells = []
        for c in COLUMNS:
            gains = [getattr(found[name], c) - getattr(found["temperature"], c) for found in reports[1:]]
            mean, half = mean_interval(gains)
            cells.append(f"{f'{mean:+.4f}+-{half:.4f}':>17}")
        report(f"{name:<32}" + "".join(cells))


def drawn_masks(proba, reach, rng):
    """Masks of which the probabilities are true, where neighbours are right or wrong together.

    A pixel is set where a standard normal field, whose correlation falls by e within ``reach`` pixels, is below the
    quantile of its probability.
    """
    side = 2 * proba.shape[1]
    distance = np.minimum(np.arange(side), side - np.arange(side))
    kernel = np.exp(-np.hypot(distance[:, None], distance) / reach)
    spectrum = np.sqrt(np.maximum(np.fft.fft2(kernel).real, 0.0))
    noise = np.fft.fft2(rng.normal(size=(len(proba), side, side))) * spectrum
    field = np.fft.ifft2(noise).real[:, : proba.shape[1], : proba.shape[2]]
    return (ndtr(field / field.std()) < proba).astype(np.int64)


def correlation(masks, proba, lag=8):
    """Correlation of standardised residuals of pixels that are ``lag`` apart."""
    residual = (masks - proba) / np.sqrt(np.maximum(proba * (1 - proba), 1e-4))
    return float(np.corrcoef(residual[:, :-lag].ravel(), residual[:, lag:].ravel())[0, 1])


def floor(report, logits, masks, saved, small):
    """Errors within images of maps that are calibrated by construction."""
    fitted = ContextCalibrator(random_state=0).fit(logits[saved["val"]], masks[saved["val"]])
    test = saved["test"][:20] if small else saved["test"]
    proba = fitted.predict_proba(logits[test]).astype(np.float64)
    report("")
    report("the context calibrator, and masks drawn from its probabilities, by the reach of their errors in pixels")
    report(f"{'':<32}{'correlation at 8 pixels':>25}{'ECE in images':>15}")
    measured = dense_report(proba, masks[test]).image_ece
    report(f"{'measured':<32}{correlation(masks[test], proba):>25.2f}{measured:>15.4f}")
    for reach in (1, 15, 30, 60, 120):
        rng = np.random.default_rng(0)
        drawn = drawn_masks(proba, reach, rng)
        error = dense_report(proba, drawn).image_ece
        report(f"{f'drawn, reach {reach}':<32}{correlation(drawn, proba):>25.2f}{error:>15.4f}")


def promises(report, logits, masks, saved, small):
    """Broken promises of a share of wrong pixels among those that are answered, by what is taken as a unit."""
    fitted = DenseCalibrator(random_state=0).fit(logits[saved["val"]], masks[saved["val"]])
    test = saved["test"]
    proba = fitted.predict_proba(logits[test])[:, ::4, ::4]
    images = image_outcomes(proba, masks[test][:, ::4, ::4])
    pixels = pixel_outcomes(proba, masks[test][:, ::4, ::4])
    n_sets, rng = (20 if small else 1000), np.random.default_rng(0)
    report("")
    report(f"promises at delta = 0.1, {n_sets} calibration sets drawn from the test images, which are the population")
    report(f"{'':<44}{'20 images':>12}{'60 images':>12}{'150 images':>12}")
    for name, kind, risk in (
        ("pixels, clusters of images, risk .05", "clusters", 0.05),
        ("pixels as if independent, risk .05", "pixels", 0.05),
        ("images, graded loss, risk .05", "images", 0.05),
    ):
        cells = []
        for n in (20, 60, 150):
            sets = n_sets if kind != "pixels" else n_sets // 5
            broken = np.mean([_broken(kind, risk, n, images, pixels, rng) for _ in range(sets)])
            cells.append(f"{broken:>12.3f}")
        report(f"{name:<44}" + "".join(cells))


def _broken(kind, risk, n, images, pixels, rng):
    """Whether the threshold of one calibration set has a larger risk in the population."""
    drawn = rng.integers(0, len(images.loss), n)
    if kind == "images":
        policy = TargetRisk(risk, delta=0.1).fit(images.confidence[drawn], loss=images.loss[drawn])
        accepted, loss = policy.accept(images.confidence), images.loss
    else:
        per_image = len(pixels.image) // len(images.loss)
        rows = (drawn[:, None] * per_image + np.arange(per_image)).ravel()
        options = {"clusters": np.repeat(np.arange(n), per_image)} if kind == "clusters" else {}
        policy = TargetRisk(risk, delta=0.1).fit(pixels.confidence[rows], pixels.correct[rows], **options)
        accepted, loss = policy.accept(pixels.confidence), 1.0 - pixels.correct
    return accepted.any() and loss[accepted].mean() > risk


def main():
    warnings.simplefilter("ignore", AbstainWarning)
    started, small = time.perf_counter(), quick()
    report = Report("bench_dense", small)
    if (DATA / "ecssd_96_logits.npz").exists():
        logits, masks, saved = load()
        quality(report, logits, masks, saved, small)
        floor(report, logits, masks, saved, small)
        promises(report, logits, masks, saved, small)
    else:
        report("the shared data are absent: nothing to measure")
    report.keep()
    print(f"({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
