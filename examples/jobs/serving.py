"""Save without pickle, load elsewhere, decide on one row."""

import tempfile
import time
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

X, y = load_digits(return_X_y=True)
file = Path(tempfile.mkdtemp()) / "model.abstain"

# %%
import abstain

est = abstain.AutoTrust(LogisticRegression(max_iter=2000), budget="fast", random_state=0).fit(X[:900], y[:900])
est.fit_policy(X[900:1500], y[900:1500], abstain.TargetRisk(0.02))
abstain.save(est, file)
served = abstain.load(file)  # arrays, numbers and names: no code is run
started = time.perf_counter()
print("one row:", served.decide(X[[1600]]), f"in {1000 * (time.perf_counter() - started):.1f} ms")
print(f"{file.stat().st_size / 1e6:.2f} MB; the same decisions: {(served.decide(X) == est.decide(X)).all()}")
