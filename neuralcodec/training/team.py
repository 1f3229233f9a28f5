"""Several processes that train one model, each on its own part of the data: `torchrun`."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

CPU = torch.device("cpu")
RANK_SEEDS = 1_000_000_007  # between the seeds of two ranks: no two draw the same


@dataclass(frozen=True)
class Team:
    """This process among `size`; one alone without `torchrun`."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def leads(self) -> bool:
        """Only the first process writes and speaks."""
        return self.rank == 0

    def own_seed(self, seed: int) -> int:
        return seed + RANK_SEEDS * self.rank

    def joined(self, step: nn.Module) -> nn.Module:
        """The same, with gradients averaged over the team in every backward pass."""
        if self.size == 1:
            return step
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(step, devices, broadcast_buffers=False)

    def gather(self, values: Sequence[float]) -> torch.Tensor:
        """What each of the team has: (size, values), float64. All wait for the last one."""
        own = torch.tensor([values], dtype=torch.float64, device=self.device)
        if self.size == 1:
            return own
        everyone = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(everyone, own)
        return torch.cat(everyone)

    def any(self, value: bool) -> bool:
        return bool(self.gather([float(value)]).any())


@contextmanager
def team_of(device: torch.device) -> Iterator[Team]:
    """The team that `torchrun` has started; on GPUs each process takes one of its own."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team(device=device)
        return
    team = Team(int(os.environ["RANK"]), size, device)
    if device.type == "cuda":
        team = replace(team, device=torch.device("cuda", int(os.environ["LOCAL_RANK"])))
        torch.cuda.set_device(team.device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield team
    finally:
        dist.destroy_process_group()
