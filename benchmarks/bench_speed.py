"""Speed as ratios to floors and to peers, both sides called in turn in one process; medians.

Rows and targets: linear trust head (gradient pass, whole fit), network head, AURC + AUGRC, ECE, thresholds,
decisions, prints of rows, import. A peer that is not installed leaves its row out.
"""

import subprocess
import sys
import time
from functools import partial

import numpy as np
from common import Report, interleaved, quick
from scipy.stats import beta
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from abstain import SelectiveClassifier, TargetRisk, Training, TrustHead
from abstain.datasets import make_known_risk
from abstain.losses import CrossEntropyLoss, SteepSlopeLoss
from abstain.metrics import expected_calibration_error
from abstain.metrics._risk_coverage import both_areas
from abstain.policies.binomial import p_values
from abstain.solvers.design import Design
from abstain.solvers.linear import gradient_at, solve
from abstain.utils.fingerprints import RowPrints
from abstain.warnings import muted


def line(report, name, ratio, target, detail, *, at_least):
    met = ratio >= target if at_least else ratio <= target
    sign = ">=" if at_least else "<="
    report(f"{name:<66}{ratio:>9.2f}   {sign} {target:<6g}{'' if met else '  MISSED'}   {detail}")


def problem(n, d):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(np.float32)
    logit = 1.7 + X[:, :20].sum(axis=1) / 3
    return X, (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float64)


def naive_epochs(X, target, epochs, batch=128, lr=1e-3):
    """What a plain torch script does: DataLoader(128), shuffle, Adam; seconds of the first epoch, last loss."""
    import torch

    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.tensor(target, dtype=torch.float32))
    loader = torch.utils.data.DataLoader(data, batch_size=batch, shuffle=True)
    head, loss = torch.nn.Linear(X.shape[1], 1), SteepSlopeLoss()
    optimiser = torch.optim.Adam(head.parameters(), lr=lr)
    first = None
    started = time.perf_counter()
    for _ in range(epochs):
        for columns, goal in loader:
            optimiser.zero_grad()
            loss.value(head(columns)[:, 0], goal).mean().backward()
            optimiser.step()
        first = first or time.perf_counter() - started
    with torch.no_grad():
        return first, float(loss.value(head(torch.from_numpy(X))[:, 0].double(), torch.tensor(target)).mean())


def linear_head(report, n, d, epochs):
    X, target = problem(n, d)
    design = Design(X)
    zero = np.zeros((design.size, 1))
    l2 = np.full((design.size, 1), 1e-3)
    loss = SteepSlopeLoss()
    times = interleaved(
        {
            "sum": lambda: [X[i : i + 4096].sum() for i in range(0, n, 4096)],
            "multiply": lambda: X @ np.ones(d, dtype=np.float32),
            "pass": lambda: gradient_at(loss, design, target, zero),
        },
        5,
    )
    floor = min(times["sum"], times["multiply"])  # the faster way of reading X once
    line(report, f"gradient pass / reading X ({n} x {d})", times["pass"] / floor, 4, f"{times['pass']:.3f} s",
         at_least=False)  # fmt: skip
    epoch, naive_loss = naive_epochs(X, target, epochs)
    line(
        report,
        "DataLoader(128) epoch / gradient pass",
        epoch / times["pass"],
        15,
        f"epoch {epoch:.2f} s",
        at_least=True,
    )
    started = time.perf_counter()
    fit = solve(loss, Design(X), target, l2=l2)
    seconds = time.perf_counter() - started
    line(report, "whole fit / ONE DataLoader(128) epoch", seconds / epoch, 0.75, f"{seconds:.2f} s", at_least=False)
    line(report, f"loss of the fit / loss after {epochs} such epochs", fit.value[0] / naive_loss, 1.0,
         f"{fit.value[0]:.6f} / {naive_loss:.6f}", at_least=False)  # fmt: skip


