"""A bar that counts things on a terminal, rare plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_LINE_SECONDS = 30.0
SHOWN_FAILURES = 20


class Counting:
    """Follow a run on stderr; see :class:`dispr_cli.morphology.measure.FeatureEvents`.

    Parameters
    ----------
    things
        What is counted, in the plural.
    quiet
        Show failures only.
    """

    def __init__(self, things: str, quiet: bool) -> None:
        self._things, self._quiet = things, quiet
        self._console = Console(stderr=True)
        shown = self._console.is_terminal and not quiet
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not shown)
        self._task = self._bar.add_task(things, total=None)
        self._plain = not shown and not quiet
        self._total = self._done = self._new = self._failures = 0
        self._since = self._last_line = time.monotonic()

    def __enter__(self) -> Counting:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def message(self, text: str) -> None:
        """Print a sentence worth knowing."""
        if not self._quiet:
            self._print(text)

    def started(self, total: int, finished: int) -> None:
        """Say what an earlier run left."""
        self._total, self._done, self._new = total, finished, 0
        self._since = time.monotonic()
        if finished:
            self.message(f"{finished} of {total} {self._things} were finished before; going on with the rest")
        self._show()

    def measured(self, name: str, problem: str | None) -> None:
        """Move on by one."""
        self._done += 1
        self._new += 1
        if problem is not None:
            self._failures += 1
            if self._failures <= SHOWN_FAILURES:
                self._print(f"Failed: {name}: {problem}")
        self._show()

    def _show(self) -> None:
        self._bar.update(self._task, total=self._total, completed=self._done)
        if self._plain and self._new and time.monotonic() - self._last_line > PLAIN_LINE_SECONDS:
            self._last_line = time.monotonic()
            rate = self._new / max(self._last_line - self._since, 1e-9)
            left = (self._total - self._done) / rate
            self._print(
                f"{self._done} of {self._total} {self._things}, {rate:.1f} a second, about {left:.0f} s left"
            )

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
