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

from dispr_cli.config import FOCAL_SLICE, TrainingConfig
from dispr_cli.diffusion.denoiser import Condition
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
        """(n,) numbers in [0, 1) spread evenly over the whole batch, in random order, on the CPU."""
        places = torch.randperm(n * self.processes.count, generator=self.few)
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

    z is scaled about the focal slice, by factors that differ above and below it and whose mean is such that
    the relative error of one random height against another is 0 on average.
    """
    both, either = random.normal(n, config.z_stretch), random.normal(n, config.z_asymmetry)
    # Relative errors weigh an excess more: E[x / y] = exp(s²) for independent log-normal x and y of spread s.
    both = both - (config.z_stretch**2 + config.z_asymmetry**2)
    focal = (2 * FOCAL_SLICE + 1) / size - 1.0
    z = (2 * torch.arange(size) + 1) / size - 1.0 - focal
    shrink = torch.where(z > 0, -(both + either)[:, None], -(both - either)[:, None]).exp()
    return focal + z * shrink


CUBIC = -0.75
"""Slope of the cubic kernel at 1 (Keys 1981), as PyTorch's grid_sample has it."""


def slice_weights(z: torch.Tensor) -> torch.Tensor:
    """Weights of the old slices in each new one, (N, size, size); ``z`` as from :func:`heights`.

    Cubic, between the four nearest; beyond the ends the first or last slice counts again.
    """
    size = z.shape[1]
    place = ((z + 1.0) * size - 1.0).mul(0.5).clamp(0.0, size - 1.0)
    distance = (place[:, :, None] - torch.arange(-1, size + 1, device=z.device)).abs()
    near = ((CUBIC + 2.0) * distance - (CUBIC + 3.0)) * distance**2 + 1.0
    far = CUBIC * (((distance - 5.0) * distance + 8.0) * distance - 4.0)
    weights = torch.where(distance <= 1.0, near, torch.where(distance < 2.0, far, 0.0))
    weights[:, :, 1] += weights[:, :, 0]
    weights[:, :, -2] += weights[:, :, -1]
    return weights[:, :, 1:-1]


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
    # Along z, then in each plane, slices as channels. Cubic, since linear interpolation between voxels takes
    # 2 to 3 % off the surface area, which the network would learn.
    along_z = torch.einsum("nij,njp->nip", slice_weights(z), examples.distance.flatten(3)[:, 0])
    slices = along_z.view(n, size, size, size)
    distance = F.grid_sample(slices, xy, mode="bicubic", padding_mode="border", align_corners=False)[:, None]

    growth = magnification.to(device)
    return Examples(
        distance * growth.view(-1, 1, 1, 1, 1),
        flat[:, 0] * growth.view(-1, 1, 1),
        _relight(flat[:, 1], config, random),
    )


def drop_features(condition: Condition, share: float, random: Randomness) -> Condition:
    """Silence whole channels of what the encoder says of a cell (dropout, Srivastava et al. 2014).

    A network that has seen a few dozen cells many times knows each of them by its features; without some of
    them it has to rely on what cells have in common.

    Parameters
    ----------
    share
        Probability of a channel to be silenced, apart for each example; the others grow to make up for it.
    """
    if share == 0.0:
        return condition

    def drop(part: torch.Tensor) -> torch.Tensor:
        n, channels = part.shape[:2]
        kept = (random.uniform(n * channels) >= share).to(part.device, part.dtype) / (1.0 - share)
        return part * kept.view(n, channels, *[1] * (part.dim() - 2))

    return condition._replace(
        fine=drop(condition.fine), coarse=drop(condition.coarse), summary=drop(condition.summary)
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
