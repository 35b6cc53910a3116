"""``dispr doctor``: what is here, what is missing, in one table."""

from __future__ import annotations

import json

import typer

from dispr_cli.commands.options import Json, Weights


def doctor(weights: Weights = None, json_output: Json = False) -> None:
    """Show device, threads, versions, compiled kernels and weights."""
    from dispr_cli.diagnosis import examine

    found = examine(weights)
    if json_output:
        typer.echo(json.dumps(found))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None)
    for name, value in found.items():
        table.add_row(name.replace("_", " "), Text("" if value is None else str(value)))
    Console(soft_wrap=True).print(table)
