"""One of several processes that train backbones together: rank, number of processes, a folder."""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch import distributed

rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=world)

import test_sharing  # noqa: E402

for name, model in test_sharing.tuned(accumulate=2 // world).items():
    np.save(folder / f"{name}-{rank}.npy", [entry["train_loss"] for entry in model.history_[1:]])
X, y = test_sharing.bars(40)
other = X[::-1].copy() if rank else X
try:
    test_sharing.tuned(accumulate=1, X=other)
except ValueError as error:
    (folder / f"{rank}.txt").write_text(str(error))
distributed.barrier()
distributed.destroy_process_group()
os._exit(0)  # threads of gloo may end a process with an error while Python takes itself apart
