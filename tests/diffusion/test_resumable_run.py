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
from dispr_cli.diffusion.known_cells import KnownCells
from dispr_cli.diffusion.processes import ALONE, Processes
from dispr_cli.diffusion.resumable_run import (
    VALIDATIONS,
    HeldOut,
    Progress,
    Start,
    TrainingEvents,
    run_resumably,
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

    def __init__(self) -> None:
        self.step = 0

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
    finish: Callable[[], None] = lambda: None
    written: dict[str, Any] | None = None

    def run(self, out: Path, until: float = float("inf"), config: Settings | None = None) -> bool:
        trainer = Counting()
        events = TrainingEvents(
            progress=lambda progress: self.steps.append(progress.examples // 3),
            held_out=lambda progress, metrics: self.validated.append(progress.examples // 3),
            resumed=self.resumed.append,
        )

        def begin() -> None:
            self.begun += 1

        def write(facts: dict[str, Any]) -> None:
            self.written = facts

        return run_resumably(
            trainer,
            out,
            config or Settings(),
            write=write,
            begin=begin,
            finish=lambda kept: self.finish(),
            validate=lambda network, held: HeldOut(float(len(held)), 0.0, 1.0),
            cells=LEARNED,
            held_out=HELD_OUT,
            provenance={"data": "none"},
            events=events,
            until=until,
        )


@pytest.fixture
def heard() -> Heard:
    return Heard([], [], [])


def test_metrics_are_taken_ten_times_however_often_a_run_stops(heard: Heard, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
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
        "start_sha256": None,
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
    complete = run_resumably(
        Counting(),
        tmp_path / "w.safetensors",
        Settings(),
        write=lambda facts: pytest.fail("a second process wrote"),
        validate=lambda network, held: pytest.fail("a second process took metrics"),
        cells=LEARNED,
        held_out=HELD_OUT,
        events=TrainingEvents(progress=told.append),
        processes=Processes(rank=1, count=2),
    )
    assert complete
    assert told == []
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
    with pytest.raises(KeyboardInterrupt):
        run_resumably(
            Signalled(times),
            out,
            Settings(),
            write=lambda facts: pytest.fail("was not stopped"),
            validate=lambda network, held: HeldOut(0.0, 0.0, 0.0),
            cells=LEARNED,
            events=TrainingEvents(stopping=lambda: heard.append("stopping")),
            processes=processes,
        )
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
    facts: dict[str, Any] = {}
    told: list[HeldOut] = []
    finished: list[TrainingCells | None] = []
    networks: list[Any] = []

    def validate(network: Any, held: TrainingCells) -> HeldOut:
        networks.append(network)
        return HeldOut(0.5 if network == "start" else 0.6, 0.1, 1.0, len(held))

    assert run_resumably(
        Counting(),
        tmp_path / "w.safetensors",
        Settings(),
        write=facts.update,
        finish=finished.append,
        validate=validate,
        cells=LEARNED,
        held_out=HELD_OUT,
        start=Start("start", known),
        events=TrainingEvents(before=told.append, after=lambda *both: told.extend(both)),
    )
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
    facts: dict[str, Any] = {}
    twice = TrainingCells(("c", "b"), CELLS.distance, CELLS.outline, CELLS.image)
    run_resumably(
        Counting(),
        tmp_path / "w.safetensors",
        Settings(),
        write=facts.update,
        validate=lambda network, held: HeldOut(0.0, 0.0, 0.0),
        cells=LEARNED,
        held_out=twice,
    )
    assert facts["held_out"] == ["b"]


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run_resumably(
            Signalled(1),
            tmp_path / "w.safetensors",
            Settings(),
            write=lambda facts: None,
            validate=lambda network, held: HeldOut(0.0, 0.0, 0.0),
            cells=LEARNED,
        )
    finally:
        signal.signal(signal.SIGINT, before)
