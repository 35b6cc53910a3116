"""Two thousand of the unsound files that benchmarks/faults/fuzz.py makes by the ten thousand."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from benchmarks.faults.fuzz import fuzz
from benchmarks.faults.readers import Kind, kinds
from dispr_cli.errors import InputError

KINDS = (
    *("tiff", "png", "seg", "rois", "manifest", "store", "weights", "checkpoint"),
    *("truth", "features", "classes", "toml"),
)


@pytest.fixture(autouse=True)
def _forking_is_meant() -> None:
    # Newer Pythons warn of locks that other threads may hold; the threads here are idle.
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")


@pytest.mark.parametrize("name", KINDS)
def test_no_file_does_harm(name: str, tmp_path: Path) -> None:
    found = kinds(tmp_path)
    assert tuple(found) == KINDS
    tally = fuzz(name, found[name], 200, 11, tmp_path)
    assert tally.losses == []
    assert tally.trials == tally.counts["read"] + tally.counts["refused"] == 200
    assert tally.counts["refused"] > 0


def _careless(folder: Path, name: str, content: bytes) -> None:
    if content == b"sound":
        return
    if content.endswith(b"d"):
        raise InputError("a file that ends in d is refused")
    raise KeyError(content[:1])


def test_harm_would_be_told(tmp_path: Path) -> None:
    tally = fuzz("careless", Kind([("", b"sound")], _careless), 40, 0, tmp_path)
    assert tally.trials == 40
    assert tally.counts["refused"] > 0
    assert all("KeyError" in loss for loss in tally.losses)
    assert len(tally.losses) > 0
