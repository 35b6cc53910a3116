"""What a person sees of an evaluation: a progress bar, then tables, then where everything is."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Sequence

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from dispr_cli.commands.following import SHOWN_FAILURES, Following, pace
from dispr_cli.report.score_tables import WordTable
from dispr_cli.scoring.matching import LeftOut
from dispr_cli.scoring.result import Evaluation


class EvaluationProgress(Following):
    """Follow an evaluation on stderr; see :class:`dispr_cli.evaluation.EvaluationEvents`."""

    def __init__(self, quiet: bool) -> None:
        super().__init__("cells", quiet)
        self.total = self.done = 0
        self._since = time.monotonic()

    def started(self, cells: int, methods: Sequence[str]) -> None:
        """Say what is compared."""
        self.total, self._since = cells, time.monotonic()
        self.message(f"{cells} cells, {', '.join(methods)}")
        self._show()

    def scored(self, cell: str) -> None:
        """Move on."""
        self.done += 1
        self._show()

    def left_out(self, cell: str, reason: str) -> None:
        """Say which cell cannot be compared, also when quiet: it is an error."""
        self.done += 1
        self.say_failure(f"Not compared: {cell}: {reason}")
        self._show()

    def finishing(self) -> None:
        """Say that what takes time now is not the cells."""
        self.show(self.done, self.total, description="tables and figures")

    def _show(self) -> None:
        def line() -> str:
            return pace(self.done, self.total, self.done, self._since, self.things, "cells/s")

        self.show(self.done, self.total, line)


def print_evaluation(found: Evaluation, *, quiet: bool, as_json: bool) -> None:
    """Print the tables, what is missing from them, and the folder last."""
    for warning in found.warnings():  # Also when quiet: the scores mean something else.
        typer.echo(f"Warning: {warning}", err=True)
    if as_json:
        typer.echo(json.dumps(found.short_content()))
        return
    if not quiet:
        _print_left_out(found.match.left_out)
        for name in found.match.unused_truths[:SHOWN_FAILURES]:
            typer.echo(f"No reconstruction: ground truth {name}", err=True)
        _print_more(len(found.match.unused_truths))
    for table in found.tables(short=True):
        _print_table(table)
    for fact in found.facts():
        typer.echo(fact)
    typer.echo(f"results: {found.folder}")


def _print_left_out(left_out: Sequence[LeftOut]) -> None:
    for item in left_out[:SHOWN_FAILURES]:
        typer.echo(f"Not compared: {item.cell}: {item.reason}", err=True)
    _print_more(len(left_out))


def _print_more(count: int) -> None:
    if count > SHOWN_FAILURES:
        typer.echo(f"... and {count - SHOWN_FAILURES} more; summary.json lists all", err=True)


def _print_table(table: WordTable) -> None:
    if not sys.stdout.isatty():
        note = [textwrap.fill(table.note, 110)] if table.note else []
        typer.echo("\n".join([table.plain(), *note]) + "\n")
        return
    shown = Table(
        title=table.title,
        title_justify="left",
        title_style="bold",
        caption=table.note or None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for title, is_words in zip(table.header, table.is_words, strict=True):
        shown.add_column(title, justify="left" if is_words else "right", overflow="fold")
    for row in table.rows:
        shown.add_row(*(word.replace("[", r"\[") for word in row))
    Console().print(shown)
