"""Training cells from a folder with ground truth (``image/``, ``mask/``, ``obj/``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispr_cli.diffusion.dataset import TrainingCells, pack_cell
from dispr_cli.errors import CellError, DisprError, InputError
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.cell_truth import CellTruths, TruthSource
from dispr_cli.inputs.plan import CellRef, Plan, plan_cells, read_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.inputs.truth import read_truth
from dispr_cli.inputs.truth_agreement import (
    FOCAL_SLICE,
    LEAST_IOU,
    USUAL_IOU,
    Agreement,
    compare_in_focus,
    likely_cause,
    median_iou,
)

Packed = tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class TrainingInput:
    """How cells and their ground truths are read.

    Attributes
    ----------
    settings
        How files become cells.
    masks
        A file or a folder of masks; None if they are to be found beside the images.
    truths
        Where the ground truths are.
    """

    settings: InputSettings = field(default_factory=InputSettings)
    masks: Path | None = None
    truths: TruthSource = field(default_factory=TruthSource)


@dataclass(frozen=True, slots=True)
class TrainingFolder:
    """What a folder holds for a training.

    Attributes
    ----------
    cells
        Those with a ground truth that agrees with their mask.
    of_test
        (len(cells),) bool, which lie below ``test/``; None if there are no ``train/`` and ``test/``.
    agreement
        Median IoU of truths and masks in the focal plane.
    """

    cells: TrainingCells
    of_test: NDArray[np.bool_] | None
    agreement: float


def read_training_cells(
    folder: Path,
    settings: InputSettings | None = None,
    skipped: Callable[[str, DisprError], None] = lambda name, error: None,
) -> TrainingCells:
    """Read the cells of a folder alone, see :func:`read_training_folder`."""
    reading = TrainingInput() if settings is None else TrainingInput(settings)
    return read_training_folder(folder, reading, skipped).cells


def read_training_folder(
    folder: Path,
    reading: TrainingInput | None = None,
    skipped: Callable[[str, DisprError], None] = lambda name, error: None,
) -> TrainingFolder:
    """Read every cell of a folder that has a ground truth.

    Parameters
    ----------
    folder
        With ``image/``, ``mask/`` and ``obj/``, equal names in all three; or another layout, as ``reading``
        says.
    reading
        How; the defaults if None.
    skipped
        Called with the name of a cell that cannot be used, and why.

    Raises
    ------
    InputError
        If no cell with a ground truth is left, or all ground truths contradict their masks for one reason.
    """
    reading = reading or TrainingInput()
    plan = plan_cells(folder, reading.settings, masks=reading.masks)
    truths = CellTruths(folder, plan.cells, reading.truths)
    refs: list[CellRef] = []
    packed: list[Packed] = []
    agreements: list[Agreement] = []
    for index, cell in read_cells(plan.cells, reading.settings):
        ref = plan.cells[index]
        try:
            if not isinstance(cell, Cell):
                raise cell
            occupancy = truths.read(ref)
            packed.append(pack_cell(cell.image, cell.mask, occupancy))
            agreements.append(compare_in_focus(occupancy, cell.mask))
            refs.append(ref)
        except DisprError as error:
            skipped(ref.name, error)
    _refuse_one_mistake(folder, agreements)
    kept = [n for n, agreement in enumerate(agreements) if agreement.iou >= LEAST_IOU]
    for ref, agreement in zip(refs, agreements, strict=True):
        if agreement.iou < LEAST_IOU:
            skipped(ref.name, _contradiction(ref, agreement))
    if not kept:
        raise _nothing_left(plan, agreements)
    distance, outline, image = (np.stack(arrays) for arrays in zip(*(packed[n] for n in kept), strict=True))
    sizes = tuple(_grid_of(refs[n], reading.settings) for n in kept)
    cells = TrainingCells(tuple(refs[n].name for n in kept), distance, outline, image, sizes)
    return TrainingFolder(cells, _of_test(folder, [refs[n] for n in kept]), median_iou(agreements))


def _refuse_one_mistake(folder: Path, agreements: Sequence[Agreement]) -> None:
    cause = likely_cause(agreements)
    if cause is None:
        return
    raise InputError(
        f"{folder}: the ground truths contradict their masks: in the focal plane, slice {FOCAL_SLICE} of the "
        f"grid, they overlap with IoU {median_iou(agreements):.2f} (median of {len(agreements)} cells, "
        f"expected above {USUAL_IOU:g}). The likely cause: {cause}."
    )


def _contradiction(ref: CellRef, agreement: Agreement) -> CellError:
    cause = likely_cause([agreement])
    words = "" if cause is None else f"; a likely cause: {cause}"
    return CellError(
        f"{ref.image}: the ground truth contradicts the mask: slice {FOCAL_SLICE} of it on the grid overlaps "
        f"with the mask with IoU {agreement.iou:.2f}, expected at least {LEAST_IOU:g}{words}."
    )


def _nothing_left(plan: Plan, agreements: Sequence[Agreement]) -> InputError:
    if agreements:
        return InputError(
            f"{plan.source}: none of its {len(agreements)} ground truths shows the cell of its mask: in the "
            f"focal plane, slice {FOCAL_SLICE} of the grid, they overlap with IoU "
            f"{median_iou(agreements):.2f} (median), expected at least {LEAST_IOU:g}. Check their axes "
            "(z, y, x), their scale and where the cell lies in them."
        )
    return InputError(
        f"{plan.source}: none of its {len(plan.cells)} cells has a ground truth that can be used; training "
        "needs a volume of the same name for each cell, in a folder obj/ beside image/ and mask/ or in the "
        "one that --truth names."
    )


def _of_test(folder: Path, refs: Sequence[CellRef]) -> NDArray[np.bool_] | None:
    """Mark the cells below ``test/``, where others are below ``train/``."""
    if not folder.is_dir():
        return None
    parts = [ref.image.relative_to(folder).parts[0].lower() for ref in refs]
    if not {"train", "test"} <= set(parts):
        return None
    return np.array([part == "test" for part in parts], np.bool_)


def _grid_of(ref: CellRef, settings: InputSettings) -> float | None:
    """Voxel size that lays this cell on the grid where it lay in the training."""
    # A cell that was scaled into the field has a voxel size of its own, and will again.
    known = ref.voxel_size_um is not None
    return settings.grid_voxel_size_um if known and ref.scaled == "fit" else ref.voxel_size_um


def truth_of(cell: Cell) -> NDArray[np.uint8]:
    """Read the ground-truth occupancy of a cell, (64, 64, 64) uint8.

    Raises
    ------
    InputError
        If it is missing, damaged, of another shape, or empty.
    """
    if cell.truth is None:
        raise InputError(f"{cell.source}: has no volume of this name in obj/, which training needs.")
    return read_truth(cell.truth)
