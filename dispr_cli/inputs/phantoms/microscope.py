"""A confocal stack of a stained membrane, and the segmentation a person would draw from it.

On the real cells the 2D mask is the image above one level (about 0.27 of the stack's brightest voxel,
IoU 0.98), and so is the volume; a phantom's volume is therefore cut from its simulated stack, which
brings along what real volumes show: a border pushed out by the blur, bridged gaps, hollow sections.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from dispr_cli.inputs.phantoms.bodies import bounded_normal


@dataclass(frozen=True, slots=True)
class Optics:
    """Settings of one simulated acquisition; lengths in voxels, brightness in grey levels.

    Attributes
    ----------
    blur_lateral, blur_axial
        Standard deviations of the focused point-spread function.
    haze
        Share of the light spread over ``haze_lateral`` and ``haze_axial`` instead.
    cytosol
        Stain inside the cell per voxel, relative to the membrane's per voxel of its area.
    uneven
        Relative strength of the slow change of the stain over the cell; ``uneven_waves`` holds its wave
        vectors and phases, (n, 4), per voxel.
    brightest, background
        Grey level of the brightest voxel of the stack, and of empty space.
    threshold
        Grey level at which the cell is segmented.
    grain
        Standard deviation of the noise a voxel of the stack has where it is segmented.
    noise
        Standard deviation of the image's noise at grey level 100; it grows as the square root.
    """

    blur_lateral: float
    blur_axial: float
    haze: float
    haze_lateral: float
    haze_axial: float
    cytosol: float
    uneven: float
    uneven_waves: NDArray[np.float64]
    brightest: float
    background: float
    threshold: float
    grain: float
    noise: float


def draw_optics(rng: np.random.Generator, cytosol: float) -> Optics:
    """Draw one acquisition; the ranges follow the images and masks of real cells.

    ``cytosol`` is the class's typical stain inside the cell, around which a cell's own is drawn.
    """
    waves = np.empty((3, 4))
    waves[:, :3] = rng.normal(0.0, 0.09, (3, 3))
    waves[:, 3] = rng.uniform(0, 2 * np.pi, 3)
    return Optics(
        blur_lateral=rng.uniform(1.35, 2.2),
        blur_axial=rng.uniform(2.0, 3.0),
        haze=rng.uniform(0.03, 0.3),
        haze_lateral=rng.uniform(4.5, 7.0),
        haze_axial=rng.uniform(7.0, 12.0),
        cytosol=cytosol * math.exp(bounded_normal(rng, 0.0, 0.8)),
        uneven=rng.uniform(0.03, 0.18),
        uneven_waves=waves,
        brightest=bounded_normal(rng, 211.0, 19.0, 1.7),
        background=rng.uniform(1.0, 3.0),
        threshold=bounded_normal(rng, 69.0, 8.5),
        grain=rng.uniform(0.0, 6.0),
        noise=rng.uniform(0.7, 1.6),
    )


def gaussian_weights(deviation: float) -> NDArray[np.float32]:
    """Normalised samples of a Gaussian out to three standard deviations, in voxels."""
    radius = max(1, math.ceil(3.0 * deviation))
    x = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (x / max(deviation, 1e-3)) ** 2)
    return (weights / weights.sum()).astype(np.float32)


@numba.njit(cache=True, fastmath=True, inline="always")
def _add_row(total: NDArray[np.float32], row: NDArray[np.float32], weight: float) -> None:
    for i in range(row.size):
        total[i] += weight * row[i]


@numba.njit(cache=True, fastmath=True)
def _blur(
    stack: NDArray[np.float32],
    along_z: NDArray[np.float32],
    along_y: NDArray[np.float32],
    along_x: NDArray[np.float32],
) -> NDArray[np.float32]:
    # Rows are taken out as views: the compiler turns loops over them into vector instructions.
    depth, height, width = stack.shape
    first, second, third = np.zeros_like(stack), np.zeros_like(stack), np.zeros_like(stack)
    radius = along_z.size // 2
    for k in range(depth):
        for n in range(max(-radius, -k), min(radius, depth - 1 - k) + 1):
            for j in range(height):
                _add_row(first[k, j], stack[k + n, j], along_z[n + radius])
    radius = along_y.size // 2
    for k in range(depth):
        for j in range(height):
            for n in range(max(-radius, -j), min(radius, height - 1 - j) + 1):
                _add_row(second[k, j], first[k, j + n], along_y[n + radius])
    radius = along_x.size // 2
    for k in range(depth):
        for j in range(height):
            for n in range(max(-radius, 1 - width), min(radius, width - 1) + 1):
                low, high = max(0, -n), min(width, width - n)
                _add_row(third[k, j, low:high], second[k, j, low + n : high + n], along_x[n + radius])
    return third


def blur(stack: NDArray[np.float32], axial: float, lateral: float) -> NDArray[np.float32]:
    """Gaussian blur of a (z, y, x) stack with darkness around it; deviations in voxels."""
    across = gaussian_weights(lateral)
    return _blur(stack, gaussian_weights(axial), across, across)


@numba.njit(cache=True, fastmath=True)
def _stained(
    smooth: NDArray[np.float32], cytosol: float, uneven: float, waves: NDArray[np.float64]
) -> NDArray[np.float32]:
    # The gradient of an occupancy integrates to one across the membrane, whatever its slant.
    depth, height, width = smooth.shape
    stain = np.zeros_like(smooth)
    for k in range(1, depth - 1):
        for j in range(1, height - 1):
            for i in range(1, width - 1):
                dz = smooth[k + 1, j, i] - smooth[k - 1, j, i]
                dy = smooth[k, j + 1, i] - smooth[k, j - 1, i]
                dx = smooth[k, j, i + 1] - smooth[k, j, i - 1]
                membrane = 0.5 * math.sqrt(dz * dz + dy * dy + dx * dx)
                value = membrane + cytosol * smooth[k, j, i]
                if value < 1e-4:
                    continue
                change = 1.0
                for n in range(waves.shape[0]):
                    change += uneven * math.sin(
                        waves[n, 0] * k + waves[n, 1] * j + waves[n, 2] * i + waves[n, 3]
                    )
                stain[k, j, i] = value * max(change, 0.1)
    return stain


def _hazy(stack: NDArray[np.float32], axial: float, lateral: float) -> NDArray[np.float32]:
    # Out-of-focus light is so smooth that a grid four times coarser carries it.
    side = stack.shape[0] // 4
    coarse = stack.reshape(side, 4, side, 4, side, 4).mean(axis=(1, 3, 5))
    coarse = blur(np.ascontiguousarray(coarse), axial / 4.0, lateral / 4.0)
    for axis in range(3):
        coarse = _four_times_finer(coarse, axis)
    return coarse


def _four_times_finer(array: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    side = array.shape[axis]
    at = np.clip((np.arange(4 * side) - 1.5) / 4.0, 0, side - 1)
    low = np.minimum(at.astype(int), side - 2)
    shape = [1, 1, 1]
    shape[axis] = -1
    share = (at - low).astype(np.float32).reshape(shape)
    return np.take(array, low, axis) * (1 - share) + np.take(array, low + 1, axis) * share


def photograph(occupancy: NDArray[np.float32], optics: Optics) -> NDArray[np.float32]:
    """Noise-free stack of a cell with a stained membrane.

    Parameters
    ----------
    occupancy
        The body, (z, y, x) in [0, 1].
    optics
        The acquisition.

    Returns
    -------
    NDArray[np.float32]
        Grey levels, (z, y, x), from ``optics.background`` to ``optics.brightest``.
    """
    spread = 0.7
    stain = _stained(blur(occupancy, spread, spread), optics.cytosol, optics.uneven, optics.uneven_waves)
    rest = math.sqrt(max(optics.blur_lateral**2 - spread**2, 0.01))
    rest_axial = math.sqrt(max(optics.blur_axial**2 - spread**2, 0.01))
    stack = blur(stain, rest_axial, rest)
    stack *= np.float32(1.0 - optics.haze)
    stack += np.float32(optics.haze) * _hazy(stain, optics.haze_axial, optics.haze_lateral)
    stack *= np.float32((optics.brightest - optics.background) / max(float(stack.max()), 1e-6))
    stack += np.float32(optics.background)
    return stack


@numba.njit(cache=True, inline="always")
def _grain_at(index: int, seed: int) -> float:
    """White noise of unit deviation from an index and a seed (Steele's mixing of 64 bits)."""
    state = np.uint64(index) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed) * np.uint64(0xD1B54A32D192ED03)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    first = float(state & np.uint64(0xFFFFFFFF)) / 4294967296.0
    second = float(state >> np.uint64(32)) / 4294967296.0
    return (first + second - 1.0) * 2.449489742783178


