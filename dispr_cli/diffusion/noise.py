"""Noise that belongs to a sample: a function of (seed, cell content, sample index) and of nothing else."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray


def sample_stream(
    image: NDArray[np.float32], mask: NDArray[np.bool_], seed: int, sample: int
) -> np.random.Generator:
    """Random stream of one sample of one cell.

    Two cells with the same pixels get the same stream wherever they come from; batches, order, shards
    and threads play no part.
    """
    content = hashlib.blake2b(digest_size=16)
    content.update(np.ascontiguousarray(image, np.float32).tobytes())
    content.update(np.packbits(mask).tobytes())
    content.update(f"{seed}/{sample}".encode())
    return np.random.Generator(np.random.Philox(key=int.from_bytes(content.digest(), "little")))


def draw_noise(streams: list[np.random.Generator], grid: int) -> torch.Tensor:
    """One standard normal volume from each stream, (N, 1, grid, grid, grid) float32."""
    noise = np.empty((len(streams), 1, grid, grid, grid), np.float32)
    for volume, stream in zip(noise, streams, strict=True):
        stream.standard_normal(dtype=np.float32, out=volume)
    return torch.from_numpy(noise)
