"""Run an example as a script and save its last picture: ``example.py examples/plot_x.py out/x.png``."""

import runpy
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
source, picture = sys.argv[1:3]
sys.argv = [source, *sys.argv[3:]]
runpy.run_path(source, run_name="__main__")

import matplotlib.pyplot as plt  # noqa: E402

Path(picture).parent.mkdir(parents=True, exist_ok=True)
plt.savefig(picture, dpi=120)
print(f"picture: {picture}")
