"""A training that may be stopped at any moment: checkpoints, held-out metrics and who is told of them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.interruption import Interruption
from dispr_cli.diffusion.known_cells import NOTHING, KnownCells
from dispr_cli.diffusion.processes import ALONE, Processes
from dispr_cli.diffusion.trained_grid import TrainedGrid
from dispr_cli.diffusion.training_facts import UNFINISHED
from dispr_cli.diffusion.training_state import Origin
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
    num_cells
        How many cells were tried.
    """

    iou: float
    volume_error: float
    sample_iou: float
    num_cells: int = 0


@dataclass(frozen=True)
class TrainingEvents:
    """Who is told what.

    `resumed` takes the examples that an earlier run has learned from; `before` the metrics of the weights
    that the training starts from, if it does, and `after` those and the last; `stopping` hears that a stop
    was asked for.
    """

    progress: Callable[[Progress], None] = lambda progress: None
    held_out: Callable[[Progress, HeldOut], None] = lambda progress, metrics: None
    saved: Callable[[Path], None] = lambda path: None
    average: Callable[[Progress, Any], None] = lambda progress, average: None
    resumed: Callable[[int], None] = lambda examples: None
    before: Callable[[HeldOut], None] = lambda metrics: None
    after: Callable[[HeldOut, HeldOut], None] = lambda before, metrics: None
    stopping: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Start:
    """Weights that a training begins with.

    Attributes
    ----------
    network
        As ``validate`` takes it.
    known
        What it has learned from already.
    """

    network: Any
    known: KnownCells


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

    def save(self, path: Path, origin: Origin) -> None:
        """Write everything that is needed to go on."""

    def resume(self, path: Path, origin: Origin) -> None:
        """Go on from what :meth:`save` wrote, if it is of this origin."""

    def run(self, observer: Callable[[Progress], None], until: float) -> bool:
        """Train to the end or until ``time.monotonic()`` passes ``until``; returns whether it is complete."""


def run_resumably(
    trainer: Resumable,
    out: Path,
    config: TrainingSettings,
    *,
    write: Callable[[dict[str, Any]], None],
    begin: Callable[[], None] = lambda: None,
    finish: Callable[[TrainingCells | None], object] = lambda held_out: None,
    validate: Callable[[Any, TrainingCells], HeldOut],
    cells: TrainingCells,
    held_out: TrainingCells | None = None,
    start: Start | None = None,
    provenance: dict[str, Any] | None = None,
    events: TrainingEvents | None = None,
    until: float = float("inf"),
    processes: Processes = ALONE,
) -> bool:
    """Train and write the weights, or go on where an earlier run stopped.

    Cells that the weights it starts from have learned from are not recorded as held out, and metrics are
    taken on them only if there are no others.

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
        Called when the weights are written, with the held-out cells that nothing behind them has learned
        from; a run stopped in it is not complete, and begins with it again.
    validate
        Takes the metrics of a network on held-out cells.
    cells, held_out
        What is trained on, and what is not.
    start
        What the training begins with; None for random weights.
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
    known = NOTHING if start is None else start.known
    kept = never_learned(known, cells, held_out)
    watched = held_out if kept is None else kept
    origin = Origin(cells.fingerprint(), None if held_out is None else held_out.fingerprint(), known.sha256)
    if state.exists():
        trainer.resume(state, origin)
        if processes.is_first:
            events.resumed(trainer.step * config.batch_size)
    else:
        begin()
    before = last = None
    if start is not None and watched is not None and processes.is_first:
        before = validate(start.network, watched)
        events.before(before)
    saved_at = time.monotonic()
    validated = validations_due(trainer.step, trainer.num_steps)

    def observe(progress: Progress) -> None:
        nonlocal saved_at, validated, last
        interruption.step_taken()
        if processes.is_first:
            events.progress(progress)
            events.average(progress, trainer.average)
            due = validations_due(trainer.step, trainer.num_steps)
            if watched is not None and due > validated:
                last = validate(trainer.average, watched)
                events.held_out(progress, last)
            validated = due
            if time.monotonic() - saved_at > 60.0 * config.checkpoint_minutes:
                trainer.save(state, origin)
                saved_at = time.monotonic()
                events.saved(state)
        interruption.step_begins()

    with Interruption(processes.count > 1, events.stopping) as interruption:
        try:
            complete = trainer.run(observe, until)
        except (KeyboardInterrupt, DisprError) as error:
            # What was broken off within a step is of no use. A lost process is noticed before weights move.
            whole = interruption.between_steps or isinstance(error, DisprError)
            if processes.is_first and whole:
                trainer.save(state, origin)
            raise
    if not processes.is_first:
        return complete
    trainer.save(state, origin)
    if not complete:
        return False
    write(
        {**(provenance or {}), **facts_of_cells(known, cells, kept), "training": dataclasses.asdict(config)}
    )
    finish(kept)
    if before is not None and watched is not None:
        events.after(before, last or validate(trainer.average, watched))
    state.unlink(missing_ok=True)
    return True


def never_learned(
    known: KnownCells, cells: TrainingCells, held_out: TrainingCells | None
) -> TrainingCells | None:
    """Choose the held-out cells that neither a training nor what it starts from learns from; None if none."""
    if held_out is None:
        return None
    # A cell that lies in the folder twice, under two names, may have come to both sides.
    apart = ~np.isin(held_out.digests(), cells.digests())
    index = np.flatnonzero(known.never_learned(held_out) & apart)
    return held_out.select(index) if len(index) else None


def facts_of_cells(known: KnownCells, cells: TrainingCells, kept: TrainingCells | None) -> dict[str, Any]:
    """Return what weights record of the cells behind them; ``learned`` is None where a part is not known."""
    learned = known.after(cells).learned
    grid = TrainedGrid.of(cells.voxel_sizes_um)
    return {
        "cells": len(cells),
        **({} if grid is None else {"grid": grid.as_json()}),
        "learned": None if learned is None else sorted(learned),
        "held_out": [] if kept is None else list(kept.names),
        "held_out_digests": [] if kept is None else list(kept.digests()),
        "start_sha256": known.sha256,
    }


def state_file(out: Path) -> Path:
    """Where the state of an unfinished run lies."""
    return out.with_name(f"{out.stem}{UNFINISHED}")


def validations_due(step: int, num_steps: int) -> int:
    """How many times held-out metrics should have been taken by now: :data:`VALIDATIONS` in a run."""
    return step * VALIDATIONS // num_steps
