"""Several processes that train one network, each on its share of every batch; torchrun starts them.

Every process draws the random numbers of the whole batch and takes those of its own examples, and the
gradients are averaged over all. So a training gives the same losses, within rounding, however many share it.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed

from dispr_cli.errors import ConfigError, DisprError

_PATIENCE = datetime.timedelta(minutes=30)
"""How long one process waits for the others, which may be taking metrics or writing weights."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Who one is among the processes that share a training.

    Attributes
    ----------
    rank, count
        Number of this process, from 0, and how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that speaks and writes."""
        return self.rank == 0

    def share(self, batch: torch.Tensor) -> torch.Tensor:
        """Return this process's part of a whole batch, along the first axis; all parts are equally long."""
        return batch if self.count == 1 else batch.chunk(self.count)[self.rank]

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors of one kind by their means over all processes, in one message.

        Raises
        ------
        DisprError
            If another process is lost.
        """
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        try:
            distributed.all_reduce(flat)
        except RuntimeError as error:
            raise DisprError(
                "another process of this training ended. Give the same command again: the training goes on "
                "from its last checkpoint."
            ) from error
        flat /= self.count
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def any(self, here: bool, device: torch.device) -> bool:
        """Whether something is so in any process."""
        flag = torch.tensor([float(here)], device=device)
        self.average([flag])
        return bool(flag > 0)


ALONE = Processes()
"""One process that does everything."""


def launched(environment: Mapping[str, str] = os.environ) -> Processes:
    """Return this process among those that torchrun started; :data:`ALONE` without it."""
    count = int(environment.get("WORLD_SIZE", "1"))
    return Processes(int(environment["RANK"]), count) if count > 1 else ALONE


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the other processes of the launch for as long as the block lasts; each has a GPU of its own.

    Raises
    ------
    ConfigError
        If this machine has fewer GPUs than processes.
    """
    processes = launched()
    if processes.count == 1:
        yield ALONE
        return
    if device.type == "cuda":
        own, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if own >= there:
            raise ConfigError(
                f"process {own + 1} of this machine has no GPU, there are {there}: give torchrun "
                f"--nproc-per-node {there}"
            )
        torch.cuda.set_device(own)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield processes
    finally:
        distributed.destroy_process_group()
