"""The loop around every training, with a trainer that learns nothing."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.held_out_metrics import HeldOut
from dispr_cli.diffusion.known_cells import KnownCells
from dispr_cli.diffusion.processes import ALONE, Processes
from dispr_cli.diffusion.resumable_run import (
    VALIDATIONS,
    Progress,
    ResumableRun,
    Start,
    TrainingEvents,
    state_file,
)
from dispr_cli.diffusion.training_state import Origin

STEPS = 57
CELLS = TrainingCells(
    ("a", "b"),
    np.zeros((2, 64, 64, 64), np.int8),
    np.zeros((2, 64, 64), np.int8),
    np.arange(2, dtype=np.uint8)[:, None, None] + np.zeros((2, 64, 64), np.uint8),
)


LEARNED, HELD_OUT = CELLS.select(np.array([0])), CELLS.select(np.array([1]))


@dataclass(frozen=True)
class Settings:
    batch_size: int = 3
    checkpoint_minutes: float = 1e9


class Counting:
    """Counts steps; stops for good after ``until`` of them, as if time was up."""

    num_steps, average = STEPS, "the average"

    def __init__(self, config: Settings | None = None) -> None:
        self.step, self.config = 0, config or Settings()
        self.begun_from: list[str] = []
        self.measured: list[tuple[str, int]] = []
        self.written: dict[str, Any] | None = None

    def start_from(self, network: str) -> None:
        self.begun_from.append(network)

    def validate(self, network: str, held_out: TrainingCells) -> HeldOut:
        self.measured.append((network, len(held_out)))
        return HeldOut(0.5 if network == "start" else 0.6, 0.1, 1.0, len(held_out))

    def write(self, path: Path, facts: dict[str, Any]) -> None:
        self.written = facts

    def save(self, path: Path, origin: Origin) -> None:
        path.write_text(json.dumps(self.step))

    def resume(self, path: Path, origin: Origin) -> None:
        self.step = json.loads(path.read_text())

    def run(self, observer: Callable[[Progress], None], until: float) -> bool:
        while self.step < STEPS:
            if self.step >= until:
                return False
            self.step += 1
            observer(Progress(3 * self.step, 3 * STEPS, 0.0, 0.0))
        return True


@dataclass
class Heard:
    """What was told, in order."""

    steps: list[int]
    validated: list[int]
    resumed: list[int]
    begun: int = 0
    start: Start[str] | None = None
    finish: Callable[[], None] = lambda: None
    written: dict[str, Any] | None = None

    def run(self, out: Path, until: float = float("inf"), config: Settings | None = None) -> bool:
        trainer = Counting(config)
        events = TrainingEvents(
            progress=lambda progress: self.steps.append(progress.examples // 3),
            held_out=lambda progress, metrics: self.validated.append(progress.examples // 3),
            resumed=self.resumed.append,
        )

        run = ResumableRun(
            trainer,
            out,
            LEARNED,
            held_out=HELD_OUT,
            start=self.start,
            provenance={"data": "none"},
            events=events,
        )
        try:
            return run.run(until, lambda kept: self.finish())
        finally:
            self.begun += len(trainer.begun_from)
            self.written = trainer.written


@pytest.fixture
def heard() -> Heard:
    return Heard([], [], [])


def test_metrics_are_taken_ten_times_however_often_a_run_stops(heard: Heard, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    heard.start = Start("start", KnownCells("s"))
    for until in (1, 13, 14, 40):
        assert not heard.run(out, until)
        assert state_file(out).exists()
        assert heard.written is None
    assert heard.run(out)
    assert heard.steps == list(range(1, STEPS + 1))
    assert len(heard.validated) == VALIDATIONS
    assert heard.validated[-1] == STEPS
    assert max(np.diff([0, *heard.validated])) <= -(-STEPS // VALIDATIONS)
    assert heard.resumed == [3, 39, 42, 120]
    assert heard.begun == 1
    assert not state_file(out).exists()
    assert heard.written == {
        "data": "none",
        "cells": 1,
        "learned": list(LEARNED.digests()),
        "held_out": ["b"],
        "held_out_digests": list(HELD_OUT.digests()),
        "start_sha256": "s",
        "training": {"batch_size": 3, "checkpoint_minutes": 1e9},
    }


def test_what_was_learned_is_kept_while_it_runs(
    heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, run = tmp_path / "w.safetensors", Counting.run

    def killed(self: Counting, observer: Callable[[Progress], None], until: float) -> bool:
        run(self, observer, 20)
        raise SystemExit("killed: nothing more is saved")

    monkeypatch.setattr(Counting, "run", killed)
    with pytest.raises(SystemExit):
        heard.run(out, config=Settings(checkpoint_minutes=1e-12))
    assert json.loads(state_file(out).read_text()) == 20


def test_a_run_stopped_in_what_comes_last_begins_with_that_again(heard: Heard, tmp_path: Path) -> None:
    out, finished = tmp_path / "w.safetensors", []

    def stop() -> None:
        raise KeyboardInterrupt

    heard.finish = stop
    with pytest.raises(KeyboardInterrupt):
        heard.run(out)
    assert heard.written is not None
    heard.finish = lambda: finished.append(state_file(out).exists())
    assert heard.run(out)
    assert heard.resumed == [3 * STEPS]
    assert heard.steps == list(range(1, STEPS + 1))
    assert finished == [True]
    assert not state_file(out).exists()


def test_only_the_first_process_speaks_and_writes(tmp_path: Path) -> None:
    told: list[Progress] = []
    trainer = Counting()
    run = ResumableRun(
        trainer,
        tmp_path / "w.safetensors",
        LEARNED,
        held_out=HELD_OUT,
        start=Start("start", KnownCells("s")),
        events=TrainingEvents(progress=told.append),
        processes=Processes(rank=1, count=2),
    )
    assert run.run()
    assert told == []
    assert trainer.begun_from == ["start"]
    assert (trainer.measured, trainer.written) == ([], None)
    assert list(tmp_path.iterdir()) == []


class Signalled(Counting):
    """Gets Ctrl-C so often in the middle of its fifth step."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def run(self, observer: Callable[[Progress], None], until: float) -> bool:
        while self.step < STEPS:
            if self.step == 4:
                for _ in range(self.times):
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.01)
            self.step += 1
            observer(Progress(3 * self.step, 3 * STEPS, 0.0, 0.0))
        return True


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("times", "processes", "kept"), [(1, ALONE, 5), (2, ALONE, None), (2, Processes(0, 2), 5)]
)
def test_a_stop_waits_for_the_step_and_a_second_one_does_not(
    tmp_path: Path, times: int, processes: Processes, kept: int | None
) -> None:
    out, heard, before = tmp_path / "w.safetensors", [], signal.getsignal(signal.SIGINT)
    trainer = Signalled(times)
    events = TrainingEvents(stopping=lambda: heard.append("stopping"))
    with pytest.raises(KeyboardInterrupt):
        ResumableRun(trainer, out, LEARNED, events=events, processes=processes).run()
    assert trainer.written is None
    assert heard == ["stopping"]
    assert signal.getsignal(signal.SIGINT) is before
    if kept is None:
        assert not state_file(out).exists()
    else:
        assert json.loads(state_file(out).read_text()) == kept


