"""A training that may be stopped at any moment: checkpoints, held-out metrics and who is told of them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.processes import ALONE, Processes
from dispr_cli.diffusion.training_facts import UNFINISHED
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


class TrainingSettings(Protocol):
    """What every method's settings, a dataclass, have."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def batch_size(self) -> int:
        """Examples in a step."""

    @property
    def checkpoint_minutes(self) -> float:
        """Minutes between two saved states."""


class Resumable(Protocol):
    """What trains: ours or a peer's."""

    step: int

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the whole training."""

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
    config: TrainingSettings,
    *,
    write: Callable[[dict[str, Any]], None],
    begin: Callable[[], None] = lambda: None,
    finish: Callable[[], object] = lambda: None,
    validate: Callable[[TrainingCells], HeldOut],
    cells: TrainingCells,
    held_out: TrainingCells | None = None,
    provenance: dict[str, Any] | None = None,
    events: TrainingEvents | None = None,
    until: float = float("inf"),
    processes: Processes = ALONE,
) -> bool:
    """Train and write the weights, or go on where an earlier run stopped.

    Parameters
    ----------
    out
        File of the weights; the state of an unfinished run lies beside it.
    config
        Settings of the training, a dataclass; they are written into the file.
    write
        Writes ``out`` at the end, given what the file is to say of its training.
    begin
        Called when nothing is there to go on from.
    finish
        Called when the weights are written; a run stopped in it is not complete, and begins with it again.
    validate
        Takes the metrics on held-out cells.
    cells, held_out
        What is trained on, and what is not.
    provenance
        Written into the file, beside what this function knows.
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
            events.resumed(trainer.step * config.batch_size)
    else:
        begin()
    saved_at = time.monotonic()
    validated = validations_due(trainer.step, trainer.num_steps)

    def observe(progress: Progress) -> None:
        nonlocal saved_at, validated
        if not processes.is_first:
            return
        events.progress(progress)
        events.average(progress, trainer.average)
        due = validations_due(trainer.step, trainer.num_steps)
        if held_out is not None and due > validated:
            events.held_out(progress, validate(held_out))
        validated = due
        if time.monotonic() - saved_at > 60.0 * config.checkpoint_minutes:
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
    if not processes.is_first:
        return complete
    if not complete:
        trainer.save(state)
        return False
    facts = {
        **(provenance or {}),
        "cells": len(cells),
        "held_out": [] if held_out is None else list(held_out.names),
        "training": dataclasses.asdict(config),
    }
    trainer.save(state)
    write(facts)
    finish()
    state.unlink(missing_ok=True)
    return True


def state_file(out: Path) -> Path:
    """Where the state of an unfinished run lies."""
    return out.with_name(f"{out.stem}{UNFINISHED}")


def validations_due(step: int, num_steps: int) -> int:
    """How many times held-out metrics should have been taken by now: :data:`VALIDATIONS` in a run."""
    return step * VALIDATIONS // num_steps
