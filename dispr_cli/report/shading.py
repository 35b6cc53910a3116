"""A volume drawn as a lit surface, without a display: parallel rays, first crossing, gradient normals."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.config import SURFACE_LEVEL

Floats = NDArray[np.floating[Any]]

CLAY = (0.80, 0.36, 0.30)
"""Colour of a surface that stands for a sample."""

_KEY_LIGHT = np.array([-0.45, 0.65, 0.75])
_FILL_LIGHT = np.array([0.80, -0.10, 0.45])
_EYE = np.array([0.0, 0.0, 1.0])
# In voxels. A little smoothing hides the stairs of volumes that are nearly binary.
_SMOOTHING = 0.8
_PADDING = 3
# The clearance of a voxel is measured between centres and interpolated: up to so much too large.
_CAUTION = 1.5
_LEAST_STEP = 0.5
_OCCLUSION_REACH = 4.0
# Rays whose largest value lies between this and the surface level graze it: they soften the outline.
_LEAST_VISIBLE = 90.0


@dataclass(frozen=True, slots=True)
class View:
    """Where a volume is looked at from.

    Attributes
    ----------
    azimuth
        Turn about the z axis in degrees.
    elevation
        Degrees above the xy plane; 90 looks down on the plane of the input image as it is printed.
    extent
        Side of the square that is shown, in sides of the grid.
    """

    azimuth: float = -30.0
    elevation: float = 40.0
    extent: float = 1.2

    def axes(self) -> Floats:
        """Return the directions right, up and towards the eye, as rows of (z, y, x) in the grid."""
        turn, rise = np.radians([self.azimuth, self.elevation])
        # Right-handed with y upwards, while the rows of an image count downwards.
        right = np.array([np.cos(turn), np.sin(turn), 0.0])
        eye = np.array([np.sin(turn) * np.cos(rise), -np.cos(turn) * np.cos(rise), np.sin(rise)])
        up = np.cross(eye, right)
        return np.stack([right, up, eye])[:, ::-1] * (1.0, -1.0, 1.0)


def shade(
    volume: NDArray[np.uint8],
    *,
    pixels: int = 192,
    view: View | None = None,
    colour: tuple[float, float, float] = CLAY,
    tint: Floats | None = None,
) -> Floats:
    """Draw the surface of a volume at 127.5.

    Parameters
    ----------
    volume
        (Z, Y, X) uint8, a cube.
    pixels
        Sides of the picture.
    view
        Where from; by default from above and aside.
    colour
        Red, green and blue of the surface in [0, 1].
    tint
        (Z, Y, X, 3) colours in [0, 1] that the surface takes instead of `colour`, where it runs.

    Returns
    -------
    ndarray
        (pixels, pixels, 4) float32: red, green, blue and opacity in [0, 1].
    """
    picture = np.zeros((pixels, pixels, 4), np.float32)
    smooth = ndimage.gaussian_filter(np.pad(volume, _PADDING).astype(np.float32), _SMOOTHING)
    if smooth.max() < SURFACE_LEVEL:
        return picture
    rays = _rays(smooth, view or View(), pixels, volume.shape[0])
    depth, opacity = _trace(rays, smooth)
    points = rays.points(depth)
    normals = _normals(smooth, points, rays.axes)
    surface = np.asarray(colour) if tint is None else _at(tint, points - _PADDING)
    lit = _lit(surface, normals, _occlusion(depth, opacity, _OCCLUSION_REACH / rays.step))
    picture[rays.window] = np.dstack([lit, opacity])
    return picture


@dataclass(frozen=True, slots=True)
class _Rays:
    """Parallel rays through the part of the picture where there is something to see.

    Attributes
    ----------
    axes
        Right, up and towards the eye, rows of (z, y, x).
    centre
        The point in the middle of the picture, in voxels.
    step
        Voxels between two neighbouring pixels.
    window
        Rows and columns of the picture that have rays.
    down, rightwards
        Positions of rows and columns relative to `centre`, in voxels.
    start, length
        Where the rays begin, relative to `centre` and away from the eye, and how far they go, in voxels.
    """

    axes: Floats
    centre: Floats
    step: float
    window: tuple[slice, slice]
    down: Floats
    rightwards: Floats
    start: float
    length: float

    def points(self, depth: Floats) -> Floats:
        """Return the points at a depth in voxels along each ray, (3, rows, columns)."""
        right, up, eye = self.axes[:, :, np.newaxis, np.newaxis]
        moved = right * self.rightwards - up * self.down[:, np.newaxis] - eye * (self.start + depth)
        return moved + self.centre[:, np.newaxis, np.newaxis]


def _rays(field: Floats, view: View, pixels: int, side: int) -> _Rays:
    axes, centre = view.axes(), (np.array(field.shape) - 1) / 2
    step = side * view.extent / pixels
    ranges = ndimage.find_objects((field >= _LEAST_VISIBLE).astype(np.int8))[0]
    corners = np.array(list(product(*((part.start - 1, part.stop) for part in ranges)))) - centre
    rightwards, up, towards = (corners @ axes.T).T
    across = (np.arange(pixels) - (pixels - 1) / 2) * step
    rows = _between(across, -up.max(), -up.min())
    columns = _between(across, rightwards.min(), rightwards.max())
    length = float(np.ptp(towards))
    return _Rays(axes, centre, step, (rows, columns), across[rows], across[columns], -towards.max(), length)


def _between(positions: Floats, low: float, high: float) -> slice:
    return slice(int(np.searchsorted(positions, low)), int(np.searchsorted(positions, high)) + 1)


def _trace(rays: _Rays, field: Floats) -> tuple[Floats, Floats]:
    """Follow each ray to the surface (sphere tracing, Hart 1996).

    Returns
    -------
    depth
        Voxels along each ray to its first crossing of the surface, or to where it comes closest.
    opacity
        How opaque its pixel is: 1 where the ray enters the volume, less where it only grazes it.
    """
    clearance = ndimage.distance_transform_edt(field < SURFACE_LEVEL)
    shape = (len(rays.down), len(rays.rightwards))
    origins = rays.points(np.zeros(shape)).reshape(3, -1)
    depth, closest, peak = np.zeros(shape).ravel(), np.zeros(shape).ravel(), np.zeros(shape).ravel()
    before = np.zeros_like(peak)
    step = np.ones_like(peak)
    active = np.arange(len(peak))
    while len(active):
        points = origins[:, active] - rays.axes[2][:, np.newaxis] * depth[active]
        value = ndimage.map_coordinates(field, points, order=1)
        nearer = value > peak[active]
        closest[active] = np.where(nearer, depth[active], closest[active])
        peak[active] = np.maximum(value, peak[active])
        hit = value >= SURFACE_LEVEL
        # The surface lies between this sample and the one before, on a straight line between their values.
        back = step[active] * (value - SURFACE_LEVEL) / np.maximum(value - before[active], 1e-6)
        closest[active] -= np.where(hit, np.clip(back, 0, step[active]), 0)
        before[active] = value
        room = ndimage.map_coordinates(clearance, points, order=1, mode="nearest") - _CAUTION
        step[active] = np.maximum(room, _LEAST_STEP)
        depth[active] += step[active]
        active = active[~hit & (depth[active] < rays.length)]
    opacity = np.clip((peak - _LEAST_VISIBLE) / (SURFACE_LEVEL - _LEAST_VISIBLE), 0, 1)
    return closest.reshape(shape), opacity.reshape(shape)


def _normals(field: Floats, points: Floats, axes: Floats) -> Floats:
    """Return the outward normal at each point as (..., 3) towards right, up and the eye."""
    slopes = [np.asarray(slope) for slope in np.gradient(field)]
    outwards = -_at(np.stack(slopes, axis=-1), points) @ axes.T
    return outwards / np.maximum(np.linalg.norm(outwards, axis=-1, keepdims=True), 1e-6)


def _at(values: Floats, points: Floats) -> Floats:
    """Interpolate (Z, Y, X, C) values at the points, (..., C)."""
    channels = [
        ndimage.map_coordinates(values[..., channel], points, order=1, mode="nearest")
        for channel in range(values.shape[-1])
    ]
    return np.stack(channels, axis=-1)


def _occlusion(depth: Floats, opacity: Floats, reach: float) -> Floats:
    """Return how much each point lies below its surroundings, 0..1: hollows are darker."""
    weight = opacity + 1e-6
    around = ndimage.gaussian_filter(depth * weight, reach) / ndimage.gaussian_filter(weight, reach)
    return np.clip((depth - around) / _OCCLUSION_REACH, 0, 1)


def _lit(surface: Floats, normals: Floats, occlusion: Floats) -> Floats:
    """Light the surface: half-Lambert key and fill, a soft highlight, darker rims and hollows."""
    key, fill = (light / np.linalg.norm(light) for light in (_KEY_LIGHT, _FILL_LIGHT))
    halfway = (key + _EYE) / np.linalg.norm(key + _EYE)
    diffuse = 0.30 + 0.85 * (0.5 + 0.5 * normals @ key) ** 2 + 0.18 * np.clip(normals @ fill, 0, None)
    rim = 0.55 + 0.45 * np.clip(normals[..., 2] * 1.6, 0, 1)
    brightness = diffuse * rim * (1 - 0.45 * occlusion)
    highlight = 0.22 * np.clip(normals @ halfway, 0, None) ** 40
    return np.clip(surface * brightness[..., np.newaxis] + highlight[..., np.newaxis], 0, 1)
