"""``dispr status`` and ``dispr merge-tables``: how far a store is, and its table put together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dispr_cli.commands.options import Json
from dispr_cli.errors import EXIT_PENDING, EXIT_SOME_CELLS_FAILED

if TYPE_CHECKING:
    from dispr_cli.volumes.cells import Progress
    from dispr_cli.volumes.store import VolumeStore

Store = Annotated[Path, typer.Argument(help="Store written by dispr reconstruct.", show_default=False)]

Failure = tuple[str, str]
"""Name of a cell, and its status."""

_SHOWN = 20


def status(store: Store, json_output: Json = False) -> None:
    """Say what of a store is done, failed and pending; also while parts of it are being written.

    Ends with exit code 0 when all cells are done, with 3 while some are pending, with 1 where some failed.
    """
    from dispr_cli.volumes.store import open_store

    opened = open_store(store)
    progress = opened.progress()
    pending = opened.pending_shards()
    failures = ((row.name, row.status) for row in opened.cells if row.is_failed)
    if json_output:
        found = {
            "store": str(opened.path),
            "cells": opened.num_cells,
            "done": progress.done,
            "failed": progress.failed,
            "pending": progress.pending,
            "shards": opened.grid.num_shards,
            "shard_cells": opened.grid.shard_cells,
            "pending_shards": pending,
            "failures": [{"name": name, "status": why} for name, why in failures],
            "is_complete": not pending,
        }
        typer.echo(json.dumps(found))
    else:
        _print(opened, progress, pending, failures)
    if progress.pending:
        raise typer.Exit(EXIT_PENDING)
    if progress.failed:
        raise typer.Exit(EXIT_SOME_CELLS_FAILED)


def _print(opened: VolumeStore, progress: Progress, pending: list[int], failures: Iterator[Failure]) -> None:
    shards = opened.grid.num_shards
    typer.echo(
        f"cells:   {progress.done} done, {progress.failed} failed, {progress.pending} pending "
        f"of {opened.num_cells}"
    )
    typer.echo(f"shards:  {shards - len(pending)} of {shards} complete")
    for name, why in islice(failures, _SHOWN):
        typer.echo(f"{name}: {why}")
    if progress.failed > _SHOWN:
        typer.echo(f"... and {progress.failed - _SHOWN} more failed cells, see --json")
    if pending:
        typer.echo("Give the dispr reconstruct command of the run again to go on with the pending cells.")
    typer.echo(f"store:   {opened.path}")


def merge_tables(store: Store, json_output: Json = False) -> None:
    """Write cells.csv of a store anew from what its parts have finished."""
    from dispr_cli.volumes.layout import TABLE
    from dispr_cli.volumes.store import open_store

    opened = open_store(store)
    progress = opened.finish()
    table = opened.path / TABLE
    if json_output:
        counts = {"done": progress.done, "failed": progress.failed, "pending": progress.pending}
        typer.echo(json.dumps({"table": str(table), **counts}))
        return
    typer.echo(f"{progress.done} cells done, {progress.failed} failed, {progress.pending} pending", err=True)
    typer.echo(f"table:   {table}")
