"""Synthetic red blood cells: a shape, a microscope, and the image, mask and volume that come out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.errors import ConfigError
from dispr_cli.inputs.phantoms import clusters, shapes, surfaces
from dispr_cli.inputs.phantoms.microscope import Optics, expose, photograph, segment
from dispr_cli.inputs.phantoms.shapes import Body, Draft, bounded_normal

GRID = 64
CENTRAL_SLICE = 32
VOXEL_SIZE_UM = 0.172
MARGIN = 4
ATTEMPTS = 40

DRAWS: dict[str, Callable[[np.random.Generator], Draft]] = {
    "spherocyte": shapes.draw_spherocyte,
    "stomatocyte": shapes.draw_stomatocyte,
    "discocyte": shapes.draw_discocyte,
    "echinocyte": shapes.draw_echinocyte,
    "acanthocyte": shapes.draw_acanthocyte,
    "cell_cluster": clusters.draw_cell_cluster,
    "keratocyte": shapes.draw_keratocyte,
    "knizocyte": shapes.draw_knizocyte,
    "multilobate": shapes.draw_multilobate,
}
PHANTOM_CLASSES: tuple[str, ...] = tuple(DRAWS)


@dataclass(frozen=True, slots=True)
class Phantom:
    """One synthetic cell.

    Attributes
    ----------
    name, phantom_class
        Unique name within a set, and which of the nine shapes it is.
    volume
        Occupancy 0..255 with the surface at 127.5, (64, 64, 64) uint8, axes z, y, x.
    mask
        Slice 32 of the volume, (64, 64) uint8.
    image
        Simulated fluorescence of that slice, (64, 64) uint8.
    voxel_size_um
        Side of the isotropic voxels.
    body_volume_um3
        Volume of the body before stretch, blur and segmentation.
    traits
        The numbers that were drawn for it.
    """

    name: str
    phantom_class: str
    volume: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    image: NDArray[np.uint8]
    voxel_size_um: float
    body_volume_um3: float
    traits: dict[str, float]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a draft stands on the grid: index (x, y, z) = centre + stretch * scale * turn @ point / voxel."""

    turn: NDArray[np.float64]
    stretch: float
    scale: float
    centre: NDArray[np.float64]


def draw_turn(rng: np.random.Generator, flatness: float) -> NDArray[np.float64]:
    """Rotation with the body's z-axis tilted by arccos(u^(1 / (1 + flatness))), up or down, (3, 3)."""
    cosine = rng.uniform() ** (1.0 / (1.0 + flatness)) * rng.choice([-1.0, 1.0])
    sine = math.sqrt(1.0 - cosine**2)
    first, second = rng.uniform(0, 2 * np.pi, 2)
    tilt = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return _about_z(first) @ tilt @ _about_z(second)


