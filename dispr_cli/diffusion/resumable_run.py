"""A training that may be stopped at any moment: checkpoints, held-out metrics and who is told of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dispr_cli.diffusion.processes import ALONE, Processes
from dispr_cli.errors import DisprError

VALIDATIONS = 10
"""Held-out metrics are taken so many times in a run."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What an observer of the training is told after each step."""

    examples: int
    total: int
    loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How the network does on cells it is not trained on (means over cells).

    Attributes
    ----------
    iou
        Of one sample with the truth.
    volume_error
        |V - V_true| / V_true of one sample.
    sample_iou
        Overlap of two samples of a cell with each other: the closer to 1, the less they differ.
    """

    iou: float
    volume_error: float
    sample_iou: float


@dataclass(frozen=True)
class TrainingEvents:
    """Who is told what; `resumed` takes the examples that an earlier run has learned from."""

    progress: Callable[[Progress], None] = lambda progress: None
    held_out: Callable[[Progress, HeldOut], None] = lambda progress, metrics: None
    saved: Callable[[Path], None] = lambda path: None
    average: Callable[[Progress, Any], None] = lambda progress, average: None
    resumed: Callable[[int], None] = lambda examples: None


class Resumable(Protocol):
    """What trains: ours or a peer's."""

    step: int

    @property
    def average(self) -> Any:
        """The network that will be written in the end."""

    def save(self, path: Path) -> None:
        """Write everything that is needed to go on."""

    def resume(self, path: Path) -> None:
        """Go on from what :meth:`save` wrote."""

    def run(self, observer: Callable[[Progress], None], until: float) -> bool:
        """Train to the end or until ``time.monotonic()`` passes ``until``; returns whether it is complete."""


def run_resumably(
    trainer: Resumable,
    out: Path,
    *,
    batch_size: int,
    num_examples: int,
    checkpoint_minutes: float,
    begin: Callable[[], None] = lambda: None,
    validate: Callable[[], HeldOut] | None = None,
    events: TrainingEvents | None = None,
    until: float = float("inf"),
    processes: Processes = ALONE,
) -> bool:
    """Train, or go on where an earlier run stopped; the state of an unfinished run lies beside ``out``.

    The caller writes the weights once the training is complete, and then removes the state.

    Parameters
    ----------
    batch_size, num_examples
        Of the training.
    checkpoint_minutes
        Minutes between two saved states.
    begin
        Called when nothing is there to go on from.
    validate
        Takes the held-out metrics; None if no cell is held out.
    until
        Value of ``time.monotonic()`` at which to stop and save.
    processes
        Who shares every batch; the first of them speaks and writes.

    Returns
    -------
    Whether the training is complete.
    """
    events, state = events or TrainingEvents(), state_file(out)
    if state.exists():
        trainer.resume(state)
        if processes.is_first:
            events.resumed(trainer.step * batch_size)
    else:
        begin()
    saved_at, validated = time.monotonic(), validations_due(trainer.step * batch_size, num_examples)

    def observe(progress: Progress) -> None:
        nonlocal saved_at, validated
        if not processes.is_first:
            return
        events.progress(progress)
        events.average(progress, trainer.average)
        due = validations_due(progress.examples, progress.total)
        if validate is not None and due > validated:
            events.held_out(progress, validate())
        validated = due
        if time.monotonic() - saved_at > 60.0 * checkpoint_minutes:
            trainer.save(state)
            saved_at = time.monotonic()
            events.saved(state)

    try:
        complete = trainer.run(observe, until)
    except (KeyboardInterrupt, DisprError):
        # A lost process too leaves what the last whole step learned.
        if processes.is_first:
            trainer.save(state)
        raise
    if not complete and processes.is_first:
        trainer.save(state)
    return complete


def state_file(out: Path) -> Path:
    """Where the state of an unfinished run lies."""
    return out.with_name(f"{out.stem}.state.safetensors")


def validations_due(examples: int, total: int) -> int:
    """How many times held-out metrics should have been taken by now: :data:`VALIDATIONS` in a run."""
    return examples * VALIDATIONS // total
