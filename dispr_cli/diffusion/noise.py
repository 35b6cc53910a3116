"""Noise that belongs to a sample: a function of (seed, cell content, sample index) and of nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.diffusion.ops import noise_blocks, normal_noise

CPU = torch.device("cpu")


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


def draw_noise(streams: Sequence[NoiseStream], grid: int, device: torch.device = CPU) -> torch.Tensor:
    """One standard normal volume from each stream, (N, 1, grid, grid, grid) float32, drawn on ``device``."""
    words = torch.tensor(
        [(*stream.key, stream.blocks) for stream in streams], dtype=torch.int64, device=device
    )
    noise = normal_noise(words.reshape(-1, 3), grid**3)
    for stream in streams:
        stream.blocks += noise_blocks(grid**3)
    return noise.reshape(-1, 1, grid, grid, grid)
