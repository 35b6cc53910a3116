"""What a run has freed goes back to the system, so that long runs do not grow."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest

from dispr_cli.scale import heap

PIECE, PIECES = 100_000, 600
"""Too small for a mapping of its own, as most of what a run allocates; 60 MB together."""


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux" or heap._glibc() is None, reason="needs glibc")
def test_free_pages_between_used_ones_are_returned() -> None:
    pieces = [np.ones(PIECE, np.uint8) for _ in range(PIECES)]
    # What stays keeps the heap from shrinking at its end.
    kept = pieces[::20]
    full = resident_bytes()
    del pieces
    heap.return_free_memory()
    assert full - resident_bytes() > 0.7 * PIECE * PIECES
    assert all(piece.all() for piece in kept)


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    heap._glibc.cache_clear()

    def without(name: str | None) -> ctypes.CDLL:
        raise OSError("no such library")

    monkeypatch.setattr(ctypes, "CDLL", without)
    heap.share_arenas()
    heap.return_free_memory()
    assert heap._glibc() is None
    heap._glibc.cache_clear()
