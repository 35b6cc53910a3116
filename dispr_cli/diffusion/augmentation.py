"""Random variants of training cells: image, mask and volume moved together.

In-plane rotations by any angle and flips keep the physics of the microscope;
flips along z do not (the focal plane is not the middle of a cell), so there
are none. What lies above and below the focal plane is stretched on its own: an
image leaves the thickness of a cell open, and a network that has seen each of a
few cells with one thickness only would be surer of it than it can be. Image
intensities vary on their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from dispr_cli.config import TrainingConfig
from dispr_cli.diffusion.conditioning import FOCAL_SLICE
from dispr_cli.diffusion.processes import ALONE, Processes


class Examples(NamedTuple):
    """A batch of training cells.

    Attributes
    ----------
    distance
        (N, 1, 64, 64, 64) signed distance to the surface in voxels.
    outline
        (N, 64, 64) signed distance to the mask's outline in pixels.
    image
        (N, 64, 64) in [0, 1].
    """

    distance: torch.Tensor
    outline: torch.Tensor
    image: torch.Tensor


ELASTIC_CONTROL = 5
"""Control points along each side of the smooth in-plane deformation."""


@dataclass(frozen=True)
class Randomness:
    """The random numbers of one training step.

    Attributes
    ----------
    few
        Draws the numbers of each example, on the CPU: the same examples on every device.
    many
        Draws those of each voxel on the device that uses them.
    processes
        Who shares the batch: the numbers of all its examples are drawn, those of this process returned.
    """

    few: torch.Generator
    many: torch.Generator
    processes: Processes = ALONE

    @staticmethod
    def of_step(seed: int, step: int, device: torch.device, processes: Processes = ALONE) -> Randomness:
        """All of a step's randomness follows from (seed, step), so a training can be resumed."""
        # torch's CPU generator reads 32 bits of a seed, so both numbers are mixed into as many.
        number = int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
        few = torch.Generator().manual_seed(number)
        return Randomness(few, torch.Generator(device).manual_seed(number), processes)

    def normal(self, n: int, sd: float) -> torch.Tensor:
        """(n,) numbers for the examples, on the CPU."""
        return self.processes.share(torch.randn(n * self.processes.count, generator=self.few)) * sd

    def choose(self, odds: torch.Tensor, n: int) -> torch.Tensor:
        """(n,) indices of examples, drawn by their odds, on the CPU."""
        chosen = torch.multinomial(odds, n * self.processes.count, replacement=True, generator=self.few)
        return self.processes.share(chosen)

    def quantiles(self, n: int) -> torch.Tensor:
        """(n,) numbers in [0, 1) spread evenly over the whole batch, on the CPU."""
        places = torch.arange(n * self.processes.count)
        return (self.processes.share(places) + self.uniform(n)) / len(places)

    def uniform(self, n: int) -> torch.Tensor:
        """(n,) numbers in [0, 1) for the examples, on the CPU."""
        return self.processes.share(torch.rand(n * self.processes.count, generator=self.few))

    def field(self, shape: torch.Size | tuple[int, ...]) -> torch.Tensor:
        """Draw standard normal numbers for voxels or pixels, on the device."""
        whole = (shape[0] * self.processes.count, *shape[1:])
        return self.processes.share(torch.randn(whole, generator=self.many, device=self.many.device))


def in_plane_maps(n: int, config: TrainingConfig, random: Randomness) -> tuple[torch.Tensor, torch.Tensor]:
    """Random maps from the new grid to the old one.

    Returns
    -------
    (N, 2, 2) maps of (x, y), and (N,) magnifications by which distances grow.
    """
    angle = random.uniform(n) * (2.0 * math.pi)
    flip = torch.where(random.uniform(n) < 0.5, -1.0, 1.0)
    scale = random.normal(n, config.scale).exp()
    stretch = random.normal(n, config.shear).exp()
    cos, sin = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    shrink = torch.diag_embed(torch.stack([flip / (scale * stretch), stretch / scale], 1))
    return rotation @ shrink, scale


def heights(n: int, config: TrainingConfig, random: Randomness, size: int) -> torch.Tensor:
    """Where each new slice is found along the old z axis, in grid_sample's coordinates, (N, size).

    z is scaled about the focal slice, by factors that differ above and below it.
    """
    both, either = random.normal(n, config.z_stretch), random.normal(n, config.z_asymmetry)
    focal = (2 * FOCAL_SLICE + 1) / size - 1.0
    z = (2 * torch.arange(size) + 1) / size - 1.0 - focal
    shrink = torch.where(z > 0, -(both + either)[:, None], -(both - either)[:, None]).exp()
    return focal + z * shrink


def augment(examples: Examples, config: TrainingConfig, random: Randomness) -> Examples:
    """Move, bend, stretch and re-light a batch.

    Parameters
    ----------
    examples
        On the device of ``random.many``.
    """
    n, device, size = examples.image.shape[0], examples.image.device, examples.image.shape[-1]
    maps, magnification = in_plane_maps(n, config, random)
    plane = torch.zeros(n, 2, 3)
    plane[:, :, :2] = maps
    z = heights(n, config, random, size).to(device)
    xy = F.affine_grid(plane.to(device), [n, 1, size, size], align_corners=False)
    if config.elastic > 0.0:
        xy = xy + _bend(n, config.elastic, size, random)

    flat = torch.stack([examples.outline, examples.image], 1)
    flat = F.grid_sample(flat, xy, padding_mode="border", align_corners=False)
    grid = torch.cat(
        [
            xy[:, None].expand(n, size, size, size, 2),
            z.view(n, size, 1, 1, 1).expand(n, size, size, size, 1),
        ],
        dim=-1,
    )
    distance = F.grid_sample(examples.distance, grid, padding_mode="border", align_corners=False)

    growth = magnification.to(device)
    return Examples(
        distance * growth.view(-1, 1, 1, 1, 1),
        flat[:, 0] * growth.view(-1, 1, 1),
        _relight(flat[:, 1], config, random),
    )


def _bend(n: int, sd: float, size: int, random: Randomness) -> torch.Tensor:
    """Smooth in-plane displacements, ``sd`` pixels at the control points, (N, size, size, 2)."""
    side = ELASTIC_CONTROL
    points = random.normal(n * 2 * side * side, sd * 2.0 / size).view(n, 2, side, side)
    device = random.many.device
    smooth = F.interpolate(points.to(device), (size, size), mode="bicubic", align_corners=True)
    return smooth.permute(0, 2, 3, 1)


def _relight(image: torch.Tensor, config: TrainingConfig, random: Randomness) -> torch.Tensor:
    """Vary brightness, contrast and noise; hide the image of a few examples."""
    n, device = image.shape[0], image.device

    def draw(sd: float) -> torch.Tensor:
        return random.normal(n, sd).to(device).view(-1, 1, 1)

    image = (image.clamp(0.0, 1.0) + 1e-4) ** draw(0.12).exp() * draw(0.12).exp() + draw(0.015)
    image = (image + random.field(image.shape) * (0.015 * draw(1.0).abs())).clamp(0.0, 1.0)
    hidden = (random.uniform(n) < config.condition_dropout).to(device)
    return image.masked_fill(hidden.view(-1, 1, 1), 0.0)
