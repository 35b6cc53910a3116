"""``dispr export``: volumes and meshes for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dispr_cli.errors import ConfigError

FORMATS = "ome-tiff, stl, ply, glb or npy"


def export(
    store: Annotated[Path, typer.Argument(help="Store written by dispr reconstruct.", show_default=False)],
    cell: Annotated[str, typer.Option("--cell", help="Name or index of a cell, or all.", show_default=False)],
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
    """Export cells from a store as OME-TIFF, mesh or array."""
    from dispr_cli.volumes.export import Samples, export_cell
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
    folder = out if out is not None else store.with_name(f"{store.stem}_export")
    cells = [row.name for row in opened.cells if row.is_done] if cell == "all" else [cell]
    for name in cells:
        for path in export_cell(opened, name, folder, format, chosen):
            typer.echo(path)
