"""Each way to a GPU: is what it gives what the CPU gives, and is it as fast as the plain thing beside it?

Rows: extraction of features (against the network alone, the decoders alone and timm's own loader), trust and selection
networks, nearest neighbours by faiss, the linear probe, fine-tuning. Images are smooth noise that the script draws; the
networks have random weights. Without a GPU it says so and ends. ``--only=heads,probe`` runs some parts anew and keeps
the others as they were; ``--quick --device=cpu`` runs every line on a CPU, where the speeds mean nothing.
"""

import argparse
import contextlib
import importlib.util
import os
import sys
import tempfile
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
from common import Kept, Report, interleaved
from PIL import Image

import abstain
from abstain.metrics import aurc

HERE = all(importlib.util.find_spec(name) for name in ("torch", "timm"))
if HERE:
    import timm
    import torch

FULL = {
    "networks": ("resnet50", "vit_base_patch16_224"), "tuned": "resnet18", "images": 2000, "copies": 4, "checked": 64,
    "batch": 256, "rows": 100_000, "checked_rows": 20_000, "columns": 512, "classes": 100, "queries": 20_000,
    "epochs": 5, "repeats": 2,
}  # fmt: skip
QUICK = {
    "networks": ("test_resnet", "test_vit"), "tuned": "test_resnet", "images": 64, "copies": 2, "checked": 8,
    "batch": 64, "rows": 4000, "checked_rows": 2000, "columns": 32, "classes": 10, "queries": 300,
    "epochs": 3, "repeats": 1,
}  # fmt: skip


class Run:
    """Where and how large; prints and keeps rows: difference from the CPU, and speed beside something plain."""

    def __init__(self, device, sizes, folder):
        self.device, self.sizes, self.rows, self.lines = device, sizes, {}, []
        self.cuda, self.workers = device == "cuda", min(len(os.sched_getaffinity(0)), 16)
        self.files, self.pixels = draw_images(sizes.images, folder, self.workers)
        card = torch.cuda.get_device_name() if self.cuda else "CPU"
        self.where = f"{card}, torch {torch.__version__}, timm {timm.__version__}, {self.workers} workers"

    def say(self, line):
        self.lines.append(line)
        print(line, flush=True)

    def row(self, name, *, difference=None, most=None, took="", ratio=None, least=None, note=""):
        values = {"difference": difference, "most": most, "took": took, "ratio": ratio, "least": least}
        self.rows[name] = values | {"note": note}
        forms = zip(values.values(), (12, 8, 15, 7, 7), (".2g", "g", "", ".2f", "g"), strict=True)
        text = "".join(f"{'' if value is None else format(value, form):>{width}}" for value, width, form in forms)
        fast = least is None or ratio >= least or not self.cuda
        missed = "" if fast and (most is None or difference <= most) else "  MISSED"
        self.say(f"{name:<62}{text}{missed}   {note}".rstrip())

    def check(self, name, found, wanted, most, note=""):
        """Norm of the difference, beside that of what is wanted."""
        difference = float(np.linalg.norm(np.subtract(found, wanted)) / np.linalg.norm(wanted))
        self.row(name, difference=difference, most=most, note=note)

    def compare(self, name, ours, plain):
        times = interleaved({"ours": ours, "plain": plain}, self.sizes.repeats)
        ratio, note = times["plain"] / times["ours"], f"plain {times['plain']:.2f} s"
        self.row(name, took=f"{times['ours']:.2f} s", ratio=ratio, note=note)

    def wait(self):
        if self.cuda:
            torch.cuda.synchronize()

    def autocast(self):
        """bfloat16 on a GPU, as ``amp="auto"`` takes it."""
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.cuda)


@contextlib.contextmanager
def full_float32():
    """Convolutions in float32: on a GPU torch rounds their inputs to TF32 unless told otherwise."""
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def draw_images(n, folder, workers):
    """Smooth noise of 256 pixels, as JPEG files and as an array."""
    coarse = np.random.default_rng(0).integers(0, 256, (n, 24, 24, 3), dtype=np.uint8)
    files = [os.path.join(folder, f"{i}.jpg") for i in range(n)]

    def draw(i):
        image = Image.fromarray(coarse[i]).resize((256, 256), Image.Resampling.BICUBIC)
        image.save(files[i], quality=90)
        return np.asarray(image)

    with ThreadPoolExecutor(workers) as pool:
        return files, np.stack(list(pool.map(draw, range(n))))


