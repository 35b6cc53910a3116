"""Noise that belongs to a sample: a function of (seed, cell content, sample index) and of nothing else.

The samples of a cell go in groups whose noise adds up to nothing. Each sample's noise is still standard
normal, but what one sample gets too much of, the others of its group get too little: their vote and their
median are nearer to those of very many samples, and their extremes span more than those of independent ones.
Independent draws are groups of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.diffusion.ops import noise_blocks, normal_noise
from dispr_cli.inputs.cell import Cell


@dataclass(slots=True)
class NoiseStream:
    """Random stream of one sample.

    Attributes
    ----------
    key
        Two words of 64 bits, signed as PyTorch has them.
    blocks
        Blocks of random bits drawn so far.
    """

    key: tuple[int, int]
    blocks: int = 0


def sample_stream(image: NDArray[np.float32], mask: NDArray[np.bool_], seed: int, sample: int) -> NoiseStream:
    """Random stream of one sample of one cell.

    Two cells with the same pixels get the same stream wherever they come from; batches, order, shards
    and threads play no part.
    """
    content = hashlib.blake2b(digest_size=16)
    content.update(np.ascontiguousarray(image, np.float32).tobytes())
    content.update(np.packbits(mask).tobytes())
    content.update(f"{seed}/{sample}".encode())
    low, high = np.frombuffer(content.digest(), "<i8").tolist()
    return NoiseStream((low, high))


class BalancedNoise:
    """Noise of a batch of samples, step by step.

    The G samples of a group are standard normal and correlated by r = -1 / (G - 1), so that their sum is 0.
    Each is drawn given those before it: x_k = r / (1 + (k - 1) r) (x_0 + ... + x_{k-1}) plus fresh noise of
    variance 1 - k r² / (1 + (k - 1) r). So a sample does not depend on how many were asked for, and the last
    of a group needs no fresh noise.

    Parameters
    ----------
    cells
        Images and masks, which decide the noise.
    work
        Pairs of cell and sample, one for each volume of the batch.
    seed
        Of the whole run.
    group
        G, samples of a cell that balance each other: 0 to G - 1, G to 2 G - 1, ...
    """

    def __init__(self, cells: Sequence[Cell], work: Sequence[tuple[int, int]], seed: int, group: int) -> None:
        self.group = group
        self.places = [(cell, sample // group, sample % group) for cell, sample in work]
        last: dict[tuple[int, int], int] = {}
        for cell, number, member in self.places:
            last[cell, number] = max(member, last.get((cell, number), 0))
        self.streams = {
            (cell, number): [
                sample_stream(cells[cell].image, cells[cell].mask, seed, number * group + member)
                for member in range(most + 1)
            ]
            for (cell, number), most in last.items()
        }

    def draw(self, grid: int) -> torch.Tensor:
        """Draw standard normal volumes, (len(work), 1, grid, grid, grid) float32, on the CPU."""
        drawn = {place: self._balanced(streams, grid) for place, streams in self.streams.items()}
        return torch.stack([drawn[cell, number][member] for cell, number, member in self.places])

    def _balanced(self, streams: Sequence[NoiseStream], grid: int) -> list[torch.Tensor]:
        noise = draw_noise(streams[: max(1, self.group - 1)], grid)
        members = [noise[0]]
        total = noise[0]
        for k in range(1, len(streams)):
            r = -1.0 / (self.group - 1)
            share = r / (1.0 + (k - 1) * r)
            if k == self.group - 1:
                members.append(-total)
                break
            member = torch.add(total * share, noise[k], alpha=(1.0 - k * r * share) ** 0.5)
            members.append(member)
            total = total + member
        return members


def draw_noise(streams: Sequence[NoiseStream], grid: int) -> torch.Tensor:
    """One standard normal volume from each stream, (N, 1, grid, grid, grid) float32, on the CPU.

    A cell's noise is the same whatever computes its shapes: every device is handed what the CPU draws.
    """
    words = torch.tensor([(*stream.key, stream.blocks) for stream in streams], dtype=torch.int64)
    noise = normal_noise(words.reshape(-1, 3), grid**3)
    for stream in streams:
        stream.blocks += noise_blocks(grid**3)
    return noise.reshape(-1, 1, grid, grid, grid)
