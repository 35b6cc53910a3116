"""The whole evaluation on one page: stores and truths -> matched cells -> scores -> tables and figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from dispr_cli.errors import ConfigError, InputError
from dispr_cli.scoring.cells import Measuring, ScoredCell, score_cells
from dispr_cli.scoring.files import SCORES, remove_old_figures, scores_file, write_summary, write_tables
from dispr_cli.scoring.learned import scores_by_learning
from dispr_cli.scoring.matching import (
    LeftOut,
    Match,
    choose_classes,
    in_micrometres,
    match_cells,
    name_methods,
    voxel_sizes,
)
from dispr_cli.scoring.predictions import open_reconstructions
from dispr_cli.scoring.result import PAIRED_SCORES, Evaluation
from dispr_cli.scoring.truths import Truths, open_truths
from dispr_cli.shape.comparison import compare, summarise_method
from dispr_cli.shape.measures import CellScores
from dispr_cli.threads import available_threads

FOLDER = "evaluation"


class EvaluationEvents(Protocol):
    """What an evaluation tells whoever watches it."""

    def started(self, cells: int, methods: Sequence[str]) -> None:
        """Take how many cells are compared, and the methods' names."""

    def scored(self, cell: str) -> None:
        """Take a finished cell."""

    def left_out(self, cell: str, reason: str) -> None:
        """Take a cell that could not be compared."""

    def finishing(self) -> None:
        """Take that all cells are measured; tables and figures follow."""


class Silence:
    """Events that nobody watches."""

    def started(self, cells: int, methods: Sequence[str]) -> None:
        """Say nothing."""

    def scored(self, cell: str) -> None:
        """Say nothing."""

    def left_out(self, cell: str, reason: str) -> None:
        """Say nothing."""

    def finishing(self) -> None:
        """Say nothing."""


def evaluate(
    stores: Path | str | Sequence[Path | str],
    truth: Path | str,
    *,
    out: Path | str | None = None,
    names: Sequence[str] = (),
    classes: Path | str | Mapping[str, str] | None = None,
    classes_from_name: bool = False,
    voxel_size_um: float | None = None,
    truth_voxel_size_um: tuple[float, float, float] | None = None,
    binary: bool = False,
    held_out_only: bool = False,
    never_seen: Collection[str] = (),
    figures: bool = True,
    threads: int | None = None,
    events: EvaluationEvents | None = None,
) -> Evaluation:
    """Compare the reconstructions of one or several stores with ground truths, on the cells they share.

    Parameters
    ----------
    stores
        Written by ``dispr reconstruct``, or predictions of another program: a folder of volumes named like
        the cells, or a Zarr array with their names. ``NAME=PATH`` names one. Several are compared in pairs.
    truth
        A folder with ``obj/``, a folder of volumes named like the cells, or a store with one sample a cell.
        Truths on other grids are resampled.
    out
        Folder to write into; ``evaluation`` beside the first store if None.
    names
        Of the methods, one for each store; else the stores say.
    classes
        Class by cell, or a CSV file with the columns cell and class.
    classes_from_name
        Take what stands before the number in a cell's name as its class.
    voxel_size_um
        Side of a voxel for stores that do not know it.
    truth_voxel_size_um
        Sides (z, y, x) of the truths' voxels; wins over their files.
    binary
        Threshold before laying surfaces, as the paper does; else they lie at the occupancy's half level.
    held_out_only
        Compare only cells that the weights of no method have learned from, as their stores record.
    never_seen
        Names of methods that you know to have been trained on none of the cells.
    figures
        Draw them.
    threads
        Cells measured at once; one for each core if None.
    events
        Who is told how it goes.

    Returns
    -------
    Evaluation
        Scores, summaries and comparisons; the same is in the files.

    Raises
    ------
    DisprError
        If a store or the truths cannot be used, or no cell can be compared. A single cell's truth that
        cannot be used is no error: the cell is listed.
    """
    events = events or Silence()
    listed = _listed(stores)
    opened, truths = open_reconstructions(
        [path for _, path in listed], lambda: open_truths(Path(truth), truth_voxel_size_um)
    )
    stores_by_name = dict(zip(name_methods(opened, _names(listed, names)), opened, strict=True))
    folder = _folder(out, [store.path for store in opened])
    match = match_cells(stores_by_name, truths, held_out_only=held_out_only, never_seen=never_seen)
    table = Path(classes) if isinstance(classes, str) else classes
    by_cell = choose_classes(match.cells, table, classes_from_name)
    sizes = voxel_sizes(match, voxel_size_um)
    measuring = Measuring(sizes, in_micrometres(sizes), binary)

    events.started(len(match.cells), list(stores_by_name))
    scores, broken, notes = _score(match, truths, measuring, by_cell, folder, threads, events)
    events.finishing()
    kept = {cell: by_cell[cell] for cell in next(iter(scores.values()))}
    summaries = {method: summarise_method(cells, kept) for method, cells in scores.items()}
    found = Evaluation(
        match=match,
        truth=truths.source,
        scores=scores,
        summaries=summaries,
        comparisons=compare(scores, PAIRED_SCORES) if len(scores) > 1 else {},
        classes=kept,
        learning={
            method.name: scores_by_learning(scores[method.name], method.states) for method in match.methods
        },
        failed={method.name: _among(method.failed, kept) for method in match.methods},
        broken=tuple(broken),
        notes=tuple(notes),
        micrometres=measuring.micrometres,
        folder=folder,
    )
    return _written(found, match, truths, measuring, figures)


