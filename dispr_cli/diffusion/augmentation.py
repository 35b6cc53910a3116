"""Random variants of training cells: image, mask and volume moved together.

In-plane rotations by any angle and flips keep the physics of the microscope;
flips along z do not (the focal plane is not the middle of a cell), so there
are none. Image intensities vary on their own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn import functional as F

from dispr_cli.config import TrainingConfig
from dispr_cli.diffusion.conditioning import FOCAL_SLICE


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


def _normal(n: int, sd: float, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(n, generator=generator) * sd


def in_plane_maps(
    n: int, config: TrainingConfig, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random maps from the new grid to the old one.

    Returns
    -------
    (N, 2, 2) maps of (x, y), and (N,) magnifications by which distances grow.
    """
    angle = torch.rand(n, generator=generator) * (2.0 * math.pi)
    flip = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    scale = _normal(n, config.scale, generator).exp()
    stretch = _normal(n, config.shear, generator).exp()
    cos, sin = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    shrink = torch.diag_embed(torch.stack([flip / (scale * stretch), stretch / scale], 1))
    return rotation @ shrink, scale


def augment(examples: Examples, config: TrainingConfig, generator: torch.Generator) -> Examples:
    """Move, scale and re-light a batch.

    Parameters
    ----------
    examples
        On any device.
    generator
        A CPU generator: the same variants come out on every device.
    """
    n, device = examples.image.shape[0], examples.image.device
    maps, magnification = in_plane_maps(n, config, generator)
    z_stretch = _normal(n, config.z_stretch, generator).exp()

    plane = torch.zeros(n, 2, 3)
    plane[:, :, :2] = maps
    grid = F.affine_grid(plane.to(device), [n, 1, 64, 64], align_corners=False)
    flat = torch.stack([examples.outline, examples.image], 1)
    flat = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)

    # z is scaled about the focal slice, whose normalised coordinate is (2 z + 1) / 64 - 1.
    focal = (2 * FOCAL_SLICE + 1) / 64 - 1.0
    space = torch.zeros(n, 3, 4)
    space[:, :2, :2] = maps
    space[:, 2, 2] = 1.0 / z_stretch
    space[:, 2, 3] = focal * (1.0 - 1.0 / z_stretch)
    grid = F.affine_grid(space.to(device), [n, 1, 64, 64, 64], align_corners=False)
    distance = F.grid_sample(examples.distance, grid, padding_mode="border", align_corners=False)

    growth = magnification.to(device)
    return Examples(
        distance * growth.view(-1, 1, 1, 1, 1),
        flat[:, 0] * growth.view(-1, 1, 1),
        _relight(flat[:, 1], config, generator),
    )


def _relight(image: torch.Tensor, config: TrainingConfig, generator: torch.Generator) -> torch.Tensor:
    """Vary brightness, contrast and noise; hide the image of a few examples."""
    n, device = image.shape[0], image.device

    def draw(sd: float) -> torch.Tensor:
        return _normal(n, sd, generator).to(device).view(-1, 1, 1)

    image = (image.clamp(0.0, 1.0) + 1e-4) ** draw(0.12).exp() * draw(0.12).exp() + draw(0.015)
    noise = torch.randn(image.shape, generator=generator).to(device)
    image = (image + noise * (0.015 * draw(1.0).abs())).clamp(0.0, 1.0)
    hidden = (torch.rand(n, generator=generator) < config.condition_dropout).to(device)
    return image.masked_fill(hidden.view(-1, 1, 1), 0.0)