@numba.njit(cache=True, fastmath=True)
def _segment(stack: NDArray[np.float32], threshold: float, grain: float, seed: int) -> NDArray[np.uint8]:
    depth, height, width = stack.shape
    volume = np.zeros((depth, height, width), np.uint8)
    for k in range(1, depth - 1):
        for j in range(1, height - 1):
            for i in range(1, width - 1):
                excess = stack[k, j, i] - threshold
                if abs(excess) > 90.0:
                    volume[k, j, i] = 255 if excess > 0.0 else 0
                    continue
                excess += grain * _grain_at((k * height + j) * width + i, seed)
                dz = stack[k + 1, j, i] - stack[k - 1, j, i]
                dy = stack[k, j + 1, i] - stack[k, j - 1, i]
                dx = stack[k, j, i + 1] - stack[k, j, i - 1]
                slope = max(0.5 * math.sqrt(dz * dz + dy * dy + dx * dx), 4.0)
                share = min(max(0.5 + excess / (1.04 * slope), 0.0), 1.0)
                volume[k, j, i] = np.uint8(math.floor(255.0 * share + 0.5))
    return volume


def segment(stack: NDArray[np.float32], optics: Optics, seed: int) -> NDArray[np.uint8]:
    """Cut a stack at the grey level of its acquisition, noise and all.

    The distance to the surface is estimated to first order (excess over slope), which leaves a border a
    voxel wide as in the real volumes.

    Returns
    -------
    NDArray[np.uint8]
        Occupancy 0..255 with the surface at 127.5, (z, y, x).
    """
    return _segment(stack, optics.threshold, optics.grain, seed)


def expose(plane: NDArray[np.float32], optics: Optics, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One plane of a stack as the camera gives it: photon noise, then eight bits."""
    noise = rng.standard_normal(plane.shape).astype(np.float32)
    noise *= np.sqrt(np.maximum(plane, 0.0) / 100.0) * np.float32(optics.noise)
    return np.clip(np.rint(plane + noise), 0, 255).astype(np.uint8)
