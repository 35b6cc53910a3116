"""Every file that is written whole or not at all keeps the same promise."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dispr_cli import durable
from dispr_cli.diffusion.checkpoint import check_writable, write_tensors
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.known_cells import write_cells_file
from dispr_cli.diffusion.training_state import TrainingState
from dispr_cli.diffusion.trust import Trust, trust_file, write_trust
from dispr_cli.durable import PARTIAL, partial_path, remove_partial_files, replace_bytes
from dispr_cli.errors import DisprError
from dispr_cli.report.page import Page

CELLS = TrainingCells(
    ("a",),
    np.zeros((1, 64, 64, 64), np.int8),
    np.zeros((1, 64, 64), np.int8),
    np.zeros((1, 64, 64), np.uint8),
)


def write_state(path: Path) -> None:
    TrainingState("f/1", {"network": torch.nn.Linear(2, 2)}, {}, {}).save(path, 1)


WRITERS: dict[str, Callable[[Path], object]] = {
    "w.safetensors": lambda path: write_tensors(path, {"a": torch.zeros(3)}, {"format": "f/1"}),
    "w.training.safetensors": write_state,
    "w.trust.json": lambda path: write_trust(trust_file(path.with_name("w.safetensors")), Trust("0" * 64)),
    "w.cells.json": lambda path: write_cells_file(path.with_name("w.safetensors"), "0" * 64, CELLS, "one"),
    "w.png": lambda path: Page(1, 1).save(path, 20),
    "row.json": lambda path: replace_bytes(path, b"{}"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_bytes_reach_the_disk_before_the_name_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, done = tmp_path / name, []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        done.append(("on disk", os.fstat(descriptor).st_size))

    def replaced(self: Path, target: Path) -> Path:
        done.append(("named", self.stat().st_size))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    WRITERS[name](path)
    size = path.stat().st_size
    assert done == [("on disk", size), ("named", size)]
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_failure_leaves_the_old_file_and_nothing_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises((DisprError, OSError), match="No space left"):
        WRITERS[name](path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "row.json"])
def test_what_a_killed_process_left_goes_with_the_next_write(name: str, tmp_path: Path) -> None:
    alive = partial_path(tmp_path / name)
    dead = alive.with_name(alive.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-"))
    of_another = partial_path(tmp_path / f"another {name}")
    for left in (alive, dead, of_another):
        left.write_bytes(b"half")
    WRITERS[name](tmp_path / name)
    assert {entry.name for entry in tmp_path.iterdir()} == {name, alive.name, of_another.name}


def test_two_writers_of_one_file_never_share_a_name(tmp_path: Path) -> None:
    names = {partial_path(tmp_path / "w.trust.json").name for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(".w.trust.json.") and name.endswith(PARTIAL) for name in names)


def test_machines_whose_names_begin_alike_leave_each_other_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pods of one job do, each with process numbers of its own."""
    monkeypatch.setattr(platform, "node", lambda: "reconstruct-plates-of-november-part-1-abcde")
    partial = partial_path(tmp_path / "a.csv")
    gone = partial.with_name(partial.name.replace(f"-{os.getpid()}-", "-4194304999-"))
    gone.write_bytes(b"half")
    monkeypatch.setattr(platform, "node", lambda: "reconstruct-plates-of-november-part-2-abcde")
    monkeypatch.setattr(durable, "_is_alive", lambda process: False)
    remove_partial_files(tmp_path)
    assert gone.exists()
    monkeypatch.setattr(platform, "node", lambda: "reconstruct-plates-of-november-part-1-abcde")
    remove_partial_files(tmp_path)
    assert not gone.exists()


def test_a_look_whether_it_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"old")
    check_writable(tmp_path / "w.safetensors")
    check_writable(tmp_path / "new" / "w.safetensors")
    assert (tmp_path / "w.safetensors").read_bytes() == b"old"
    assert list((tmp_path / "new").iterdir()) == []