@pytest.mark.parametrize(
    ("known", "recorded", "tried"),
    [
        (KnownCells("s", frozenset()), ["b"], 1),
        (KnownCells("s", frozenset(HELD_OUT.digests())), [], 1),
        (KnownCells("s", None), [], 1),
        (KnownCells("s", None, held_out_names=frozenset("b")), ["b"], 1),
    ],
)
def test_what_the_start_has_learned_is_not_held_out(
    tmp_path: Path, known: KnownCells, recorded: list[str], tried: int
) -> None:
    told: list[HeldOut] = []
    finished: list[TrainingCells | None] = []
    trainer = Counting()
    run = ResumableRun(
        trainer,
        tmp_path / "w.safetensors",
        LEARNED,
        held_out=HELD_OUT,
        start=Start("start", known),
        events=TrainingEvents(before=told.append, after=lambda *both: told.extend(both)),
    )
    assert run.run(finish=finished.append)
    facts, networks = trainer.written, [network for network, _ in trainer.measured]
    assert facts is not None
    assert facts["held_out"] == recorded
    assert facts["start_sha256"] == "s"
    expected = None if known.learned is None else sorted(known.learned | set(LEARNED.digests()))
    assert facts["learned"] == expected
    assert (finished[0] is None) is (recorded == [])
    # Metrics before and after are of the same cells, with the start's network and the average.
    assert [metrics.iou for metrics in told] == [0.5, 0.5, 0.6]
    assert {metrics.num_cells for metrics in told} == {tried}
    assert networks[0] == "start"
    assert set(networks[1:]) == {"the average"}


def test_a_cell_under_two_names_is_not_held_out(tmp_path: Path) -> None:
    trainer = Counting()
    twice = TrainingCells(("c", "b"), CELLS.distance, CELLS.outline, CELLS.image)
    ResumableRun(trainer, tmp_path / "w.safetensors", LEARNED, held_out=twice).run()
    assert trainer.written is not None
    assert trainer.written["held_out"] == ["b"]


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert ResumableRun(Signalled(1), tmp_path / "w.safetensors", LEARNED).run()
    finally:
        signal.signal(signal.SIGINT, before)