def _about_z(angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def levels(bodies: Sequence[Body], placement: Placement, side: int, step: float) -> NDArray[np.float32]:
    """Field of levels in um on a cube of ``side`` points, ``step`` voxels apart, (z, y, x)."""
    field = np.full((side,) * 3, surfaces.OUTSIDE, np.float32)
    to_um = VOXEL_SIZE_UM / placement.scale / np.array([1.0, 1.0, placement.stretch])
    for body in bodies:
        turn = placement.turn @ body.rotation
        matrix = turn.T * to_um
        offset = -matrix @ placement.centre - body.rotation.T @ body.centre
        surfaces.add_body(
            field, matrix * step, offset, body.waves, body.reach, body.kind, body.parameters, body.table
        )
    return field


def settle(draft: Draft, turn: NDArray[np.float64], stretch: float) -> Placement | None:
    """Scale a draft to its volume and centre its bounding box; None where it does not fit the grid."""
    side, step = 36, 2.4
    middle = np.full(3, 0.5 * (side - 1) * step)
    first = Placement(turn, stretch, 1.0, middle)
    inside = levels(draft.bodies, first, side, step) > 0
    count = int(inside.sum())
    if count < 50:
        return None
    volume = count * (step * VOXEL_SIZE_UM) ** 3 / stretch
    scale = (draft.volume_um3 / volume) ** (1 / 3)
    low, high = (np.array(edge) * step for edge in _bounds(inside))
    if (scale * (high - low) > GRID - 2 * MARGIN).any():
        return None
    centre = 0.5 * (GRID - 1) - scale * (0.5 * (low + high) - middle)
    return Placement(turn, stretch, scale, centre)


def _bounds(inside: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """First and last index along x, y, z."""
    low, high = [], []
    for axes in ((0, 1), (0, 2), (1, 2)):
        hit = np.flatnonzero(inside.any(axis=axes))
        low.append(int(hit[0]))
        high.append(int(hit[-1]))
    return low, high


def draw_optics(rng: np.random.Generator) -> Optics:
    """Draw one acquisition; the ranges follow the images and masks of real cells."""
    waves = np.empty((3, 4))
    waves[:, :3] = rng.normal(0.0, 0.09, (3, 3))
    waves[:, 3] = rng.uniform(0, 2 * np.pi, 3)
    return Optics(
        blur_lateral=rng.uniform(1.35, 1.9),
        blur_axial=rng.uniform(2.6, 4.2),
        haze=rng.uniform(0.15, 0.4),
        haze_lateral=rng.uniform(4.5, 7.0),
        haze_axial=rng.uniform(7.0, 12.0),
        cytosol=float(np.exp(math.log(0.22) + 0.6 * np.clip(rng.standard_normal(), -2, 2))),
        uneven=rng.uniform(0.0, 0.12),
        uneven_waves=waves,
        brightest=bounded_normal(rng, 225.0, 18.0, 1.6),
        background=rng.uniform(1.0, 3.5),
        threshold=bounded_normal(rng, 68.0, 8.0),
        noise=rng.uniform(0.4, 1.6),
    )


def generate_phantom(phantom_class: str, seed: int | np.random.SeedSequence, name: str = "") -> Phantom:
    """Make one synthetic cell.

    Parameters
    ----------
    phantom_class
        One of :data:`PHANTOM_CLASSES`.
    seed
        Everything about the phantom follows from it and the class.
    name
        Its name; by default the class.

    Returns
    -------
    Phantom
        Image, mask, volume and what they were made from.

    Raises
    ------
    ConfigError
        For a class that does not exist.
    """
    if phantom_class not in DRAWS:
        known = ", ".join(PHANTOM_CLASSES)
        raise ConfigError(f"There is no phantom class {phantom_class!r}; choose from {known}.")
    rng = np.random.default_rng(seed)
    for _ in range(ATTEMPTS):
        phantom = _attempt(phantom_class, rng, name or phantom_class)
        if phantom is not None:
            return phantom
    raise RuntimeError(f"No valid {phantom_class} in {ATTEMPTS} attempts from seed {seed!r}.")


def _attempt(phantom_class: str, rng: np.random.Generator, name: str) -> Phantom | None:
    draft = DRAWS[phantom_class](rng)
    placement = settle(draft, draw_turn(rng, draft.flatness), bounded_normal(rng, 1.28, 0.07))
    if placement is None:
        return None
    field = levels(draft.bodies, placement, GRID, 1.0)
    occupancy = np.clip(0.5 + field * np.float32(placement.scale / VOXEL_SIZE_UM), 0, 1)
    optics = draw_optics(rng)
    stack = photograph(occupancy, optics)
    volume = keep_cell(segment(stack, optics.threshold))
    if volume is None:
        return None
    centred = centre_on_grid(volume, stack, rng)
    if centred is None:
        return None
    volume, stack = centred
    mask = volume[CENTRAL_SLICE].copy()
    if not sane_mask(mask):
        return None
    image = expose(stack[CENTRAL_SLICE], optics, rng)
    traits = draft.traits | {"z_stretch": placement.stretch, "threshold": optics.threshold}
    return Phantom(name, phantom_class, volume, mask, image, VOXEL_SIZE_UM, draft.volume_um3, traits)


def keep_cell(volume: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Drop crumbs below a twentieth of the largest part and fill cavities; None where nothing is left."""
    labels, count = ndimage.label(volume > 127)
    if count == 0:
        return None
    if count > 1:
        sizes = np.bincount(labels.ravel())[1:]
        crumbs = np.flatnonzero(sizes < 0.05 * sizes.max()) + 1
        if crumbs.size:
            volume = np.where(ndimage.binary_dilation(np.isin(labels, crumbs)), 0, volume).astype(np.uint8)
    return fill_cavities(volume)


def fill_cavities(volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill the hollows that no path connects with the outside, as the real volumes are filled."""
    labels, count = ndimage.label(volume <= 127)
    if count > 1:
        cavity = (labels > 0) & (labels != labels[0, 0, 0])
        volume = np.where(ndimage.binary_dilation(cavity), 255, volume).astype(np.uint8)
    return volume


def centre_on_grid(
    volume: NDArray[np.uint8], stack: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]] | None:
    """Bring the bounding box to the middle, and the mass above it as often as in real cells.

    Real cells are centred by their bounding box; in 71 % of them the centre of mass lies above the
    central slice, so most phantoms whose mass lies below are turned over.
    """
    inside = volume > 127
    mass = float(np.average(np.arange(GRID), weights=inside.sum(axis=(1, 2))))
    low, high = _bounds(inside)
    if mass < 0.5 * (low[2] + high[2]) + 0.25 and rng.uniform() < 0.6:
        volume, stack = volume[::-1], stack[::-1]
        low[2], high[2] = GRID - 1 - high[2], GRID - 1 - low[2]
    target = np.array([31.7, 31.8, 31.77]) + np.array([1.2, 1.2, 0.0]) * np.clip(
        rng.standard_normal(3), -2, 2
    )
    shift = np.rint(target - 0.5 * (np.array(low) + high) + 1e-6).astype(int)
    if (np.array(low) + shift < 1).any() or (np.array(high) + shift > GRID - 2).any():
        return None
    return _shifted(volume, shift), _shifted(stack, shift)


def _shifted(array: NDArray, shift: NDArray[np.int_]) -> NDArray:
    """Move an array by whole voxels (x, y, z); the border's values follow it in."""
    at = [np.clip(np.arange(GRID) - step, 0, GRID - 1) for step in shift[::-1]]
    return np.ascontiguousarray(array[np.ix_(*at)])


def sane_mask(mask: NDArray[np.uint8]) -> bool:
    """Whether the central slice shows one cell: not tiny, not everything, one part dominating."""
    labels, count = ndimage.label(mask > 127)
    sizes = np.bincount(labels.ravel())[1:]
    return count > 0 and 200 <= sizes.sum() <= 2800 and sizes.max() >= 0.5 * sizes.sum()


def generate_phantoms(
    count: int, classes: Sequence[str] = PHANTOM_CLASSES, seed: int = 0
) -> Iterator[Phantom]:
    """Make phantoms of the classes in turn; number i depends on (seed, i, its class) alone.

    Parameters
    ----------
    count
        How many.
    classes
        Which shapes; phantom i gets ``classes[i % len(classes)]``.
    seed
        Seed of the whole set.

    Yields
    ------
    Phantom
        Named ``class_000012`` by its number.
    """
    check_request(count, classes)
    for i in range(count):
        yield numbered_phantom(classes[i % len(classes)], i, seed)


def numbered_phantom(phantom_class: str, number: int, seed: int) -> Phantom:
    """Phantom ``number`` of a set, whatever else the set holds."""
    key = (PHANTOM_CLASSES.index(phantom_class), number)
    sequence = np.random.SeedSequence(seed, spawn_key=key)
    return generate_phantom(phantom_class, sequence, f"{phantom_class}_{number:06d}")


def check_request(count: int, classes: Sequence[str]) -> None:
    """Refuse a set that cannot be made.

    Raises
    ------
    ConfigError
        For a count below one, no class at all, or classes that do not exist.
    """
    known = ", ".join(PHANTOM_CLASSES)
    if count < 1:
        raise ConfigError(f"{count} phantoms were asked for; the number of cells must be at least 1.")
    unknown = [name for name in classes if name not in DRAWS]
    if unknown or not classes:
        named = ", ".join(repr(name) for name in unknown) or "none"
        raise ConfigError(f"Unknown phantom classes: {named}; choose from {known}.")
