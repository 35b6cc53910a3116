"""A run stopped from outside: what is kept, and what is said of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dispr_cli.commands import watch
from dispr_cli.errors import EXIT_INTERRUPTED
from dispr_cli.volumes.store import open_store
from tests.commands.in_process import dispr_here


def test_an_interrupted_run_says_what_is_kept_and_goes_on(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "cells", tmp_path / "out.zarr"
    shutil.copytree(phantom_folder, source)
    # What failed is finished too: the first shard holds nothing else.
    first = min((source / "image").iterdir())
    first.write_bytes(first.read_bytes()[:600])
    command = ("reconstruct", source, out, "-n", 1, "--steps", 1, "--weights", tiny_weights)

    def stop(*told: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(watch.RunProgress, "reconstructed", stop)
        stopped = dispr_here(*command, "--cells-at-once", 1)
    kept = open_store(out).progress()
    assert kept.pending > 0, "nothing was interrupted"
    finished = kept.done + kept.failed
    assert stopped.returncode == EXIT_INTERRUPTED
    assert f"Interrupted. {finished} of 7 cells are kept in {out}" in stopped.stderr
    assert "Error" not in stopped.stderr
    assert dispr_here(*command).returncode == 1
    assert open_store(out).progress().pending == 0


def test_before_the_store_is_there_nothing_is_kept(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*told: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dispr_cli.pipeline.reconstruct_to_store", stop)
    out = tmp_path / "out.zarr"
    stopped = dispr_here("reconstruct", phantom_folder, out, "--weights", tiny_weights)
    assert stopped.returncode == EXIT_INTERRUPTED
    assert f"Interrupted. {out} was not begun yet." in stopped.stderr


def test_other_commands_say_that_they_were_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*told: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dispr_cli.volumes.store.open_store", stop)
    stopped = dispr_here("status", tmp_path / "out.zarr")
    assert stopped.returncode == EXIT_INTERRUPTED
    assert stopped.stderr.strip() == "Interrupted."
