"""``dispr evaluate``: reconstructions against ground truths, methods against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dispr_cli.commands.input_options import TruthVoxelSize, sides_of
from dispr_cli.commands.options import INPUT, OUTPUT, Json, Quiet, Threads
from dispr_cli.errors import EXIT_SOME_CELLS_FAILED, ConfigError


def evaluate(
    stores: Annotated[
        list[str],
        typer.Argument(
            help="Stores written by dispr reconstruct, or predictions of another program: a folder of "
            "volumes named like the cells (cell.tif, or cell_0.tif, cell_1.tif ...; .npy too), or a Zarr "
            "array with names.",
            metavar="[NAME=]PATH",
            show_default=False,
        ),
    ],
    truth: Annotated[
        Path,
        typer.Option(
            "--truth",
            help="Ground truths: a folder with obj/, a folder of volumes named like the cells, or a store.",
            show_default=False,
            rich_help_panel=INPUT,
        ),
    ],
    out: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it at run time
        typer.Option(
            "--out", "-o", help="Folder to write; evaluation/ beside the first store.", rich_help_panel=OUTPUT
        ),
    ] = None,
    name: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--name",
            help="Name of a method in tables and figures, once for each store.",
            metavar="TEXT",
            rich_help_panel=INPUT,
        ),
    ] = None,
    classes: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--classes", help="CSV with the columns cell and class, for averages.", rich_help_panel=INPUT
        ),
    ] = None,
    classes_from_name: Annotated[
        bool,
        typer.Option(
            "--classes-from-name",
            help="The class is what stands before the number in a cell's name.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    voxel_size: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--voxel-size", help="Side of a voxel in um, for stores without one.", rich_help_panel=INPUT
        ),
    ] = None,
    truth_voxel_size: TruthVoxelSize = None,
    binary: Annotated[
        bool,
        typer.Option(
            "--binary",
            help="Lay surfaces around whole voxels, as the DISPR paper does, not where the occupancy is one "
            "half.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    held_out_only: Annotated[
        bool,
        typer.Option(
            "--held-out-only",
            help="Compare only cells that no method's weights have learned from, as the stores record.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    never_seen: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--never-seen",
            help="You say that this method was trained on none of the cells; once for each.",
            metavar="METHOD",
            rich_help_panel=INPUT,
        ),
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures/--no-figures", help="Draw figures.", rich_help_panel=OUTPUT)
    ] = True,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Compare reconstructions with ground truths, and methods with each other on the cells they share.

    Cells that a method failed on count as empty shapes; cells that are not compared are listed. Cells that
    a method's weights were trained on are named and scored apart: they say nothing of new cells.
    """
    from dispr_cli.commands.watch_evaluation import EvaluationProgress, print_evaluation
    from dispr_cli.evaluation import evaluate as run

    if voxel_size is not None and not 0 < voxel_size < float("inf"):
        raise ConfigError(f"--voxel-size is {voxel_size:g}: expected a length in um, such as 0.172")
    events = EvaluationProgress(quiet or json_output)
    with events:
        found = run(
            stores,
            truth,
            out=out,
            names=name or (),
            classes=classes,
            classes_from_name=classes_from_name,
            voxel_size_um=voxel_size,
            truth_voxel_size_um=sides_of(truth_voxel_size),
            binary=binary,
            held_out_only=held_out_only,
            never_seen=never_seen or (),
            figures=figures,
            threads=threads,
            events=events,
        )
    print_evaluation(found, quiet=quiet, as_json=json_output)
    if found.broken or found.unfinished:
        raise typer.Exit(EXIT_SOME_CELLS_FAILED)
