"""Synthetic red blood cells: a shape, a microscope, and the image, mask and volume that come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.config import FOREGROUND, GRID
from dispr_cli.errors import ConfigError
from dispr_cli.inputs.phantoms import clusters, shapes
from dispr_cli.inputs.phantoms.bodies import Draft, bounded_normal
from dispr_cli.inputs.phantoms.microscope import Optics, draw_optics, expose, photograph, segment
from dispr_cli.inputs.phantoms.placement import VOXEL_SIZE_UM, body_occupancy, place

T = TypeVar("T", bound=np.generic)

CENTRAL_SLICE = 32
ATTEMPTS = 60

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
        Volume of the body itself: without stretch, blur and segmentation.
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


def _bounds(inside: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """First and last index along x, y, z."""
    low, high = [], []
    for axes in ((0, 1), (0, 2), (1, 2)):
        hit = np.flatnonzero(inside.any(axis=axes))
        low.append(int(hit[0]))
        high.append(int(hit[-1]))
    return low, high


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
    placement = place(draft, bounded_normal(rng, 1.13, 0.06), rng)
    if placement is None:
        return None
    occupancy = body_occupancy(draft.bodies, placement)
    optics = draw_optics(rng, draft.cytosol)
    stack = photograph(occupancy, optics)
    volume = segment_cell(stack, optics, rng)
    shift = None if volume is None else centring_shift(volume, rng)
    if volume is None or shift is None:
        return None
    x, y, z = shift
    volume, plane = shifted(volume, (z, y, x)), shifted(stack[CENTRAL_SLICE - z], (y, x))
    mask = volume[CENTRAL_SLICE].copy()
    if not sane_mask(mask):
        return None
    image = expose(plane, optics, rng)
    traits = draft.traits | {"z_stretch": placement.stretch, "threshold": optics.threshold}
    body_volume = float(occupancy.sum()) * VOXEL_SIZE_UM**3 / placement.stretch
    return Phantom(name, phantom_class, volume, mask, image, VOXEL_SIZE_UM, body_volume, traits)


def segment_cell(
    stack: NDArray[np.float32], optics: Optics, rng: np.random.Generator
) -> NDArray[np.uint8] | None:
    """Cut the cell out of a stack as the real ones were: occupancy 0..255, (z, y, x), or None without one."""
    volume = segment(stack, optics, int(rng.integers(2**31)))
    cut_at_glass(volume, int(rng.uniform() < 0.6))
    return keep_cell(volume, filled=rng.uniform() < 0.55)


def cut_at_glass(volume: NDArray[np.uint8], slices: int) -> None:
    """Empty the last slices of a cell in place: on the glass the real volumes end abruptly."""
    hit = np.flatnonzero((volume >= FOREGROUND).any(axis=(1, 2)))
    if hit.size:
        volume[hit[-1] + 1 - slices :] = 0


def keep_cell(volume: NDArray[np.uint8], filled: bool) -> NDArray[np.uint8] | None:
    """Drop crumbs below a twentieth of the largest part, fill cavities; None where nothing is left."""
    labels, count = ndimage.label(volume >= FOREGROUND)
    if count == 0:
        return None
    if count > 1:
        sizes = np.bincount(labels.ravel())[1:]
        large = np.flatnonzero(np.append(False, sizes >= 0.05 * sizes.max()))
        kept = np.isin(labels, large)
        crumbs = ndimage.binary_dilation((labels > 0) & ~kept) & ~kept
        volume = np.where(crumbs, 0, volume).astype(np.uint8)
    return fill_cavities(volume) if filled else volume


def fill_cavities(volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill the hollows that no path connects with the outside, as the real volumes are filled."""
    labels, count = ndimage.label(volume < FOREGROUND)
    if count > 1:
        cavity = (labels > 0) & (labels != labels[0, 0, 0])
        volume = np.where(ndimage.binary_dilation(cavity), 255, volume).astype(np.uint8)
    return volume


def centring_shift(volume: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.int_] | None:
    """Whole steps (x, y, z) that bring the bounding box to the middle; None where a border is in the way.

    In the real cells the box is centred exactly in z, and to a pixel or two in y and x.
    """
    low, high = (np.array(edge) for edge in _bounds(volume >= FOREGROUND))
    jitter = np.array([1.2, 1.2, 0.0]) * np.clip(rng.standard_normal(3), -2, 2)
    target = np.array([31.7, 31.8, 31.77]) + jitter
    shift = np.rint(target - 0.5 * (low + high)).astype(int)
    if (low + shift < 1).any() or (high + shift > GRID - 2).any():
        return None
    return shift


def shifted(array: NDArray[T], steps: Sequence[int]) -> NDArray[T]:
    """Move an array by whole steps along its axes; the values of its border follow it in."""
    at = [np.clip(np.arange(GRID) - step, 0, GRID - 1) for step in steps]
    return np.ascontiguousarray(array[np.ix_(*at)])


def sane_mask(mask: NDArray[np.uint8]) -> bool:
    """Whether the central slice shows one cell: not tiny, not everything, one part dominating."""
    labels, count = ndimage.label(mask >= FOREGROUND)
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

    Returns
    -------
    Iterator[Phantom]
        The phantoms, each made when asked for, named ``class_000012`` by its number.

    Raises
    ------
    ConfigError
        For a count below one, a negative seed, or classes that do not exist.
    """
    check_request(count, classes, seed)
    return (numbered_phantom(classes[i % len(classes)], i, seed) for i in range(count))


def numbered_phantom(phantom_class: str, number: int, seed: int) -> Phantom:
    """Phantom ``number`` of a set, whatever else the set holds."""
    key = (PHANTOM_CLASSES.index(phantom_class), number)
    sequence = np.random.SeedSequence(seed, spawn_key=key)
    return generate_phantom(phantom_class, sequence, f"{phantom_class}_{number:06d}")


def check_request(count: int, classes: Sequence[str], seed: int) -> None:
    """Refuse a set that cannot be made.

    Raises
    ------
    ConfigError
        For a count below one, a negative seed, no class at all, or classes that do not exist.
    """
    known = ", ".join(PHANTOM_CLASSES)
    if count < 1:
        raise ConfigError(f"{count} phantoms were asked for; the number of cells must be at least 1.")
    if seed < 0:
        raise ConfigError(f"The seed of the phantoms is {seed}; expected a whole number from 0.")
    unknown = [name for name in classes if name not in DRAWS]
    if unknown or not classes:
        named = ", ".join(repr(name) for name in unknown) or "none"
        raise ConfigError(f"Unknown phantom classes: {named}; choose from {known}.")
