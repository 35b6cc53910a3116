"""Solids whose measures are known in closed form, as float occupancies."""

from __future__ import annotations

import numpy as np

UNIT = (1.0, 1.0, 1.0)


def places(shape: tuple[int, int, int], voxel_size: tuple[float, float, float] = UNIT) -> list[np.ndarray]:
    """Voxel centres (z, y, x) in the voxel size's unit, a little off the middle of the grid."""
    axes = [
        (np.arange(count) - (count - 1) / 2 - 0.13) * side
        for count, side in zip(shape, voxel_size, strict=True)
    ]
    return list(np.meshgrid(*axes, indexing="ij"))


def occupancy(distance: np.ndarray, softness: float = 1.0) -> np.ndarray:
    """Turn a signed distance (negative inside) into an occupancy that crosses one half at 0."""
    return np.clip(0.5 - distance / softness, 0, 1).astype(np.float32)


def ball(radius: float, count: int = 40, voxel_size: tuple[float, float, float] = UNIT) -> np.ndarray:
    z, y, x = places((count,) * 3, voxel_size)
    return occupancy(np.sqrt(z**2 + y**2 + x**2) - radius, 2 * max(voxel_size))


def spheroid(polar: float, equatorial: float, count: int = 40) -> np.ndarray:
    z, y, x = places((count,) * 3)
    scale = np.sqrt((z / polar) ** 2 + (y**2 + x**2) / equatorial**2)
    gradient = np.sqrt(z**2 / polar**4 + (y**2 + x**2) / equatorial**4) / np.maximum(scale, 1e-9)
    return occupancy((scale - 1) / np.maximum(gradient, 1e-9))


def torus(large: float, small: float, count: int = 48) -> np.ndarray:
    z, y, x = places((count // 2, count, count))
    return occupancy(np.sqrt((np.sqrt(y**2 + x**2) - large) ** 2 + z**2) - small)


def cylinder(radius: float, height: float, count: int = 40) -> np.ndarray:
    z, y, x = places((count,) * 3)
    return occupancy(np.maximum(np.sqrt(y**2 + x**2) - radius, np.abs(z) - height / 2))


def blob(seed: int, count: int = 14) -> np.ndarray:
    """A rough random shape with hollows, handles and several parts."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(count,) * 3), 1.2)
    return occupancy(-noise * 8 + 0.1)
