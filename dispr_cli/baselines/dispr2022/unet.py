"""The published 3D U-Net: noise and variance of a volume from the noisy volume and its tiled 2D condition.

Along z nothing is ever reduced, so attention sees 64 x 16 x 16 = 16,384 tokens. The names
of the parameters are those of the public checkpoints.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from dispr_cli.baselines.dispr2022.settings import NetworkConfig

INPUT_CHANNELS = 3
"""Mask, image x mask, noisy volume, in this order."""

OUTPUT_CHANNELS = 2
"""Noise, and where the variance lies between its two bounds."""

LONGEST_PERIOD = 10_000.0


def embed_timestep(timestep: torch.Tensor, width: int) -> torch.Tensor:
    """Cosines and sines of a timestep at geometrically spaced frequencies (Vaswani et al. 2017).

    Parameters
    ----------
    timestep
        (N,), 0 to T - 1.
    width
        Even.

    Returns
    -------
    (N, width) float32: all cosines, then all sines.
    """
    half = width // 2
    exponent = torch.arange(half, dtype=torch.float32, device=timestep.device) / half
    angle = timestep.float()[:, None] * torch.exp(-math.log(LONGEST_PERIOD) * exponent)
    return torch.cat([angle.cos(), angle.sin()], 1)


def _quiet(layer: nn.Conv3d | nn.Conv1d) -> nn.Module:
    """Start a layer at zero, so that its block begins as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Norm(nn.GroupNorm):
    """Group normalisation in its input's number format; its sums are float32 within.

    Autocast would turn every volume to float32 and back, which costs a GPU more than the normalisation.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, ...) -> the same shape and format."""
        with torch.autocast(x.device.type, enabled=False):
            return F.group_norm(x, self.num_groups, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


class ResidualBlock(nn.Module):
    """Two convolutions; the timestep is added between them."""

    def __init__(self, entering: int, leaving: int, embedding: int, groups: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            Norm(groups, entering), nn.SiLU(), nn.Conv3d(entering, leaving, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, leaving))
        self.out_layers = nn.Sequential(
            Norm(groups, leaving),
            nn.SiLU(),
            nn.Identity(),  # keeps the place of the (published: idle) dropout in the names
            _quiet(nn.Conv3d(leaving, leaving, 3, padding=1)),
        )
        self.skip_connection = nn.Identity() if entering == leaving else nn.Conv3d(entering, leaving, 1)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """(N, C, D, H, W) and (N, E) -> (N, C', D, H, W)."""
        hidden = self.in_layers(x) + self.emb_layers(embedding)[:, :, None, None, None]
        return torch.as_tensor(self.skip_connection(x) + self.out_layers(hidden))


class AttentionBlock(nn.Module):
    """Self-attention with one head over all voxels of a level."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = Norm(groups, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = _quiet(nn.Conv1d(channels, channels, 1))

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """(N, C, D, H, W) -> the same shape; the embedding plays no part."""
        tokens = x.flatten(2)
        query, key, value = (
            part.transpose(1, 2)[:, None].contiguous() for part in self.qkv(self.norm(tokens)).chunk(3, dim=1)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)[:, 0].transpose(1, 2)
        return (tokens + self.proj_out(mixed)).reshape(x.shape)


class Downsample(nn.Module):
    """Halve y and x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv3d(channels, channels, 3, stride=(1, 2, 2), padding=1)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """(N, C, D, H, W) -> (N, C, D, H / 2, W / 2)."""
        return torch.as_tensor(self.op(x))


class Upsample(nn.Module):
    """Double y and x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """(N, C, D, H, W) -> (N, C, D, 2 H, 2 W)."""
        return torch.as_tensor(self.conv(F.interpolate(x, scale_factor=(1.0, 2.0, 2.0), mode="nearest")))


class Entrance(nn.Conv3d):
    """First convolution of the network; the embedding plays no part."""

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """(N, C, D, H, W) -> (N, C', D, H, W)."""
        return super().forward(x)


class Stage(nn.ModuleList):
    """Blocks in a row, all given the embedding."""

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """(N, C, D, H, W) and (N, E) -> what the last block makes of them."""
        for block in self:
            x = block(x, embedding)
        return x


class PublishedNetwork(nn.Module):
    """DISPR's U-Net.

    Parameters
    ----------
    config
        Its shape; the defaults are the published ones (9.77 million parameters).
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        widths = [config.channels * multiplier for multiplier in config.multipliers]
        self.embedding = 4 * config.channels
        self.time_embed = nn.Sequential(
            nn.Linear(config.channels, self.embedding), nn.SiLU(), nn.Linear(self.embedding, self.embedding)
        )
        self.input_blocks, skips = self._way_down(widths)
        deepest = widths[-1]
        self.middle_block = Stage(
            [
                self._residual(deepest, deepest),
                AttentionBlock(deepest, config.groups),
                self._residual(deepest, deepest),
            ]
        )
        self.output_blocks = self._way_up(widths, skips)
        self.out = nn.Sequential(
            Norm(config.groups, widths[0]),
            nn.SiLU(),
            _quiet(nn.Conv3d(widths[0], OUTPUT_CHANNELS, 3, padding=1)),
        )

    def _residual(self, entering: int, leaving: int) -> ResidualBlock:
        return ResidualBlock(entering, leaving, self.embedding, self.config.groups)

    def _attention(self, level: int, channels: int) -> list[nn.Module]:
        wanted = level in self.config.attention_levels
        return [AttentionBlock(channels, self.config.groups)] if wanted else []

    def _way_down(self, widths: list[int]) -> tuple[nn.ModuleList, list[int]]:
        """Stages from fine to coarse, and the channels each hands to the way up."""
        stages: list[list[nn.Module]] = [[Entrance(INPUT_CHANNELS, widths[0], 3, padding=1)]]
        handed = [widths[0]]
        for level, width in enumerate(widths):
            stages.append([self._residual(handed[-1], width), *self._attention(level, width)])
            handed.append(width)
            if level < len(widths) - 1:
                stages.append([Downsample(width)])
                handed.append(width)
        return nn.ModuleList(Stage(stage) for stage in stages), handed

    def _way_up(self, widths: list[int], handed: list[int]) -> nn.ModuleList:
        """Two stages for each level, coarse to fine; the second of each but the finest doubles y and x."""
        stages: list[list[nn.Module]] = []
        entering, waiting = widths[-1], list(handed)
        for level in reversed(range(len(widths))):
            width = widths[level]
            for second in (False, True):
                stage = [self._residual(entering + waiting.pop(), width), *self._attention(level, width)]
                stages.append([*stage, Upsample(width)] if second and level > 0 else stage)
                entering = width
        return nn.ModuleList(Stage(stage) for stage in stages)

    def forward(self, x: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Predict the noise in a volume, and its variance.

        Parameters
        ----------
        x
            (N, 3, D, H, W): mask, image x mask (both tiled along z), noisy volume. H and W must be
            multiples of 2 to the number of levels minus one.
        timestep
            (N,), 0 to T - 1 of the schedule the network was trained on.

        Returns
        -------
        (N, 2, D, H, W): noise, and the share of the way from the lower to the upper bound of the log
        variance, -1 to 1.
        """
        embedding = self.time_embed(embed_timestep(timestep, self.config.channels))
        handed = []
        for stage in self.input_blocks:
            x = stage(x, embedding)
            handed.append(x)
        x = self.middle_block(x, embedding)
        for stage in self.output_blocks:
            x = stage(torch.cat([x, handed.pop()], 1), embedding)
        return torch.as_tensor(self.out(x))
