"""A few trials of what benchmarks/faults does a hundred times: nothing is lost, whatever happens."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faults import disk, harness, kill
from tests.stub_method import StubMethod


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Bench]:
    with harness.bench(10, tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture(scope="module")
def wanted(place: harness.Bench) -> list[bytes]:
    return harness.contents(place.run(place.folder / "calm-stub.zarr", method=StubMethod()))


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


def test_killed_parts(place: harness.Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    results: list[list[str]] = []
    monkeypatch.setattr(kill, "record", lambda name, fault, trials, losses, **_: results.append(losses))
    kill.of_parts(place, 4, random.Random(2))
    assert results == [[]]


def test_a_loss_would_be_told(place: harness.Bench, wanted: list[bytes], tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    place.run(out, method=StubMethod())
    assert harness.what_is_lost(out, wanted) is None
    other = [*wanted]
    other[3] = other[4]
    assert "differ" in str(harness.what_is_lost(out, other))
    (out / "dispr_rows" / "000000.json").unlink()
    assert "pending" in str(harness.what_is_lost(out, wanted))
