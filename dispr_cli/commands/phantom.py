"""``dispr phantom``: synthetic cells with images, masks and ground truth."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dispr_cli.commands.options import Json, Quiet

CLASSES = (
    "spherocyte, stomatocyte, discocyte, echinocyte, acanthocyte, cell_cluster, keratocyte, knizocyte, "
    "multilobate"
)
PLAIN_LINE_SECONDS = 30.0


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder for image/, mask/, obj/.", show_default=False)],
    cells: Annotated[int, typer.Option("--cells", help="How many cells.")] = 100,
    classes: Annotated[
        str, typer.Option("--classes", help=f"Shapes to make in turn: all, or some of {CLASSES}.")
    ] = "all",
    seed: Annotated[int, typer.Option("--seed", help="Decides the cells made.")] = 0,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Make synthetic red blood cells of nine shapes, with simulated images, masks and true volumes."""
    from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, write_phantoms

    names = [name.strip() for name in classes.split(",") if name.strip()]
    chosen = list(PHANTOM_CLASSES) if names == ["all"] else names
    with _Watch(quiet or json_output) as watch:
        table = write_phantoms(out, cells, chosen, seed, watch.progress)
    if json_output:
        typer.echo(json.dumps({"folder": str(out), "table": str(table), "cells": cells, "classes": chosen}))
        return
    if not quiet:
        typer.echo(f"table: {table}")
    typer.echo(str(out))


class _Watch:
    """A bar on a terminal, rare plain lines elsewhere, nothing when quiet."""

    def __init__(self, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._quiet = quiet
        self._console = Console(stderr=True)
        columns = (TextColumn("phantoms"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, console=self._console, transient=True, disable=quiet or not self._console.is_terminal
        )
        self._last_line = time.monotonic()
        self.progress: Callable[[int, int], None] = self._show

    def __enter__(self) -> _Watch:
        self._task = self._bar.add_task("phantoms", total=None)
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Old releases of rich print an empty line here, also for a bar that is disabled.
        if not self._bar.disable:
            self._bar.stop()

    def _show(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)
        if self._console.is_terminal or self._quiet:
            return
        if time.monotonic() - self._last_line > PLAIN_LINE_SECONDS:
            self._last_line = time.monotonic()
            typer.echo(f"{done} of {total} phantoms", err=True)
