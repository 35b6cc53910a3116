"""``dispr export``: volumes and meshes for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dispr_cli.errors import EXIT_SOME_CELLS_FAILED, ConfigError

FORMATS = "ome-tiff, stl, ply, glb or npy"


def export(
    store: Annotated[Path, typer.Argument(help="Store written by dispr reconstruct.", show_default=False)],
    cell: Annotated[
        list[str],
        typer.Option("--cell", help="Name or index of a cell, may be repeated, or all.", show_default=False),
    ],
    format: Annotated[str, typer.Option("--format", "-f", help=f"{FORMATS}.", metavar="NAME")] = "ome-tiff",
    sample: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it at run time
        typer.Option(
            "--sample",
            help="Number of a sample, mean, probability (share of samples with the voxel inside), or all; "
            "by default meshes take the mean and arrays all.",
            metavar="WHICH",
        ),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", "-o", help="Folder to write into; beside the store by default."),
    ] = None,
) -> None:
    """Export cells from a store as OME-TIFF, mesh or array; cells without volumes are named and left out."""
    from dispr_cli.volumes.export import NoSurfaceError, Samples, export_cell
    from dispr_cli.volumes.store import open_store

    chosen: Samples | None
    if sample is None or sample in ("mean", "all", "probability"):
        chosen = sample  # type: ignore[assignment]
    elif sample.isdecimal():
        chosen = int(sample)
    else:
        raise ConfigError(
            f"--sample is {sample!r}: expected the number of a sample, mean, probability or all"
        )
    opened = open_store(store)
    named = store if store.name else store.absolute()  # "." has no name
    folder = out if out is not None else named.with_name(f"{named.stem}_export")
    everything = "all" in cell and opened.cells.names.index("all") is None
    # A name that is wrong is told before anything is written.
    indices = range(len(opened.cells)) if everything else dict.fromkeys(map(opened.cells.index, cell))
    left_out = 0
    for index in indices:
        row = opened.cells[index]
        try:
            paths = export_cell(opened, index, folder, format, chosen) if row.is_done else []
            reason = None if row.is_done else row.status
        except NoSurfaceError:
            paths, reason = [], "an empty shape has no surface"
        for path in paths:
            typer.echo(path)
        if reason is not None:
            typer.echo(f"left out: {row.name} ({reason})", err=True)
            left_out += 1
    if left_out and (not everything or left_out == len(opened.cells)):
        raise typer.Exit(EXIT_SOME_CELLS_FAILED)
