"""
Ship it: a file, a module, and ONNX
===================================

A classifier that abstains, saved without pickle and loaded again; the same decision as one network that needs neither
this package nor scikit-learn. How large are they, how fast is a single row, and do they decide alike?
"""

import pickle
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import abstain
from abstain import SteepSlopeTrust, TargetRisk
from abstain.datasets import load_hard_digits

X, y = load_hard_digits(noise=5)
base = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
est = SteepSlopeTrust(base).fit(X[:800], y[:800])
est.fit_policy(X[800:1300], y[800:1300], TargetRisk(0.1, delta=0.1))
fresh = X[1300:].astype(np.float32)

# %%
# One call writes the estimator, with its certificate, and one reads it: no code in the file is run.
folder = Path(tempfile.mkdtemp())
abstain.save(est, folder / "digits.abstain")
again = abstain.load(folder / "digits.abstain")
print("decisions after loading that differ:", int((again.decide(fresh) != est.decide(fresh)).sum()))

# %%
# The decision as a module of torch, and as ONNX.
module = abstain.to_torch(est)
abstain.export_onnx(est, folder / "digits.onnx", example=fresh[:2])
try:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "digits.onnx"))
except ImportError:
    session = None
    print("onnxruntime is absent: its rows are left out")


def by_module(rows):
    with torch.no_grad():
        return [part.numpy() for part in module(torch.from_numpy(rows))]


def by_onnx(rows):
    return session.run(None, {"x": rows})


def milliseconds(call, repeats=50):
    call(fresh[:1])
    started = time.perf_counter()
    for _ in range(repeats):
        call(fresh[:1])
    return 1e3 * (time.perf_counter() - started) / repeats


ways = {"estimator": est.decide, "module of torch": by_module} | ({} if session is None else {"ONNX": by_onnx})
sizes = {
    "pickle": len(pickle.dumps(est)),
    "abstain.save": (folder / "digits.abstain").stat().st_size,
    "ONNX": (folder / "digits.onnx").stat().st_size,
}
verdicts = {name: call(fresh)[3] if name != "estimator" else est.accept(fresh) for name, call in ways.items()}
print(f"{'way':<18}{'one row':>12}{'other verdicts':>18}")
for name, call in ways.items():
    differ = int((verdicts[name] != verdicts["estimator"]).sum())
    print(f"{name:<18}{milliseconds(call):>9.2f} ms{differ:>12} of {len(fresh)}")

# %%
score = est.score_samples(fresh)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
bars = left.barh(list(sizes), [size / 1e3 for size in sizes.values()], color="#0072b2")
left.bar_label(bars, fmt="%.0f kB", padding=3)
left.margins(x=0.18)
left.set(title="A few dozen kilobytes, in every form", xlabel="size in kB")
left.invert_yaxis()
right.semilogy(score, np.abs(by_module(fresh)[2] - score) + 1e-12, ".", color="#0072b2", label="one sample")
right.axvline(est.policy_.threshold_, color="#d55e00", label="threshold")
right.set(
    title="Float32 moves scores by a millionth", xlabel="score of the estimator",
    ylabel="difference of the module", ylim=(1e-12, 1e-3),
)  # fmt: skip
right.legend(loc="upper left")
plt.show()
