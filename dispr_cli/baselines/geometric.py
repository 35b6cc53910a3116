"""Shapes drawn from the outline alone: cylinder, ellipsoid and inflation of the mask.

Each shape is a signed distance to its surface, positive inside, so that its occupancy
is sub-voxel: the share of a voxel within half a voxel of the surface falls linearly.
The focal plane is z = 32. The shape is the same for every sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.baselines.outline import edge_distance, fill_outline, fit_ellipse
from dispr_cli.config import FOCAL_SLICE, GRID
from dispr_cli.errors import ConfigError
from dispr_cli.inputs.cell import Cell
from dispr_cli.method import Method

VARIANTS = ("published", "full")
"""Height of the stereological fits: half of the mean of both semi-axes, as published, or twice that."""

Field = NDArray[np.float64]
Shape = Callable[[NDArray[np.bool_]], Field]


def cylinder_distance(filled: NDArray[np.bool_], half_height: float) -> Field:
    """Signed distance to the upright cylinder over a mask.

    Parameters
    ----------
    filled
        (Y, X) base, without holes.
    half_height
        Extent above and below the focal plane, in voxels.

    Returns
    -------
    (64, Y, X) in voxels; exact inside, at most the distance outside.
    """
    return np.minimum(edge_distance(filled), half_height - np.abs(_height_above_focus()))


def ellipsoid_distance(filled: NDArray[np.bool_], semi_axis_z: float) -> Field:
    """Signed distance to an ellipsoid over the ellipse fitted to a mask, to first order at its surface.

    Parameters
    ----------
    filled
        (Y, X), without holes.
    semi_axis_z
        In voxels; the two others are those of the ellipse.

    Returns
    -------
    (64, Y, X) in voxels.
    """
    ellipse = fit_ellipse(filled)
    plane = np.moveaxis(np.indices(filled.shape), 0, -1) - ellipse.centre
    along = (plane @ ellipse.directions) / ellipse.semi_axes
    upright = _height_above_focus() / semi_axis_z
    radius = np.sqrt((along**2).sum(-1) + upright**2)
    # Distance ~ (1 - r) / |grad r| with r² = sum (x_i / a_i)² and grad r = (x_i / a_i²) / r.
    slope = np.sqrt(((along / ellipse.semi_axes) ** 2).sum(-1) + (upright / semi_axis_z) ** 2)
    # At the very centre r / |grad r| is 0 / 0; between the axes' directions it is at least the smallest axis.
    smallest = min(semi_axis_z, float(ellipse.semi_axes.min()))
    return (1.0 - radius) * np.divide(radius, slope, out=np.full_like(radius, smallest), where=slope > 0.0)


def inflated_distance(filled: NDArray[np.bool_]) -> Field:
    """Signed distance to a mask inflated to a round rim; a disc becomes a ball.

    With e the distance to the outline and R the mean of the semi-axes of its ellipse, the half height is
    sqrt(R² - (R - e)²): the rim has radius R everywhere.

    Parameters
    ----------
    filled
        (Y, X), without holes.

    Returns
    -------
    (64, Y, X) in voxels.
    """
    rim = fit_ellipse(filled).mean_semi_axis
    inward = np.maximum(rim - edge_distance(filled), 0.0)
    return rim - np.hypot(inward, _height_above_focus())


def to_occupancy(distance: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Occupancy 0..255 of a signed distance in voxels, positive inside; the surface lies at 127.5."""
    return np.rint(255.0 * np.clip(distance + 0.5, 0.0, 1.0)).astype(np.uint8)


def _height_above_focus() -> Field:
    return (np.arange(GRID, dtype=np.float64) - FOCAL_SLICE)[:, None, None]


class GeometricMethod(Method):
    """A rule that makes one shape from one mask; see :class:`dispr_cli.method.Method`.

    Parameters
    ----------
    name
        As ``--method`` writes it.
    shape
        Signed distance to the surface, (64, 64, 64), from the filled mask.
    variant
        As ``--variant`` writes it; None where there is only one.
    """

    deterministic = True

    def __init__(self, name: str, shape: Shape, variant: str | None = None) -> None:
        self.name, self.shape, self.variant = name, shape, variant

    def describe(self) -> str:
        """Say what computes."""
        return "CPU (geometry of the mask; the same shape for every sample)"

    def identity(self) -> dict[str, Any]:
        """Name and variant decide everything; no cell was learned from."""
        return {"method": self.name, "variant": self.variant, "deterministic": True, "learns": False}

    def learned_from(self, cell: Cell) -> bool:
        """Say no: a rule learns from no cell."""
        return False

    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        """Shape of each cell, repeated for each sample; ``seed`` plays no part. An empty mask stays empty."""
        volumes = np.zeros((len(cells), num_samples, GRID, GRID, GRID), np.uint8)
        for samples, cell in zip(volumes, cells, strict=True):
            if cell.mask.any():
                samples[:] = to_occupancy(self.shape(fill_outline(cell.mask)))
        return volumes


def cylinder(variant: str = "published") -> GeometricMethod:
    """Upright cylinder over the mask (stereological fit of SHAPR, Waibel et al., iScience 2022).

    Parameters
    ----------
    variant
        ``published``: its whole height is (a + b) / 2, with a and b the semi-axes of the mask's ellipse;
        ``full``: a + b.

    Raises
    ------
    ConfigError
        If the variant is not known.
    """
    share = _height_share("cylinder", variant)

    def shape(filled: NDArray[np.bool_]) -> Field:
        return cylinder_distance(filled, share * fit_ellipse(filled).mean_semi_axis)

    return GeometricMethod("cylinder", shape, variant)


def ellipsoid(variant: str = "published") -> GeometricMethod:
    """Ellipsoid over the mask's ellipse (stereological fit of SHAPR, Waibel et al., iScience 2022).

    Parameters
    ----------
    variant
        ``published``: its semi-axis along z is (a + b) / 4, with a and b the semi-axes in the plane;
        ``full``: their mean (a + b) / 2.

    Raises
    ------
    ConfigError
        If the variant is not known.
    """
    share = _height_share("ellipsoid", variant)

    def shape(filled: NDArray[np.bool_]) -> Field:
        return ellipsoid_distance(filled, share * fit_ellipse(filled).mean_semi_axis)

    return GeometricMethod("ellipsoid", shape, variant)


def inflate() -> GeometricMethod:
    """Inflate the mask by its distance transform; see :func:`inflated_distance`."""
    return GeometricMethod("inflate", inflated_distance)


def _height_share(name: str, variant: str) -> float:
    """Extent above the focal plane as a share of the mean semi-axis."""
    if variant not in VARIANTS:
        raise ConfigError(f"--variant {variant!r} is not one of {name}: expected {' or '.join(VARIANTS)}")
    return 0.5 if variant == "published" else 1.0