class Pictures:
    """The data set of a plain script: (transformed image, label) by number."""

    def __init__(self, images, labels=None, transform=None):
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = self.images[i]
        image = Image.fromarray(image) if isinstance(image, np.ndarray) else Image.open(image).convert("RGB")
        return self.transform(image), 0 if self.labels is None else int(self.labels[i])


def feature_checks(run, model):
    """A few images in three precisions, against float32 on the CPU."""
    make, files = partial(abstain.TimmBackbone, model, weights="random"), run.files[: run.sizes.checked]
    wanted, backbone = make(device="cpu", amp=False).transform(files), make(device=run.device, amp=False)
    with full_float32():
        run.check(f"{model}, float32 without TF32", backbone.transform(files), wanted, 1e-4)
    run.check(f"{model}, amp=False as it comes", backbone.transform(files), wanted, 1e-2)
    run.check(f"{model}, bfloat16", backbone.set_params(amp=True).transform(files), wanted, 5e-2)


def feature_speed(run, model, kind, images):
    network = timm.create_model(model, num_classes=0).eval().to(run.device, memory_format=torch.channels_last)
    config, n, batch = timm.data.resolve_model_data_config(network), len(images), run.sizes.batch
    backbone = abstain.TimmBackbone(
        model, weights="random", device=run.device, num_workers=run.workers, batch_size=batch
    )
    options = {name: config[name] for name in ("input_size", "interpolation", "mean", "std", "crop_pct")}
    options |= {"batch_size": batch, "num_workers": run.workers, "pin_memory": run.cuda}
    resident = torch.randn(batch, *config["input_size"], device=run.device).to(memory_format=torch.channels_last)

    def loader():
        return timm.data.create_loader(Pictures(images), device=torch.device(run.device), **options)

    @torch.inference_mode()
    def alone():
        with run.autocast():
            for _ in range(-(-n // batch)):
                network(resident)
        run.wait()

    @torch.inference_mode()
    def plain():
        found = []
        for pixels, _ in loader():
            with run.autocast():
                outputs = network(pixels.contiguous(memory_format=torch.channels_last))
            found.append(outputs.float().cpu().numpy())
        return np.concatenate(found)

    def decoders():
        for _ in loader().loader:  # the loader inside the one that copies to the device
            pass

    functions = {"ours": lambda: backbone.transform(images), "plain": plain, "decoders": decoders, "alone": alone}
    rate = {name: n / seconds for name, seconds in interleaved(functions, run.sizes.repeats).items()}
    ours, note = rate["ours"], f"network {rate['alone']:.0f}/s, decoders {rate['decoders']:.0f}/s"
    run.row(f"{model}, {kind} / the slower of network and decoders", took=f"{ours:.0f} images/s", least=0.9,
            ratio=ours / min(rate["alone"], rate["decoders"]), note=note)  # fmt: skip
    note = f"loop {rate['plain']:.0f}/s"
    run.row(f"{model}, {kind} / timm's loader and a loop", ratio=ours / rate["plain"], least=1, note=note)


def features(run):
    array = np.concatenate([run.pixels] * run.sizes.copies)
    for model in run.sizes.networks:
        feature_checks(run, model)
        feature_speed(run, model, "JPEG files", run.files * run.sizes.copies)
        feature_speed(run, model, "array", array)


def rows(n, d, n_classes):
    """Columns, labels that they tell in part, and outcomes that they tell in part."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(np.float32)
    logits = X @ rng.normal(scale=2 / np.sqrt(d), size=(d, n_classes)).astype(np.float32)
    right = rng.random(n) < 1 / (1 + np.exp(-1 - X[:, :20].sum(axis=1) / 3))
    return X, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1), right


def plain_network(run, X, goal, epochs, batch=1024):
    """A script's loop over data that stay on the device: draw an order, take a batch, step."""
    X, goal = torch.from_numpy(X).to(run.device), torch.from_numpy(goal.astype(np.int64)).to(run.device)
    layers = torch.nn.Linear(X.shape[1], 256), torch.nn.ReLU(), torch.nn.Linear(256, int(goal.max()) + 1)
    network = torch.nn.Sequential(*layers).to(run.device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(epochs):
        for picked in torch.randperm(len(X), device=run.device).split(batch):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(network(X[picked]), goal[picked]).backward()
            optimiser.step()
    run.wait()


def head(run, name, make, X, goal, passes, share):
    """A network whose fit makes so many passes over a share of the rows in each epoch."""
    knobs, areas, seconds = {"epochs": run.sizes.epochs}, [], []
    few, test, part = slice(run.sizes.checked_rows), slice(run.sizes.checked_rows, None), slice(int(share * len(X)))
    for device in ("cpu", run.device):
        started = time.perf_counter()
        model = make(training=abstain.Training(**knobs, device=device), random_state=0).fit(X[few], goal[few])
        seconds.append(time.perf_counter() - started)
        correct = model.predict(X[test]) == goal[test] if hasattr(model, "predict") else goal[test]
        areas.append(aurc(correct, model.score_samples(X[test])))
    note = f"{areas[0]:.4f}; {run.sizes.checked_rows} rows: CPU {seconds[0]:.1f} s, here {seconds[1]:.1f} s"
    run.row(f"{name}, AURC held out", difference=abs(areas[1] - areas[0]), most=1e-3, note=note)
    model = make(training=abstain.Training(**knobs, device=run.device), random_state=0)
    run.compare(f"{name}, {len(X)} x {X.shape[1]} / a loop on resident data", lambda: model.fit(X, goal),
                lambda: plain_network(run, X[part], goal[part], passes * run.sizes.epochs))  # fmt: skip


def heads(run):
    X, y, right = rows(run.sizes.rows, run.sizes.columns, 10)
    # five folds of four fifths and one fit on all, each of which holds a tenth back
    head(run, "TrustHead", partial(abstain.TrustHead, hidden=(256,)), X, right, 5, 0.9)
    head(run, "SYNCClassifier", partial(abstain.SYNCClassifier, warm_up_epochs=1), X, y, 1, 0.8)


def neighbours(run):
    faiss = importlib.import_module("faiss") if importlib.util.find_spec("faiss") else None
    n_gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    if faiss is None or (run.cuda and not n_gpus):
        run.say("NearestNeighbours: left out, faiss is absent or sees no GPU")
        return
    n = run.sizes.rows
    X, y, _ = rows(n + run.sizes.queries, run.sizes.columns, 10)
    slow, fast, lists = (
        abstain.NearestNeighbours(engine=engine, index=index).fit(X[:n], y[:n])
        for engine, index in (("sklearn", "flat"), ("faiss", "flat"), ("faiss", "ivf"))
    )
    few = X[n::20]
    wanted = slow.score_samples(few)
    run.check("NearestNeighbours, mean distance", fast.score_samples(few), wanted, 1e-5)
    run.check('NearestNeighbours, mean distance, index="ivf"', lists.score_samples(few), wanted, 0.1)

    def plain():
        index = faiss.IndexFlatL2(X.shape[1])
        index = faiss.index_cpu_to_all_gpus(index) if n_gpus else index
        index.add(X[:n])
        return index.search(X[n:], 10)

    run.compare(f"NearestNeighbours, {len(X) - n} of {n} / faiss alone",
                lambda: abstain.NearestNeighbours(engine="faiss").fit(X[:n], y[:n]).score_samples(X[n:]),
                plain)  # fmt: skip


def probe(run):
    X, y, _ = rows(run.sizes.rows, run.sizes.columns, run.sizes.classes)
    few = slice(run.sizes.checked_rows)
    slow, fast = (abstain.LinearProbe(device=device).fit(X[few], y[few]) for device in ("cpu", run.device))
    note = f"loss {slow.loss_:.6f} and {fast.loss_:.6f}"
    run.check("LinearProbe, probabilities", fast.predict_proba(X[few]), slow.predict_proba(X[few]), 1e-2, note)
    model = abstain.LinearProbe(device=run.device)

    def plain():
        columns, codes = torch.from_numpy(X).to(run.device), torch.from_numpy(y).to(run.device)
        weight = torch.zeros(X.shape[1], run.sizes.classes, device=run.device, requires_grad=True)
        for _ in range(model.n_iter_):
            weight.grad = None
            torch.nn.functional.cross_entropy(columns @ weight, codes).backward()
        run.wait()

    run.compare(f"LinearProbe, {len(X)} x {X.shape[1]} / as many plain passes", lambda: model.fit(X, y), plain)


def fit_backbone(run, device, images, y, epochs, amp, held, size=None, compiled=False):
    backbone = abstain.TimmBackbone(run.sizes.tuned, weights="random", device=device, amp=amp, input_size=size)
    knobs = abstain.FineTuning(
        epochs, device=device, amp=amp, validation_fraction=held, schedule="constant", warm_up=0, compile=compiled
    )
    model = abstain.FineTunedClassifier(backbone.set_params(num_workers=run.workers), training=knobs, random_state=0)
    return model.fit(images, y)


def plain_tuning(run, images, y, epochs):
    """A script's loop with the same network, rate, clipping, precision and batches."""
    network = timm.create_model(run.sizes.tuned, num_classes=int(y.max()) + 1)
    pictures = Pictures(images, y, timm.data.create_transform(**timm.data.resolve_model_data_config(network)))
    # in evaluation moments of batches are frozen, as FineTuning has them; there is no dropout
    network = network.eval().to(run.device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=1e-2)
    options = {"batch_size": 64, "shuffle": True, "num_workers": run.workers, "pin_memory": run.cuda}
    options["persistent_workers"] = run.workers > 0
    loader = torch.utils.data.DataLoader(pictures, **options)
    for pixels, codes in (pair for _ in range(epochs) for pair in loader):
        pixels = pixels.to(run.device, memory_format=torch.channels_last, non_blocking=True)
        with run.autocast():
            loss = torch.nn.functional.cross_entropy(network(pixels), codes.to(run.device, non_blocking=True))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    run.wait()


def tuning(run):
    name, pixels, losses = f"fit_backbone, {run.sizes.tuned}", run.pixels, []
    y = pixels.mean(axis=(1, 2)).argmax(axis=1)  # the colour that prevails
    few = slice(4 * run.sizes.checked)
    # in float16 the first steps may overflow and be left out, so that what they lead to is another
    ways = {"float32": (False, 1e-3, 3), "float16": ("float16", 5e-2, 2)}
    with full_float32():
        for device, amp in (("cpu", False), *((run.device, amp) for amp, *_ in ways.values())):
            start, epoch = fit_backbone(run, device, pixels[few], y[few], 1, amp, 0.25, size=96).history_
            losses.append([start["validation_loss"], epoch["train_loss"], epoch["validation_loss"]])
    for (way, (_, most, count)), found in zip(ways.items(), losses[1:], strict=True):
        difference = np.abs(np.divide(found, losses[0]) - 1)[:count].max()
        run.row(f"{name}, losses of an epoch, {way}", difference=difference, most=most)
    fit, loop = (
        partial(fit_backbone, run, run.device, pixels, y, amp="auto", held=0.0),
        partial(plain_tuning, run, pixels, y),
    )
    functions = {"three": partial(fit, epochs=3), "one": partial(fit, epochs=1)}
    functions |= {"loop of three": partial(loop, 3), "loop of one": partial(loop, 1)}
    functions |= {f"compiled {n}": partial(fit, epochs=e, compiled=True) for n, e in (("three", 3), ("one", 1))}
    times = interleaved(functions, run.sizes.repeats)
    # two more epochs: what is done once (features and the probe of the start, starting workers) is in both
    ours, compiled, plain = (max(times[f"{of}three"] - times[f"{of}one"], 1e-3) for of in ("", "compiled ", "loop of "))
    for way, seconds, whole in (("", ours, times["one"]), (", compiled", compiled, times["compiled one"])):
        note = f"loop {2 * len(y) / plain:.0f}/s; whole fit of one epoch {whole:.1f} s"
        took = f"{2 * len(y) / seconds:.0f} images/s"
        run.row(f"{name}, two epochs{way} / a loop", took=took, ratio=plain / seconds, note=note)


PARTS = {"features": features, "heads": heads, "neighbours": neighbours, "probe": probe, "tuning": tuning}


def run_parts(parts, run, kept):
    """Run each part and keep it; one that fails leaves the others their turn. Return how many failed."""
    failed = 0
    for name in parts:
        started, run.rows, run.lines = time.perf_counter(), {}, []
        try:
            PARTS[name](run)
            run.say(f"({name}: {time.perf_counter() - started:.0f} s; {run.where})")
        except Exception as error:
            failed += 1
            traceback.print_exc()
            run.say(f"{name}: FAILED, {type(error).__name__}: {error}")
        kept[name] = {"where": run.where, "rows": run.rows, "lines": run.lines}
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", default=",".join(PARTS))
    arguments = parser.parse_args()
    if not HERE or (arguments.device == "cuda" and not torch.cuda.is_available()):
        print("torch, timm or a CUDA device is absent: nothing was run.")
        return
    warnings.simplefilter("ignore", abstain.warnings.AbstainWarning)
    quick = arguments.quick or arguments.device == "cpu"
    report, kept, sizes = Report("bench_gpu", quick), Kept("bench_gpu", quick), QUICK if arguments.quick else FULL
    report(f"{'':<62}{'difference':>12}{'most':>8}{'took':>15}{'ratio':>7}{'least':>7}")
    with tempfile.TemporaryDirectory() as folder:
        run = Run(arguments.device, SimpleNamespace(**sizes), folder)
        failed = run_parts(arguments.only.split(","), run, kept)
    report.lines += [line for name in PARTS if name in kept for line in kept[name]["lines"]]
    report.keep()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
