"""Count what is measured, one after the other."""

from __future__ import annotations

import time

from dispr_cli.commands.following import Following, pace


class Counting(Following):
    """Follow a run on stderr; see :class:`dispr_cli.morphology.measure.FeatureEvents`."""

    def __init__(self, things: str, quiet: bool) -> None:
        super().__init__(things, quiet)
        self._total = self._done = self._new = 0
        self._since = time.monotonic()

    def started(self, total: int, finished: int) -> None:
        """Say what an earlier run left."""
        self._total, self._done, self._new = total, finished, 0
        self._since = time.monotonic()
        if finished:
            self.message(f"{finished} of {total} {self.things} were finished before; going on with the rest")
        self._show()

    def measured(self, name: str, problem: str | None) -> None:
        """Move on by one."""
        self._done += 1
        self._new += 1
        if problem is not None:
            self.say_failure(f"Failed: {name}: {problem}")
        self._show()

    def _show(self) -> None:
        def line() -> str:
            return pace(self._done, self._total, self._new, self._since, self.things, "a second")

        self.show(self._done, self._total, line)
