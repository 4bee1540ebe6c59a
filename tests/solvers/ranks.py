"""One of several processes that train the network of test_trainer: rank, number of processes, a folder, the knobs."""

import sys

import torch
from torch import distributed

rank, world, folder, seed = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
sys.path.insert(0, str(__file__).rsplit("/", 1)[0])
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)

import test_trainer  # noqa: E402

trainer = test_trainer.made(accumulate=2 // world, ema=0.5)
trainer.seed += seed * rank
history, weights, memory, best = test_trainer.outcome(trainer)
torch.save({"weights": {k: torch.from_numpy(v) for k, v in weights.items()}, "memory": torch.from_numpy(memory),
            "history": history, "best": best}, f"{folder}/{rank}.pt")  # fmt: skip
distributed.destroy_process_group()
