"""Ctrl-C and SIGTERM while something trains: held back until the step that is being taken is whole.

An interrupt within a step would leave weights that have moved beside an average and a count that have not.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Take over the signals that end a run, for as long as a ``with`` block lasts.

    The first one is answered between two steps; the second ends the run at once, wherever it is.

    Parameters
    ----------
    patient
        Nothing but the first signal counts: torchrun passes on to its processes what the terminal has sent
        them already.
    asked_first
        Called when a stop was asked for in the middle of a step.

    Attributes
    ----------
    between_steps
        Whether no step is being taken. When an exception has left the block, it says whether that came
        between two steps, so that what was learned is whole, or within one.
    """

    def __init__(self, patient: bool = False, asked_first: Callable[[], None] = lambda: None) -> None:
        self.between_steps = False
        self._patient, self._asked_first, self._asked = patient, asked_first, False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        """Take over the signals that a function answers; one that is ignored or ends the process is left."""
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in SIGNALS}
            self._before = {number: handler for number, handler in handlers.items() if callable(handler)}
            for number in self._before:
                signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def step_taken(self) -> None:
        """Say that a step is whole; raises KeyboardInterrupt if a stop was asked for."""
        self.between_steps = True
        if self._asked:
            raise KeyboardInterrupt

    def step_begins(self) -> None:
        """Say that the next step may begin."""
        self.between_steps = False

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._asked and self._patient:
            return
        again, self._asked = self._asked, True
        if again or self.between_steps:
            raise KeyboardInterrupt
        self._asked_first()
