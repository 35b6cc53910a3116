"""Every compared cell measured once, by threads, in order, a few cells in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import DisprError
from dispr_cli.inputs.truth import TruthVolume
from dispr_cli.ordered_work import in_order
from dispr_cli.scoring.matching import ComparedMethod, Match
from dispr_cli.scoring.truths import GridTruth, Truths, truth_on_grid
from dispr_cli.shape.calibration import VoxelReliability
from dispr_cli.shape.measures import CellScores, MeasuredVolume, measure_cell, measure_volume


@dataclass(frozen=True)
class ScoredCell:
    """All scores of one cell.

    Attributes
    ----------
    cell
        Its name.
    scores
        By the method's name.
    notes
        What a reader of the scores should know.
    """

    cell: str
    scores: dict[str, CellScores]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measuring:
    """How cells are measured.

    Attributes
    ----------
    voxel_sizes
        Side of a voxel by method and cell in micrometres; None where it is unknown.
    micrometres
        Measure in micrometres; False measures in voxels.
    binary
        Threshold before laying the surface, see :func:`~dispr_cli.shape.measures.measure_volume`.
    """

    voxel_sizes: Mapping[str, Mapping[str, float | None]]
    micrometres: bool
    binary: bool = False


def score_cells(
    match: Match, truths: Truths, measuring: Measuring, threads: int
) -> Iterator[ScoredCell | tuple[str, DisprError]]:
    """Measure and score all compared cells, in their order.

    Parameters
    ----------
    match, truths
        What is compared with what.
    measuring
        How.
    threads
        Cells measured at once; plain threads over code that releases the GIL.

    Yields
    ------
    ScoredCell, or the name of a cell that could not be compared with the reason.
    """

    def work(cell: str) -> ScoredCell | tuple[str, DisprError]:
        try:
            return score_cell(match, truths, measuring, cell)
        except DisprError as error:
            return cell, error

    # After Ctrl-C only the cells in hand are waited for.
    with ThreadPoolExecutor(threads, thread_name_prefix="dispr-score") as pool:
        yield from in_order(work, match.cells, pool, 2 * threads + 1)


def score_cell(match: Match, truths: Truths, measuring: Measuring, cell: str) -> ScoredCell:
    """Measure one cell of every method against its truth.

    Raises
    ------
    DisprError
        If the truth or a method's volumes cannot be read, or the truth cannot be laid on the grid.
    """
    truth = truths.read(cell)
    on_grids: dict[Any, GridTruth] = {}
    measured: dict[Any, MeasuredVolume] = {}
    scores = {}
    for method in match.methods:
        row, size_um = method.rows[cell], measuring.voxel_sizes[method.name][cell]
        key = (size_um, row.source, row.bounding_box)
        if key not in on_grids:
            on_grids[key] = _on_grid(truth, method, cell, size_um)
        side = size_um if measuring.micrometres and size_um is not None else 1.0
        samples = read_samples(method, cell)
        occupancy = on_grids[key].occupancy
        if (key, side) not in measured:
            measured[key, side] = measure_volume(occupancy, (side, side, side), binary=measuring.binary)
        scores[method.name] = score_samples(
            occupancy,
            samples,
            side,
            binary=measuring.binary,
            measured_truth=measured[key, side],
            balance=method.balance,
        )
    notes = dict.fromkeys(note for on_grid in on_grids.values() for note in on_grid.notes)
    return ScoredCell(cell, scores, tuple(notes))


def score_samples(
    truth: NDArray[np.uint8],
    samples: NDArray[np.uint8],
    side: float,
    *,
    binary: bool = False,
    measured_truth: MeasuredVolume | None = None,
    balance: int = 1,
) -> CellScores:
    """Score the samples of one cell; where all are the same, as a deterministic method's, one is measured.

    Parameters
    ----------
    truth
        (Z, Y, X) uint8.
    samples
        (S, Z, Y, X) uint8.
    side
        Side of a voxel.
    binary, measured_truth, balance
        As for :func:`~dispr_cli.shape.measures.measure_cell`.

    Raises
    ------
    CellError
        If the truth is empty or of another shape.
    """
    different = len(samples) == 1 or bool((samples != samples[0]).any())
    drawn = list(samples) if different else [samples[0]]
    scores = measure_cell(
        truth, drawn, (side,) * 3, binary=binary, measured_truth=measured_truth, balance=balance
    )
    return scores if different else _repeated(scores, len(samples))


def _repeated(one: CellScores, count: int) -> CellScores:
    """Return the scores of `count` samples that are all like the one that was measured.

    Nothing of the set's scores depends on their number: the spread that CRPS, GED² and the fair Brier score
    subtract is 0. Two things differ: the overlap between samples, which is undefined for one sample, is 1;
    and every voxel has the votes of all samples or of none.
    """
    ends = np.zeros((2, count + 1), np.int64)
    ends[:, [0, -1]] = one.reliability.voxels, one.reliability.hits
    together = {**one.together, "sample_iou": 1.0}
    reliability = VoxelReliability(ends[0], ends[1], one.reliability.balance)
    return replace(one, samples=one.samples * count, together=together, reliability=reliability)


def read_samples(method: ComparedMethod, cell: str) -> NDArray[np.uint8]:
    """Read a cell's samples, (S, 64, 64, 64); empty shapes where the method failed on it.

    Raises
    ------
    StoreError
        If the shard is damaged.
    """
    if cell in method.failed:
        return np.zeros((method.store.num_samples, 64, 64, 64), np.uint8)
    return method.store.read(method.indices[cell])


def read_truth_on_grid(
    match: Match, truths: Truths, measuring: Measuring, cell: str, method: ComparedMethod
) -> NDArray[np.uint8]:
    """Read a cell's truth on the grid of one method, (64, 64, 64)."""
    size_um = measuring.voxel_sizes[method.name][cell]
    return _on_grid(truths.read(cell), method, cell, size_um).occupancy


def _on_grid(truth: TruthVolume, method: ComparedMethod, cell: str, size_um: float | None) -> GridTruth:
    return truth_on_grid(truth, method.rows[cell], size_um, method.store.configuration)
