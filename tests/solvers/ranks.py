"""One of several processes that train the network of test_trainer: rank, number of processes, a folder, what differs.

Nothing differs, and the outcome is kept; or each of what is named differs between the processes, and what they are told
is kept.
"""

import os
import sys
from pathlib import Path

import torch
from torch import distributed

rank, world, folder, differing = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
sys.path.insert(0, str(__file__).rsplit("/", 1)[0])
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)

import test_trainer  # noqa: E402

for what in differing:
    trainer = test_trainer.made(lr=0.01 + 0.01 * rank * (what == "training"))
    trainer.seed += rank * (what == "seed")
    if rank and what == "features":
        trainer.source.design.matrices[0][[3, 4]] = trainer.source.design.matrices[0][[4, 3]]
    if rank and what == "labels":
        trainer.source.targets = tuple(target[::-1] for target in trainer.source.targets)
    try:
        trainer.fit(test_trainer.ROWS)
    except ValueError as error:
        Path(folder, f"{what}-{rank}.txt").write_text(str(error))
if not differing:
    history, weights, memory, best = test_trainer.outcome(test_trainer.made(accumulate=2 // world, ema=0.5))
    kept = {"weights": {k: torch.from_numpy(v) for k, v in weights.items()}, "memory": torch.from_numpy(memory)}
    torch.save(kept | {"history": history, "best": best}, f"{folder}/{rank}.pt")
distributed.barrier()
distributed.destroy_process_group()
os._exit(0)  # threads of gloo may end a process with an error while Python takes itself apart
