"""``normal_noise``: normal numbers as a function of a key and a counter."""

from __future__ import annotations

import torch
from torch import Tensor

from dispr_cli.diffusion.ops import plain
from dispr_cli.diffusion.ops.library import LIBRARY
from dispr_cli.errors import ConfigError


def normal_noise(streams: Tensor, count: int) -> Tensor:
    """Draw ``count`` standard normal numbers from each stream.

    Random bits are those of Philox4x64-10 (Salmon et al. 2011) as :class:`numpy.random.Philox` counts them,
    from block number ``streams[:, 2]`` of the stream with the key ``streams[:, :2]`` on; pairs of 31 and 32
    bits become normal numbers by Box and Muller's transform. Compiled with and without fused products, or
    not compiled, the numbers agree to a few units in the last place.

    Parameters
    ----------
    streams
        (N, 3) int64 on the CPU: the two words of the key, and the first block.
    count
        Numbers to draw from each stream; they take :func:`noise_blocks` blocks.

    Returns
    -------
    Tensor
        (N, count) float32 on the CPU.

    Raises
    ------
    ConfigError
        If ``streams`` are otherwise, or ``count`` is negative.
    """
    if streams.dim() != 2 or streams.shape[1] != 3 or streams.dtype != torch.int64 or streams.is_cuda:
        found = f"{streams.dtype} of shape {tuple(streams.shape)} on {streams.device}"
        raise ConfigError(f"normal_noise: streams are {found}, expected int64 of shape (N, 3) on the CPU.")
    if count < 0:
        raise ConfigError(f"normal_noise: count is {count}, expected 0 or more.")
    return torch.ops.dispr.normal_noise(streams, count)


noise_blocks = plain.noise_blocks


@torch.library.register_fake("dispr::normal_noise", lib=LIBRARY)
def _fake(streams: Tensor, count: int) -> Tensor:
    return torch.empty((streams.shape[0], count), dtype=torch.float32)
