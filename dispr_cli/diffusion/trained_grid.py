"""The voxel size of the grids that weights were trained on: new cells belong on the same."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from dispr_cli.diffusion.training_facts import weights_in
from dispr_cli.inputs.settings import GRID_VOXEL_SIZE_UM

_EQUAL = 0.01
"""Sides that differ by less are equal, as for crops (:mod:`dispr_cli.inputs.crops`)."""


@dataclass(frozen=True, slots=True)
class TrainedGrid:
    """Voxel sizes of the grids that training cells lay on.

    Attributes
    ----------
    smallest_um, largest_um
        Sides of the voxels in micrometres, of the cells whose voxel size is known; None if it is of none.
    unknown
        Cells whose voxel size is not known.
    """

    smallest_um: float | None
    largest_um: float | None
    unknown: int

    @classmethod
    def of(cls, sizes_um: Sequence[float | None]) -> TrainedGrid | None:
        """Sum up the voxel sizes of cells; None if there are none, as where nothing was recorded."""
        known = [size for size in sizes_um if size is not None]
        if not sizes_um:
            return None
        return cls(min(known, default=None), max(known, default=None), len(sizes_um) - len(known))

    @property
    def voxel_size_um(self) -> float | None:
        """The one voxel size of all cells; None if it is not known or they differ."""
        if self.smallest_um is None or self.largest_um is None or self.unknown:
            return None
        if self.largest_um > self.smallest_um * (1 + _EQUAL):
            return None
        if self.largest_um == self.smallest_um:
            return self.smallest_um
        return math.sqrt(self.smallest_um * self.largest_um)

    def describe(self) -> str:
        """Say it in a few words: ``voxels of 0.11 um``."""
        if (one := self.voxel_size_um) is not None:
            return f"voxels of {one:.4g} um"
        if self.smallest_um is None:
            return "voxels of unknown size"
        several = f"voxels of {self.smallest_um:.4g}"
        if self.largest_um != self.smallest_um:
            several += f" to {self.largest_um:.4g}"
        return f"{several} um" + (" and of unknown size" if self.unknown else "")

    def consequence(self) -> str:
        """Say, when it is trained on, where `dispr reconstruct` will lay cells with the weights."""
        if self.voxel_size_um is not None:
            return f"the cells lie on {self.describe()}; with these weights, new cells will be read at that"
        more = "" if self.smallest_um is not None else "; --pixel-size says how large a pixel is"
        return (
            f"the cells lie on {self.describe()}: new cells of known pixel size will be read at "
            f"{GRID_VOXEL_SIZE_UM} um, or at what --grid-voxel-size says{more}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return what weights keep in ``provenance``."""
        return {"voxel_size_um": self.voxel_size_um, **asdict(self)}


def joined(grids: Iterable[TrainedGrid]) -> TrainedGrid | None:
    """Sum up the grids of several trainings; None if there are none."""
    several = list(grids)
    known = [size for grid in several for size in (grid.smallest_um, grid.largest_um) if size is not None]
    if not several:
        return None
    unknown = sum(grid.unknown for grid in several)
    return TrainedGrid(min(known, default=None), max(known, default=None), unknown)


def grid_of_weights(weights: Path) -> TrainedGrid | None:
    """Read what weights, or all of a folder, record of the grids they were trained on.

    None where they record nothing, as those of early versions. Files that are damaged or missing say nothing
    here: whoever loads them says what is wrong.
    """
    files = weights_in(weights) if weights.is_dir() else [weights]
    grids = [_grid_in(file) for file in files]
    return joined(grid for grid in grids if grid is not None) if all(grids) else None


def _grid_in(file: Path) -> TrainedGrid | None:
    try:
        with safe_open(file, framework="numpy") as opened:
            recorded = json.loads((opened.metadata() or {}).get("provenance", "{}"))["grid"]
        return _grid_from(recorded)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        return None


def _grid_from(recorded: Mapping[str, Any]) -> TrainedGrid:
    sides = [None if recorded[key] is None else float(recorded[key]) for key in ("smallest_um", "largest_um")]
    if any(side is not None and not 0 < side < math.inf for side in sides):
        raise ValueError(f"sides of voxels are {sides}")
    return TrainedGrid(sides[0], sides[1], int(recorded["unknown"]))
