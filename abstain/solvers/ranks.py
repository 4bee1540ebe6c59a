"""Several processes that train one network: each computes parts of a batch, and all see the outputs of the whole."""

import torch
from torch import distributed


class Ranks:
    """What the processes of a group exchange; alone there is nothing to exchange.

    Attributes
    ----------
    rank, world : int
        Number of this process, and how many there are.
    """

    def __init__(self):
        there = distributed.is_available() and distributed.is_initialized()
        self.rank, self.world = (distributed.get_rank(), distributed.get_world_size()) if there else (0, 1)

    def own(self, parts):
        """Return the numbers of the parts of a batch that this process computes."""
        return range(self.rank, len(parts), self.world)

    def gathered(self, outputs, sizes):
        """Outputs of all parts, in their order, from those of the own ones.

        Parameters
        ----------
        outputs : list of tensor
            Of the own parts.
        sizes : list of int
            Samples of each part of the batch.
        """
        if self.world == 1:
            return torch.cat(outputs)
        mine = torch.cat(outputs)
        longest = max(sum(sizes[rank :: self.world]) for rank in range(self.world))
        padded = torch.zeros((longest, *mine.shape[1:]), dtype=mine.dtype, device=mine.device)
        padded[: len(mine)] = mine
        everything = [torch.empty_like(padded) for _ in range(self.world)]
        distributed.all_gather(everything, padded)
        whole: list = [None] * len(sizes)
        for rank, found in enumerate(everything):
            own = sizes[rank :: self.world]
            whole[rank :: self.world] = torch.split(found[: sum(own)], own)
        return torch.cat(whole)

    def add_gradients(self, parameters):
        """Sum the gradients of all processes."""
        if self.world == 1:
            return
        for parameter in parameters:
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)

    def from_first(self, value):
        """Return what the first process has, which the others need not compute: ``value()`` there."""
        if self.world == 1:
            return value()
        box: list = [value() if self.rank == 0 else None]
        distributed.broadcast_object_list(box)
        return box[0]

    def all_well(self, work):
        """Do some work in every process; where one fails, all of them do, so that none waits for ever."""
        failed = None
        try:
            work()
        except Exception as error:
            failed = error
        if self.world > 1:
            found: list = [None] * self.world
            distributed.all_gather_object(found, failed and f"{type(failed).__name__}: {failed}")
            others = [f"process {rank}: {what}" for rank, what in enumerate(found) if what is not None]
            if failed is None and others:
                raise RuntimeError(f"another process failed ({others[0]}); what is done is kept. Call this again.")
        if failed is not None:
            raise failed

    def agree(self, **described):
        """Refuse to train where processes were given different data, seeds or knobs, naming what differs."""
        found: list = [None] * self.world
        distributed.all_gather_object(found, described)
        other = [name for name in described if any(one[name] != described[name] for one in found)]
        if other:
            raise ValueError(
                f"{', '.join(other)} differ between the {self.world} processes: give all of them the same rows and "
                "labels in one order, seed (random_state) and training."
            )
