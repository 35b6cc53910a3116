"""``dispr features``: shapes become a table of numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from dispr_cli.commands.input_options import Masks
from dispr_cli.commands.options import INPUT, OUTPUT, Json, Quiet, Threads
from dispr_cli.errors import EXIT_SOME_CELLS_FAILED, ConfigError

NETWORKS = "Networks"


def features(
    source: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it at run time
        typer.Argument(
            help="Store of dispr reconstruct, folder with obj/, or folder of volumes.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--out",
            "-o",
            help="Table to write, .parquet or .csv.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    list_features: Annotated[
        bool, typer.Option("--list", help="Print what each feature is, as docs/features.md; measure nothing.")
    ] = False,
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--images",
            help="Folder with the cells' images and masks, for their 2D features too; those of a store are "
            "read as they were for it.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    masks: Masks = None,
    voxel_size: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--voxel-size", help="Side of a voxel in um; wins over the files.", rich_help_panel=INPUT
        ),
    ] = None,
    predicted: Annotated[
        bool,
        typer.Option(
            "--predicted",
            help="The volumes of a folder are predictions of another program.",
            rich_help_panel=NETWORKS,
        ),
    ] = False,
    weights: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            "--weights",
            help="Weights (files or a folder) that made a store; the cells they never saw are recorded.",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    never_seen: Annotated[
        bool,
        typer.Option(
            "--never-seen",
            help="You say that no network behind these shapes was trained on any of these cells.",
            rich_help_panel=NETWORKS,
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a table that is there.", rich_help_panel=OUTPUT)
    ] = False,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Measure shapes: 210 features of each volume, and 65 of its image and mask.

    A run that was stopped goes on where it stopped when the same command is given again.
    """
    if list_features:
        from dispr_cli.morphology.feature_page import feature_page

        typer.echo(feature_page(), nl=False)
        return
    if source is None or out is None:
        raise ConfigError("two things are needed: dispr features STORE_OR_FOLDER --out TABLE.parquet")
    from dispr_cli.commands.counting import Counting
    from dispr_cli.diffusion.training_facts import read_all_training_facts
    from dispr_cli.morphology.measure import measure_to_table
    from dispr_cli.morphology.sources import find_shapes
    from dispr_cli.threads import available_threads

    if voxel_size is not None and not 0 < voxel_size < float("inf"):
        raise ConfigError(f"--voxel-size is {voxel_size:g}: expected a length in um, such as 0.172")
    known = {facts.sha256: facts.held_out for facts in read_all_training_facts(weights or ())}
    if masks is not None and images is None:
        raise ConfigError("--masks says where the masks of --images are: give both")
    shapes = find_shapes(
        source,
        voxel_size_um=voxel_size,
        images=images,
        masks=masks,
        facts=known,
        predicted=predicted,
        never_seen=never_seen,
    )
    with Counting("shapes", quiet or json_output) as events:
        made = measure_to_table(
            shapes, out, threads=threads or available_threads(), events=events, overwrite=overwrite
        )
    if json_output:
        counts = {
            "shapes": made.shapes,
            "failed": made.failed,
            "absent": made.absent,
            "features": made.features,
        }
        typer.echo(json.dumps({"table": str(made.table), **counts, "unit_of_length": made.unit_of_length}))
    else:
        typer.echo(
            f"{made.shapes} shapes, {made.features} features, lengths in {made.unit_of_length}", err=True
        )
        if made.absent:
            typer.echo(
                f"{made.absent} cells of the store are not in the table: they were pending or failed, see "
                f"dispr status {source}",
                err=True,
            )
        typer.echo(f"table: {made.table}")
    if made.failed or made.absent:
        raise typer.Exit(EXIT_SOME_CELLS_FAILED)
