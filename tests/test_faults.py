"""A few trials of what benchmarks/faults does a hundred times: nothing is lost, whatever happens."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faults import disk, harness, kill, trials
from tests.scripted_method import ScriptedMethod


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Bench]:
    with harness.bench(10, tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture(scope="module")
def wanted(place: harness.Bench) -> list[bytes]:
    return harness.contents(place.run(place.folder / "calm-scripted.zarr", method=ScriptedMethod()))


def can_mount() -> bool:
    try:
        return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("name", disk.FAULTS)
def test_faults_of_disks_files_and_clocks(
    name: str, place: harness.Bench, wanted: list[bytes], tmp_path: Path
) -> None:
    if name in ("disk_full", "read_only") and not can_mount():
        pytest.skip("mounting a small disk needs root")
    chance = random.Random(1)
    for number in range(3):
        out = tmp_path / f"{number}.zarr"
        disk.FAULTS[name][1](place, out, chance)
        assert harness.what_is_lost(out, wanted) is None


def test_killed_parts(place: harness.Bench) -> None:
    trial, moments = kill.of_parts(place), []
    for number in range(4):
        happened, lost = trial(number, random.Random(number))
        moments += happened
        assert lost is None
    assert any(moment.startswith("killed") for moment in moments)


def test_a_stopped_script_goes_on_and_a_changed_program_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trials, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(trials, "UNFINISHED", tmp_path / "unfinished")
    seen: list[tuple[int, float]] = []

    def trial(number: int, chance: random.Random) -> tuple[list[str], str | None]:
        if len(seen) == 3:
            seen.append((-1, 0.0))
            raise KeyboardInterrupt
        seen.append((number, chance.random()))
        return ["went well"], "a cell" if number == 1 else None

    with pytest.raises(KeyboardInterrupt):
        trials.repeated("x", "a fault", 6, 0, trial)
    trials.repeated("x", "a fault", 6, 0, trial)
    assert [number for number, _ in seen] == [0, 1, 2, -1, 3, 4, 5]
    found = json.loads((tmp_path / "results" / "x.json").read_text())
    assert (found["trials"], found["lost"], found["losses"]) == (6, 1, ["trial 1: a cell"])
    assert found["details"] == {"went well": 6}
    del seen[3:]
    with pytest.raises(KeyboardInterrupt):
        trials.repeated("x", "a fault", 6, 0, trial)
    monkeypatch.setattr(trials, "digest_of_program", lambda: "another")
    assert trials.Unfinished("x", 0).tally.trials == 0
    capsys.readouterr()


def test_a_loss_would_be_told(place: harness.Bench, wanted: list[bytes], tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    place.run(out, method=ScriptedMethod())
    assert harness.what_is_lost(out, wanted) is None
    other = [*wanted]
    other[3] = other[4]
    assert "differ" in str(harness.what_is_lost(out, other))
    (out / "dispr_rows" / "000000.json").unlink()
    assert "pending" in str(harness.what_is_lost(out, wanted))
