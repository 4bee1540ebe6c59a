"""One of several processes that extract features together: rank, number of processes, and for each job folder and rank.

A job is ``folder:rank``: its images, and which process breaks, -1 for none. Each is answered by a line of JSON.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch import distributed

rank, world, jobs = int(sys.argv[1]), int(sys.argv[2]), [job.rpartition(":") for job in sys.argv[3:]]
torch.set_num_threads(1)
meeting = Path(jobs[0][0]) / "meeting"
distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)

from abstain import TimmBackbone  # noqa: E402
from abstain.backbones import networks  # noqa: E402

features = networks.features


def failing(after):
    """Features of some batches, and then no memory for more."""
    calls = iter(range(after))

    def some(*arguments):
        if next(calls, None) is None:
            raise MemoryError("no memory")
        return features(*arguments)

    return some


for folder, broken in ((Path(folder), int(broken)) for folder, _, broken in jobs):
    networks.features = failing(3) if rank == broken else features
    backbone = TimmBackbone("test_resnet", weights="random", input_size=32, batch_size=2, device="cpu")
    try:
        found = backbone.extract(np.load(folder / "images.npy"), folder / "features.npy", together=True)
        said = f"{found.shape} {float(found[-1, 0])}"
    except (MemoryError, RuntimeError) as error:
        said = f"{type(error).__name__} {error}"
    distributed.barrier()
    sys.stdout.write(json.dumps({"said": said, "files": sorted(path.name for path in folder.glob("features*"))}) + "\n")
    distributed.barrier()
distributed.destroy_process_group()
sys.stdout.flush()
os._exit(0)  # threads of gloo may end a process with an error while Python takes itself apart
