"""What a person sees while something runs: a bar on a terminal, rare lines elsewhere, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

PLAIN_LINE_SECONDS = 30.0
SHOWN_FAILURES = 20


class Following:
    """Follow something countable on stderr.

    Parameters
    ----------
    things
        What is counted, in the plural.
    quiet
        Show failures only.
    columns
        Of the bar, between the count and the time left.
    fields
        What these columns show at first.
    """

    def __init__(self, things: str, quiet: bool, *columns: ProgressColumn, **fields: Any) -> None:
        self.things, self.quiet = things, quiet
        self.console = Console(stderr=True)
        shown = self.console.is_terminal and not quiet
        around = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(
            *around, *columns, TimeRemainingColumn(), console=self.console, transient=True, disable=not shown
        )
        self._task = self._bar.add_task(things, total=None, **fields)
        self._plain = not shown and not quiet
        self._failures = 0
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Old releases of rich print an empty line here, also for a bar that is disabled.
        if not self._bar.disable:
            self._bar.stop()

    def message(self, text: str) -> None:
        """Print a sentence worth knowing."""
        if not self.quiet:
            self._print(text)

    def show(self, done: int, total: int, line: Callable[[], str] | None = None, **fields: Any) -> None:
        """Move on.

        Parameters
        ----------
        line
            What a plain line says, where one is due; the count if None.
        fields
            Of the bar: ``description``, and those of its columns.
        """
        self._bar.update(self._task, total=total, completed=done, **fields)
        if self._plain and time.monotonic() - self._last_line > PLAIN_LINE_SECONDS:
            self._last_line = time.monotonic()
            self._print(line() if line is not None else f"{done} of {total} {self.things}")

    def say_failure(self, text: str) -> None:
        """Print what failed, also when quiet: it is an error; of many the first."""
        self._failures += 1
        if self._failures <= SHOWN_FAILURES:
            self._print(text)

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def pace(done: int, total: int, new: int, since: float, things: str, unit: str) -> str:
    """How far it is, how fast it goes, how long it will take; ``new`` of ``done`` came since ``since``."""
    if new == 0:
        return f"{done} of {total} {things}"
    rate = new / max(time.monotonic() - since, 1e-9)
    left = (total - done) / max(rate, 1e-9)
    return f"{done} of {total} {things}, {rate:.2f} {unit}, about {left:.0f} s left"
