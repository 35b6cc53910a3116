"""How large the voxels of volumes in files are, and the pixels of the images beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from dispr_cli.config import GRID
from dispr_cli.errors import DisprError
from dispr_cli.inputs.crop_window import EQUAL_SCALE, equal_or
from dispr_cli.inputs.images import read_voxel_sides
from dispr_cli.inputs.plan import CellRef, Plan


@dataclass(frozen=True, slots=True)
class VolumeSize:
    """In which unit a volume, and image and mask of its cell, are measured.

    Attributes
    ----------
    voxel_um
        Side of the volume's voxels in micrometres; None if unknown.
    pixel_um
        Side of the pixels of image and mask on the grid; None if unknown.
    problem
        Why nothing can be measured; None if nothing is in the way.
    """

    voxel_um: float | None
    pixel_um: float | None
    problem: str | None = None


def sizes_of_volumes(
    files: Sequence[tuple[str, Path]], plan: Plan | None, said_um: float | None
) -> tuple[VolumeSize, ...]:
    """Look up the voxel size of each volume: what the user says, else its file, else the grid of its cell.

    Parameters
    ----------
    files
        Cell and file of each volume.
    plan
        The cells with image and mask; None where there are only volumes.
    said_um
        Side of a voxel of all, where the user knows better than the files.

    Returns
    -------
    tuple
        One for each file. Where the size of any readable volume is unknown, none has one: lengths in
        micrometres and in voxels do not stand in one table.
    """
    if said_um is not None:
        return (VolumeSize(said_um, said_um),) * len(files)
    refs = {} if plan is None else {ref.name: ref for ref in plan.cells}
    common_um = None if plan is None else plan.voxel_size_um
    sizes = tuple(_size_of(path, refs.get(cell), common_um) for cell, path in files)
    if all(size.voxel_um is not None for size in sizes if size.problem is None):
        return sizes
    return tuple(replace(size, voxel_um=None, pixel_um=None) for size in sizes)


def _size_of(path: Path, ref: CellRef | None, common_um: float | None) -> VolumeSize:
    if ref is not None and ref.problem is not None:
        return VolumeSize(None, None, ref.problem)
    try:
        sides = read_voxel_sides(path, (GRID, GRID, GRID))
    except DisprError as error:
        return VolumeSize(None, None, str(error))
    grid_um = common_um if ref is None else ref.voxel_size_um
    if sides is None:
        return VolumeSize(grid_um, grid_um)
    if max(sides) > min(sides) * (1 + EQUAL_SCALE):
        words = " x ".join(f"{side:.4g}" for side in sides)
        return VolumeSize(
            None,
            None,
            f"{path}: its voxels have sides of {words} um (z, y, x), expected equal ones; resample the "
            "volume to cubic voxels, or give --voxel-size if the file is wrong.",
        )
    own_um = prod(sides) ** (1 / 3)
    if grid_um is None:
        # As truths are compared: a volume of 64 voxels a side covers a grid of unknown size.
        return VolumeSize(own_um, own_um)
    return VolumeSize(grid_um if equal_or(own_um / grid_um) == 1.0 else own_um, grid_um)
