"""The denoising network: a 2D encoder lifted into 3D, and a small 3D U-Net on space-to-depth data.

A 64³ volume enters as 16³ tokens of 4³ values, so no convolution ever runs at
full resolution. What the image says is worked out once for all steps in 2D, where
it is cheap, and lifted: the 2D features of a column predict the 3D features of
every height in it. Only the small 3D part runs at each step.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from dispr_cli.config import GRID, DenoiserConfig
from dispr_cli.diffusion.conditioning import CONDITION_PLANES
from dispr_cli.diffusion.ops import (
    attention_3d,
    group_norm_silu,
    linear_rows,
    norm_convolution_3d,
    patch_projection,
)

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d, nn.Conv3d)
GROUP_CHANNELS = 16
EPS = 1e-5


class Norm(nn.Module):
    """Parameters of a group norm; the fused op applies it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.groups = max(1, channels // GROUP_CHANNELS)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(
        self, x: torch.Tensor, scale: torch.Tensor | None = None, shift: torch.Tensor | None = None
    ) -> torch.Tensor:
        """SiLU(GroupNorm(x) (1 + scale) + shift)."""
        return group_norm_silu(x, self.groups, self.weight, self.bias, EPS, scale, shift)

    def convolve(
        self,
        x: torch.Tensor,
        convolution: nn.Conv3d,
        scale: torch.Tensor | None = None,
        shift: torch.Tensor | None = None,
        residual: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Convolve what :meth:`forward` returns, and add ``residual``."""
        norm = (self.groups, self.weight, self.bias, EPS, scale, shift)
        return norm_convolution_3d(x, *norm, convolution.weight, convolution.bias, residual)


class RowLinear(nn.Linear):
    """A linear map of a few rows, summed in an order that does not depend on the number of threads."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in) -> (N, out)."""
        return linear_rows(x, self.weight, self.bias)


class RowSiLU(nn.Module):
    """SiLU of a few rows, the same for a value wherever it stands.

    Vector and scalar exponentials differ in the last bit, and which of them a value meets depends on its
    place in the tensor. In double precision both round to the same float.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C) -> (N, C)."""
        return F.silu(x.double()).to(x.dtype) if x.device.type == "cpu" else F.silu(x)


def _zeroed(layer: Layer) -> Layer:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock2d(nn.Module):
    """Norm, SiLU, 3x3 convolution, twice, around a residual connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(channels), Norm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = _zeroed(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same shape."""
        return x + self.conv2(self.norm2(self.conv1(self.norm1(x))))


class ResidualBlock3d(nn.Module):
    """The same in 3D, its second norm modulated by the noise level (FiLM)."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(channels), Norm(channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = _zeroed(nn.Conv3d(channels, channels, 3, padding=1))
        self.modulation = _zeroed(RowLinear(embedding, 2 * channels))

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """(N, C, D, H, W), (N, E) -> the shape of x."""
        scale, shift = self.modulation(embedding).chunk(2, dim=1)
        h = self.norm1.convolve(x, self.conv1)
        return self.norm2.convolve(h, self.conv2, scale, shift, residual=x)


class AttentionBlock(nn.Module):
    """Norm, multi-head softmax attention over all tokens, projection, residual."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = Norm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = _zeroed(nn.Linear(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, D, H, W) -> the same shape."""
        return attention_3d(
            x,
            self.heads,
            self.norm.groups,
            self.norm.weight,
            self.norm.bias,
            self.qkv.weight,
            self.qkv.bias,
            self.proj.weight,
            self.proj.bias,
            EPS,
        )


class ConditionEncoder(nn.Module):
    """Image and mask -> 3D features at 16³ and 8³, and one vector for the whole cell."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        fine, coarse = config.condition_channels
        self.depths = (GRID // config.patch, GRID // config.patch // 2)
        self.unshuffle = nn.PixelUnshuffle(config.patch)
        self.stem = nn.Conv2d(CONDITION_PLANES * config.patch**2, fine, 3, padding=1)
        self.fine = nn.ModuleList(ResidualBlock2d(fine) for _ in range(config.condition_blocks))
        self.down = nn.Conv2d(fine, coarse, 2, stride=2)
        self.coarse = nn.ModuleList(ResidualBlock2d(coarse) for _ in range(config.condition_blocks))
        self.up = nn.Conv2d(coarse, fine, 1)
        self.merge = ResidualBlock2d(fine)
        self.norm_fine, self.norm_coarse = Norm(fine), Norm(coarse)
        self.lift_fine = nn.Conv2d(fine, config.channels[0] * self.depths[0], 1)
        self.lift_coarse = nn.Conv2d(coarse, config.channels[1] * self.depths[1], 1)
        self.summary = RowLinear(coarse, config.embedding)

    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode the condition; run once for all steps of a sample.

        Parameters
        ----------
        planes
            (N, 3, 64, 64), see :func:`dispr_cli.diffusion.conditioning.condition_planes`.

        Returns
        -------
        (N, C0, 16, 16, 16), (N, C1, 8, 8, 8) and (N, E)
        """
        fine = self.stem(self.unshuffle(planes).contiguous(memory_format=torch.channels_last))
        for block in self.fine:
            fine = block(fine)
        coarse = self.down(fine)
        for block in self.coarse:
            coarse = block(coarse)
        fine = self.merge(fine + F.interpolate(self.up(coarse), scale_factor=2.0))
        coarse = self.norm_coarse(coarse)
        return (
            self._lift(self.lift_fine(self.norm_fine(fine)), self.depths[0]),
            self._lift(self.lift_coarse(coarse), self.depths[1]),
            self.summary(coarse.mean((2, 3))),
        )

    @staticmethod
    def _lift(features: torch.Tensor, depth: int) -> torch.Tensor:
        volume = features.unflatten(1, (-1, depth))  # (N, C, D, H, W)
        return volume.contiguous(memory_format=torch.channels_last_3d)


class Scales(NamedTuple):
    """What is done to a network's input and result on the way.

    Attributes
    ----------
    entering
        (N,) factors of the input.
    leaving
        Factor of the result.
    bound
        The result is clipped to [-bound, bound].
    """

    entering: torch.Tensor
    leaving: float
    bound: float


class DenoisingUNet(nn.Module):
    """Noisy volume, noise level and encoded condition -> prediction of the volume's shape."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        fine, coarse = config.channels
        values, embedding = config.patch**3, config.embedding
        self.encoder = ConditionEncoder(config)
        self.noise_level = nn.Sequential(
            RowLinear(2 * FREQUENCIES, embedding), RowSiLU(), RowLinear(embedding, embedding)
        )
        self.silu = RowSiLU()
        self.enter = nn.Conv3d(values, fine, 1)
        self.down_blocks = nn.ModuleList(ResidualBlock3d(fine, embedding) for _ in range(config.blocks[0]))
        self.down = nn.Conv3d(fine, coarse, 2, stride=2)
        self.middle = nn.ModuleList(ResidualBlock3d(coarse, embedding) for _ in range(config.blocks[1]))
        self.attention = nn.ModuleList(
            AttentionBlock(coarse, config.attention_heads) for _ in range(config.blocks[1])
        )
        self.up = nn.Conv3d(coarse, fine, 1)
        self.up_blocks = nn.ModuleList(ResidualBlock3d(fine, embedding) for _ in range(config.blocks[0]))
        self.norm = Norm(fine)
        self.leave = _zeroed(nn.Conv3d(fine, values, 1))

    def encode(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode (N, 3, 64, 64) condition planes once for all steps."""
        encoded: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = self.encoder(planes)
        return encoded

    def forward(
        self,
        x: torch.Tensor,
        log_sigma: torch.Tensor,
        condition: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        scales: Scales | None = None,
    ) -> torch.Tensor:
        """One pass.

        Parameters
        ----------
        x
            (N, 1, 64, 64, 64), scaled to unit variance unless ``scales`` says by what.
        log_sigma
            (N,) natural logarithm of the noise level.
        condition
            What :meth:`encode` returned, for N volumes.
        scales
            What is done to x and to the result on the way, without gradients; nothing if None.
        """
        fine, coarse, summary = condition
        embedding = self.silu(self.noise_level(fourier_features(log_sigma)) + summary)
        h = self._tokens(x, fine, scales)
        for block in self.down_blocks:
            h = block(h, embedding)
        g = patch_projection(h, _rows(self.down), self.down.bias, gather=2, residual=coarse)
        for block, attention in zip(self.middle, self.attention, strict=True):
            g = attention(block(g, embedding))
        h = patch_projection(g, _rows(self.up), self.up.bias, scatter=2, repeat=True, residual=h)
        for block in self.up_blocks:
            h = block(h, embedding)
        return self._volume(self.norm(h), scales)

    def _tokens(self, x: torch.Tensor, condition: torch.Tensor, scales: Scales | None) -> torch.Tensor:
        """Space to depth; (N, 1, 64, 64, 64) -> (N, C, 16, 16, 16)."""
        scale, weight = None if scales is None else scales.entering, _rows(self.enter)
        return patch_projection(
            x, weight, self.enter.bias, gather=self.config.patch, scale=scale, residual=condition
        )

    def _volume(self, h: torch.Tensor, scales: Scales | None) -> torch.Tensor:
        """Depth to space; (N, C, 16, 16, 16) -> (N, 1, 64, 64, 64)."""
        weight, bias, patch = _rows(self.leave), self.leave.bias, self.config.patch
        if scales is None:
            return patch_projection(h, weight, bias, scatter=patch, wide=True)
        bias = None if bias is None else scales.leaving * bias
        weight = scales.leaving * weight
        return patch_projection(h, weight, bias, scatter=patch, bound=scales.bound, wide=True)


def _rows(layer: nn.Conv3d) -> torch.Tensor:
    """Weights of a convolution whose stride is its kernel, as rows over the voxels of a patch."""
    return layer.weight.permute(0, 2, 3, 4, 1).flatten(1)


FREQUENCIES = 16


def fourier_features(log_sigma: torch.Tensor) -> torch.Tensor:
    """Sines and cosines of ln(sigma) over octaves of wavelength, (N,) -> (N, 32)."""
    octaves = torch.arange(FREQUENCIES, device=log_sigma.device, dtype=torch.float32)
    phase = log_sigma.float()[:, None] * (2.0 * math.pi / 32.0) * 2.0 ** (octaves * 0.4)
    return torch.cat([phase.cos(), phase.sin()], dim=1)