def _among(reasons: Mapping[str, str], cells: Mapping[str, str]) -> dict[str, str]:
    return {cell: reason for cell, reason in reasons.items() if cell in cells}


def _listed(stores: Path | str | Sequence[Path | str]) -> list[tuple[str | None, Path]]:
    """Return the name, where there is one, and the path of each store."""
    texts = [stores] if isinstance(stores, Path | str) else list(stores)
    if not texts:
        raise ConfigError("no store was named: dispr evaluate OUT.zarr --truth FOLDER")
    return [_named(text) for text in texts]


def _named(text: Path | str) -> tuple[str | None, Path]:
    name, equals, path = str(text).partition("=")
    if not equals or not name or Path(text).exists():  # a path may hold the sign itself
        return None, Path(text)
    return name, Path(path)


def _names(listed: Sequence[tuple[str | None, Path]], names: Sequence[str]) -> Sequence[str | None]:
    given = [name for name, _ in listed]
    if names and any(given):
        raise ConfigError("names were given as NAME=PATH and by --name; choose one of the ways.")
    return names or given


def _folder(out: Path | str | None, stores: Sequence[Path]) -> Path:
    folder = stores[0].parent / FOLDER if out is None else Path(out)
    inside = [store for store in stores if folder.resolve().is_relative_to(store.resolve())]
    if inside:
        raise ConfigError(f"{folder} lies inside the store {inside[0]}; choose a folder beside it (--out).")
    return folder


def _score(
    match: Match,
    truths: Truths,
    measuring: Measuring,
    classes: Mapping[str, str],
    folder: Path,
    threads: int | None,
    events: EvaluationEvents,
) -> tuple[dict[str, dict[str, CellScores]], list[LeftOut], list[LeftOut]]:
    """Measure all cells and write their rows as they come."""
    scores: dict[str, dict[str, CellScores]] = {method.name: {} for method in match.methods}
    broken: list[LeftOut] = []
    notes: list[LeftOut] = []
    with scores_file(folder) as table:
        for scored in score_cells(match, truths, measuring, threads or available_threads()):
            if not isinstance(scored, ScoredCell):
                cell, error = scored
                broken.append(LeftOut(cell, str(error)))
                events.left_out(cell, str(error))
                continue
            for method, values in scored.scores.items():
                scores[method][scored.cell] = values
                table.write(scored.cell, classes[scored.cell], method, values)
            notes += [LeftOut(scored.cell, note) for note in scored.notes]
            events.scored(scored.cell)
        if not any(scores.values()):
            raise InputError(f"{truths.source}: none of its ground truths can be used ({broken[0].reason})")
    return scores, broken, notes


def _written(
    found: Evaluation, match: Match, truths: Truths, measuring: Measuring, figures: bool
) -> Evaluation:
    folder = found.folder
    files = [folder / SCORES, write_summary(folder, found.content())]
    files.append(write_tables(folder, "Evaluation", found.facts(), found.tables()))
    if figures:
        from dispr_cli.scoring.figures import write_figures

        files += write_figures(folder, found.scores, found.summaries, match, truths, measuring)
    remove_old_figures(folder, files)
    return replace(found, files=tuple(files))