def network_head(report, n, d, width):
    import torch
    from sklearn.neural_network import MLPClassifier

    from abstain.solvers.network import train

    X, target = problem(n, d)
    design, rows = Design(X), np.arange(n)
    knobs = Training(epochs=1, batch_size=4096, validation_fraction=0.0, device="cpu")
    left, right = np.ones((4096, d), dtype=np.float32), np.ones((d, width), dtype=np.float32)

    def loader():
        data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.tensor(target, dtype=torch.float32))
        net = torch.nn.Sequential(torch.nn.Linear(d, width), torch.nn.ReLU(), torch.nn.Linear(width, 1))
        optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
        for columns, goal in torch.utils.data.DataLoader(data, batch_size=128, shuffle=True):
            optimiser.zero_grad()
            CrossEntropyLoss().value(net(columns)[:, 0], goal).mean().backward()
            optimiser.step()

    times = interleaved(
        {
            "ours": lambda: train(CrossEntropyLoss(), design, target, rows, hidden=(width,), unit_norm=False,
                                  training=knobs, seed=0),
            "loader": loader,
            "sklearn": lambda: MLPClassifier((width,), batch_size=200, max_iter=1, random_state=0).fit(X, target),
            "gemm": lambda: [left @ right for _ in range(max(n // 4096, 1))],
        },
        3,
    )  # fmt: skip
    # forward and weight gradient of the first layer: its input needs no gradient, so two products an epoch
    line(report, f"MLP: DataLoader(128) epoch / ours ({n} x {d}, {width})", times["loader"] / times["ours"], 2,
         f"{times['ours']:.2f} s", at_least=True)  # fmt: skip
    line(report, "MLP: sklearn epoch / ours", times["sklearn"] / times["ours"], 1, "", at_least=True)
    line(report, "MLP: share of the f32 GEMM peak", 2 * times["gemm"] / times["ours"], 0.6, "", at_least=True)


def areas(report, n):
    score, correct = make_known_risk(n, random_state=0)
    functions = {"ours": lambda: both_areas(correct, score), "sort": lambda: np.sort(score)}
    functions["naive"] = lambda: np.mean(np.cumsum(1 - correct[np.argsort(-score)]) / np.arange(1, n + 1))
    times = interleaved(functions, 3)
    rate = n / times["sort"] / 1e6
    line(report, f"AURC + AUGRC / np.sort (n = {n:.0e})", times["ours"] / times["sort"], 4 if rate > 50 else 1.5,
         f"np.sort {rate:.0f} M/s", at_least=False)  # fmt: skip
    line(report, "argsort and cumsum, AURC alone / ours", times["naive"] / times["ours"], 1.3, "", at_least=True)


def calibration(report, n):
    score, correct = make_known_risk(n, random_state=0)
    functions = {"ours": lambda: expected_calibration_error(correct, score)}

    def digitize():
        index = np.digitize(score, np.linspace(0, 1, 16)[1:-1])
        return np.abs(np.bincount(index, correct - score)).sum() / n

    functions["digitize"] = digitize
    try:
        import torch
        from torchmetrics.functional.classification import binary_calibration_error

        t_score, t_correct = torch.tensor(score), torch.tensor(correct.astype(int))
        functions["torchmetrics"] = lambda: binary_calibration_error(t_score, t_correct, n_bins=15)
    except ImportError:
        pass
    try:
        from netcal.metrics import ECE

        functions["netcal"] = partial(ECE(15).measure, score, correct.astype(int))
    except ImportError:
        pass
    times = interleaved(functions, 3)
    line(report, f"digitize and bincount / ECE (n = {n:.0e})", times["digitize"] / times["ours"], 1,
         f"{times['ours']:.3f} s", at_least=True)  # fmt: skip
    for peer in ("torchmetrics", "netcal"):
        if peer in times:
            line(report, f"{peer} / ECE", times[peer] / times["ours"], 10, "", at_least=True)


def thresholds(report, n):
    score, correct = make_known_risk(n, random_state=0)
    k, m = np.cumsum(~correct[np.argsort(-score)]), np.arange(1, n + 1)
    delta, risk = 0.1 / 17, 0.1
    times = interleaved(
        {
            "ours": lambda: p_values(k, m, risk) <= delta,
            "ppf": lambda: beta.ppf(1 - delta, k + 1, np.maximum(m - k, 1)) <= risk,
        },
        3,
    )
    same = np.array_equal(
        p_values(k, m, risk) <= delta, (beta.ppf(1 - delta, k + 1, np.maximum(m - k, 1)) <= risk) & (m > k)
    )
    line(report, f"beta.ppf / our test of all thresholds (n = {n:.0e})", times["ppf"] / times["ours"], 10,
         f"{1e6 * times['ours'] / n:.2f} us a threshold; same decisions: {same}", at_least=True)  # fmt: skip


def decisions(report, n):
    """A decision costs one pass of the classifier, and what is said of the answers."""
    rng = np.random.default_rng(0)
    for d, n_classes in ((64, 10), (16, 26), (300, 3), (20, 2)):
        X = rng.normal(size=(n + 1000, d))
        y = (X @ rng.normal(size=(d, n_classes)) + rng.gumbel(size=(n + 1000, n_classes))).argmax(axis=1)
        est = SelectiveClassifier(LogisticRegression(), policy=TargetRisk(0.2), cv=2, random_state=0)
        with muted():  # of 1000 samples nothing is asked but a threshold
            est.fit(X[:1000], y[:1000])
        asked = {"decide": est.decide, "base": est.estimator_.predict_proba}
        times = interleaved({name: partial(ask, X[1000:]) for name, ask in asked.items()}, 101)
        line(report, f"decide / predict_proba ({n} x {d}, {n_classes} classes)", times["decide"] / times["base"], 2,
             f"{1e3 * times['decide']:.2f} ms, {1e3 * times['base']:.2f} ms", at_least=False)  # fmt: skip


def prints(report, n, d):
    """What `fit` pays to know its rows again, where it is cheapest: of a classifier that is trained already."""
    X, y = problem(n, d)
    frozen = FrozenEstimator(LogisticRegression().fit(X[:2000], y[:2000]))
    est = SelectiveClassifier(frozen, policy=TargetRisk(0.2))
    times = interleaved({"fit": lambda: est.fit(X, y), "prints": lambda: RowPrints(X)}, 5)
    line(report, f"prints of the rows / fit of a frozen classifier ({n} x {d})", times["prints"] / times["fit"], 0.5,
         f"{times['prints']:.2f} s, {times['fit']:.2f} s", at_least=False)  # fmt: skip


def imports(report):
    def run(code):
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    times = interleaved(
        {
            "python": run(""),
            "abstain": run("import abstain"),
            "estimator": run("from abstain import SteepSlopeTrust"),
            "sklearn": run("import sklearn.base"),
        },
        7,
    )
    line(report, "import abstain / python itself", times["abstain"] / times["python"], 1.15,
         f"{1000 * (times['abstain'] - times['python']):.0f} ms more", at_least=False)  # fmt: skip
    line(report, "import SteepSlopeTrust / import sklearn.base", times["estimator"] / times["sklearn"], 2.5,
         f"{times['estimator']:.2f} s", at_least=False)  # fmt: skip


def heads(report, n, d):
    """Not a target: what the default head costs, with all penalties, folds and starts."""
    X, target = problem(n, d)
    started = time.perf_counter()
    head = TrustHead(SteepSlopeLoss(), random_state=0).fit(X, target)
    report(
        f"(default steep slope head, 72 fits in shared passes, {n} x {d}: {time.perf_counter() - started:.1f} s, "
        f"l2 {head.l2_:g})"
    )


def main():
    small = quick()
    report = Report("bench_speed", small)
    report(f"{'ratio':<66}{'':>9}   target")
    linear_head(report, *((20_000, 256, 2) if small else (300_000, 768, 10)))
    network_head(report, *((8_000, 256, 64) if small else (100_000, 768, 256)))
    areas(report, 200_000 if small else 10_000_000)
    calibration(report, 200_000 if small else 10_000_000)
    thresholds(report, 50_000 if small else 1_000_000)
    decisions(report, 1000 if small else 10_000)
    prints(report, *((5_000, 64) if small else (100_000, 768)))
    imports(report)
    heads(report, *((5_000, 64) if small else (50_000, 256)))
    report.keep()


if __name__ == "__main__":
    main()
