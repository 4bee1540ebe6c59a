"""One of several processes that extract features together: rank, number of processes, a folder, and who breaks."""

import os
import sys

import numpy as np
import torch
from torch import distributed

rank, world, folder, broken = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting{broken}", rank=rank, world_size=world)

from abstain import TimmBackbone  # noqa: E402


class Breaking(TimmBackbone):
    """Fails at its second batch in one of the processes."""

    def _launch(self, images):
        self.__dict__["count"] = self.__dict__.get("count", 0) + 1
        if rank == broken and self.__dict__["count"] > 3:
            raise MemoryError("no memory")
        return super()._launch(images)


images = np.load(f"{folder}/images.npy")
backbone = Breaking("test_resnet", weights="random", input_size=32, batch_size=2, device="cpu")
try:
    found = backbone.extract(images, f"{folder}/features.npy", together=True)
    sys.stdout.write(f"{found.shape} {float(found[-1, 0])}")
except (MemoryError, RuntimeError) as error:
    sys.stdout.write(f"{type(error).__name__} {error}")
distributed.barrier()
distributed.destroy_process_group()
sys.stdout.flush()
os._exit(0)  # threads of gloo may end a process with an error while Python takes itself apart
