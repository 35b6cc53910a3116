"""A training that may be stopped at any moment: checkpoints, held-out metrics and who is told of them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.held_out_metrics import HeldOut
from dispr_cli.diffusion.interruption import Interruption
from dispr_cli.diffusion.known_cells import NOTHING, KnownCells
from dispr_cli.diffusion.processes import ALONE, Processes
from dispr_cli.diffusion.trained_grid import TrainedGrid
from dispr_cli.diffusion.training_facts import UNFINISHED
from dispr_cli.diffusion.training_state import Origin
from dispr_cli.errors import DisprError

Network = TypeVar("Network")
"""What a method trains, and what it starts from."""

VALIDATIONS = 10
"""Held-out metrics are taken so many times in a run."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What an observer of the training is told after each step."""

    examples: int
    total: int
    loss: float
    seconds: float


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
class Start(Generic[Network]):
    """Weights that a training begins with.

    Attributes
    ----------
    network
        On the device that it is measured on.
    known
        What it has learned from already.
    """

    network: Network
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


class Resumable(Protocol[Network]):
    """What trains: ours or a peer's."""

    step: int

    @property
    def config(self) -> TrainingSettings:
        """Settings of the training; they are written into the file of weights."""

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the whole training."""

    @property
    def average(self) -> Network:
        """The network that will be written in the end."""

    def start_from(self, network: Network) -> None:
        """Begin with the weights of another network."""

    def save(self, path: Path, origin: Origin) -> None:
        """Write everything that is needed to go on."""

    def resume(self, path: Path, origin: Origin) -> None:
        """Go on from what :meth:`save` wrote, if it is of this origin."""

    def run(self, observer: Callable[[Progress], None], until: float) -> bool:
        """Train to the end or until ``time.monotonic()`` passes ``until``; returns whether it is complete."""

    def validate(self, network: Network, held_out: TrainingCells) -> HeldOut:
        """Take the metrics of a network on held-out cells."""

    def write(self, path: Path, facts: dict[str, Any]) -> None:
        """Write the weights, with what the file is to say of its training."""


class ResumableRun(Generic[Network]):
    """One training from its start, or from where an earlier run stopped, to the weights.

    Cells that the weights it starts from have learned from are not recorded as held out, and metrics are
    taken on them only if there are no others.

    Parameters
    ----------
    trainer
        What trains.
    out
        File of the weights; the state of an unfinished run lies beside it.
    cells, held_out
        What is trained on, and what is not.
    start
        What the training begins with; None for random weights.
    provenance
        Written into the file, beside what is known here.
    events
        Who is told how it goes.
    processes
        Who shares every batch; the first of them speaks and writes.
    """

    def __init__(
        self,
        trainer: Resumable[Network],
        out: Path,
        cells: TrainingCells,
        *,
        held_out: TrainingCells | None = None,
        start: Start[Network] | None = None,
        provenance: Mapping[str, Any] | None = None,
        events: TrainingEvents | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self._trainer, self._out, self._state = trainer, out, state_file(out)
        self._cells, self._start, self._provenance = cells, start, provenance or {}
        self._events, self._processes = events or TrainingEvents(), processes
        self._known = NOTHING if start is None else start.known
        self._kept = never_learned(self._known, cells, held_out)
        self._watched = held_out if self._kept is None else self._kept
        self._origin = Origin(
            cells.fingerprint(), None if held_out is None else held_out.fingerprint(), self._known.sha256
        )
        self._before: HeldOut | None = None
        self._last: HeldOut | None = None
        self._validated, self._saved_at = 0, 0.0

    def run(
        self,
        until: float = float("inf"),
        finish: Callable[[TrainingCells | None], object] = lambda held_out: None,
    ) -> bool:
        """Train and write the weights.

        Parameters
        ----------
        until
            Value of ``time.monotonic()`` at which to stop and save.
        finish
            Called when the weights are written, with the held-out cells that nothing behind them has learned
            from; a run stopped in it is not complete, and begins with it again.

        Returns
        -------
        Whether the training is complete.
        """
        self._go_on_or_begin()
        if self._processes.is_first:
            self._measure_start()
        complete = self._train(until)
        if self._processes.is_first:
            self._save()
            if complete:
                self._finish(finish)
        return complete

    def _go_on_or_begin(self) -> None:
        if self._state.exists():
            self._trainer.resume(self._state, self._origin)
            if self._processes.is_first:
                self._events.resumed(self._trainer.step * self._trainer.config.batch_size)
        elif self._start is not None:
            self._trainer.start_from(self._start.network)

    def _measure_start(self) -> None:
        if self._start is not None and self._watched is not None:
            self._before = self._trainer.validate(self._start.network, self._watched)
            self._events.before(self._before)

    def _train(self, until: float) -> bool:
        """Take the steps that are left; what was learned is saved if they are broken off between two."""
        self._validated, self._saved_at = self._validations_due(), time.monotonic()
        with Interruption(self._processes.count > 1, self._events.stopping) as interruption:

            def observe(progress: Progress) -> None:
                interruption.step_taken()
                if self._processes.is_first:
                    self._after_step(progress)
                interruption.step_begins()

            try:
                return self._trainer.run(observe, until)
            except (KeyboardInterrupt, DisprError) as error:
                # What was broken off within a step is of no use. A lost process is noticed before weights
                # move.
                whole = interruption.between_steps or isinstance(error, DisprError)
                if self._processes.is_first and whole:
                    self._save()
                raise

    def _after_step(self, progress: Progress) -> None:
        self._events.progress(progress)
        self._events.average(progress, self._trainer.average)
        self._validate_if_due(progress)
        if time.monotonic() - self._saved_at > 60.0 * self._trainer.config.checkpoint_minutes:
            self._save()
            self._events.saved(self._state)

    def _validate_if_due(self, progress: Progress) -> None:
        due = self._validations_due()
        if self._watched is not None and due > self._validated:
            self._last = self._trainer.validate(self._trainer.average, self._watched)
            self._events.held_out(progress, self._last)
        self._validated = due

    def _validations_due(self) -> int:
        return self._trainer.step * VALIDATIONS // self._trainer.num_steps

    def _save(self) -> None:
        self._trainer.save(self._state, self._origin)
        self._saved_at = time.monotonic()

    def _finish(self, finish: Callable[[TrainingCells | None], object]) -> None:
        """Write the weights, let them be measured, and only then forget the state of the training."""
        facts = facts_of_cells(self._known, self._cells, self._kept)
        settings = dataclasses.asdict(self._trainer.config)
        self._trainer.write(self._out, {**self._provenance, **facts, "training": settings})
        finish(self._kept)
        if self._before is not None and self._watched is not None:
            last = self._last or self._trainer.validate(self._trainer.average, self._watched)
            self._events.after(self._before, last)
        self._state.unlink(missing_ok=True)


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
