"""SHAPR's networks: a 2D encoder and a decoder that raises the third dimension, and its discriminator.

Parameters carry the names of the public PyTorch code, so that its weights load. All convolutions but the
last are flat (1 x 3 x 3): height comes from transposed convolutions alone.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

FILTERS = 10
"""Channels at full resolution; twice as many at each coarser level (published network)."""


class FlatBlock(nn.Module):
    """Twice: flat convolution, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.encoderblock = nn.Sequential(
            *_flat_convolution(channels_in, channels_out), *_flat_convolution(channels_out, channels_out)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C_in, D, H, W) -> (N, C_out, D, H, W)."""
        y: torch.Tensor = self.encoderblock(x)
        return y


def _flat_convolution(channels_in: int, channels_out: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv3d(channels_in, channels_out, (1, 3, 3), padding=(0, 1, 1), bias=False),
        nn.BatchNorm3d(channels_out),
        nn.ReLU(inplace=True),
    )


class Raise(nn.Module):
    """Transposed convolution that doubles the height, and the plane too where ``plane`` is 2."""

    def __init__(self, channels: int, plane: int) -> None:
        super().__init__()
        size = (2, plane, plane)
        self.up = nn.ConvTranspose3d(channels, channels, kernel_size=size, stride=size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, D, H, W) -> (N, C, 2 D, plane H, plane W)."""
        y: torch.Tensor = self.up(x)
        return y


class EncoderEnd(nn.Module):
    """Flat convolution and sigmoid."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        convolution = nn.Conv3d(channels_in, channels_out, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.enc_out = nn.Sequential(convolution, nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C_in, 1, H, W) -> (N, C_out, 1, H, W) in (0, 1)."""
        y: torch.Tensor = self.enc_out(x)
        return y


class DecoderEnd(nn.Module):
    """The one full 3D convolution; its logit is what a numerically sound loss needs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dec_out = nn.Sequential(nn.Conv3d(channels, 1, 3, padding=1, bias=False))

    @property
    def kernel(self) -> torch.Tensor:
        """(C, 3, 3, 3) weights of the convolution."""
        weight: torch.Tensor = self.dec_out.get_parameter("0.weight")
        return weight[0]

    def forward(self, x: torch.Tensor, last: Raise) -> torch.Tensor:
        """Logits of ``dec_out(last(x))``, (N, C, D, H, W) -> (N, 1, 2 D, 2 H, 2 W).

        Nothing stands between the two linear maps, so they are one convolution at half the resolution from C
        channels to the eight voxels of each doubled one: a third of the time.
        """
        kernel, up = self.kernel, last.up.weight
        to_fine = _taps().to(up)
        weight = torch.einsum("cxyz,icabd,pxea,qyfb,rzgd->pqriefg", kernel, up, to_fine, to_fine, to_fine)
        weight = weight.flatten(0, 2).contiguous(memory_format=torch.channels_last_3d)  # (8, C, 3, 3, 3)
        parts = F.conv3d(x, weight, padding=1).unflatten(1, (2, 2, 2))
        n, _, _, _, d, h, w = parts.shape
        logits = parts.permute(0, 4, 1, 5, 2, 6, 3).reshape(n, 1, 2 * d, 2 * h, 2 * w)
        # The bias of ``last`` is zero-padded by ``dec_out`` as everything else is: less of it at the faces.
        of_bias = torch.einsum("cxyz,c->xyz", kernel, last.up.bias)[None, None]
        return logits + F.conv3d(logits.new_ones(1, 1, 2 * d, 2 * h, 2 * w), of_bias, padding=1)


def _taps() -> torch.Tensor:
    """Where a tap of three falls on the coarse grid: 1 at (parity, tap, coarse tap, parity it reads)."""
    taps = torch.zeros(2, 3, 3, 2)
    for parity in range(2):
        for tap in range(3):
            taps[parity, tap, (parity + tap - 1) // 2 + 1, (parity + tap - 1) % 2] = 1.0
    return taps


class ShapeNetwork(nn.Module):
    """SHAPR's generator: mask and masked image -> probability of every voxel; 0.42 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        f = FILTERS
        self.conv1, self.conv2, self.conv3 = FlatBlock(2, f), FlatBlock(f, 2 * f), FlatBlock(2 * f, 4 * f)
        self.encout = EncoderEnd(4 * f, 8 * f)
        self.conv4, self.up4 = FlatBlock(8 * f, 8 * f), Raise(8 * f, 1)
        self.conv5, self.up5 = FlatBlock(8 * f, 8 * f), Raise(8 * f, 1)
        self.conv6, self.up6 = FlatBlock(8 * f, 4 * f), Raise(4 * f, 2)
        self.conv7, self.up7 = FlatBlock(4 * f, 4 * f), Raise(4 * f, 1)
        self.conv8, self.up8 = FlatBlock(4 * f, 2 * f), Raise(2 * f, 1)
        self.conv9, self.up9 = FlatBlock(2 * f, f), Raise(f, 2)
        self.conv10 = FlatBlock(f, f)  # never applied: the public code has its parameters and passes it by
        self.decout = DecoderEnd(f)
        self.halve = nn.MaxPool3d((1, 2, 2))

    def logits(self, planes: torch.Tensor) -> torch.Tensor:
        """Log-odds of every voxel; see :meth:`forward`."""
        x = self.encout(self.conv3(self.halve(self.conv2(self.halve(self.conv1(planes))))))
        for level in range(4, 9):
            x = self.get_submodule(f"up{level}")(self.get_submodule(f"conv{level}")(x))
        logits: torch.Tensor = self.decout(self.conv9(x), self.up9)
        return logits

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Predict shapes.

        Parameters
        ----------
        planes
            (N, 2, 1, 64, 64): mask, and image times mask, both in [0, 1].

        Returns
        -------
        (N, 1, 64, 64, 64) probabilities.
        """
        return torch.sigmoid(self.logits(planes))


class DiscriminatorEnd(nn.Module):
    """Two 3D convolutions and a linear map to one probability."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.disc_out = nn.Sequential(
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels, 1, 3, padding=1, bias=False),
            nn.Sigmoid(),
            nn.Flatten(),
            nn.Linear(64, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, 4, 4, 4) -> (N, 1)."""
        y: torch.Tensor = self.disc_out(x)
        return y


class Discriminator(nn.Module):
    """Volume -> probability that it is a true cell; used in the adversarial phase only."""

    def __init__(self) -> None:
        super().__init__()
        f = FILTERS
        self.conv1, self.conv2 = FlatBlock(1, f), FlatBlock(f, 2 * f)
        self.conv3, self.conv4 = FlatBlock(2 * f, 4 * f), FlatBlock(4 * f, 8 * f)
        self.conv5 = FlatBlock(8 * f, 16 * f)
        self.discout = DiscriminatorEnd(16 * f)
        self.halve = nn.MaxPool3d(2)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """(N, 1, 64, 64, 64) in [0, 1] -> (N, 1)."""
        x = volume
        for block in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = self.halve(block(x))
        y: torch.Tensor = self.discout(self.conv5(x))
        return y
