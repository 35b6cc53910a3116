"""The arithmetic CPU and CUDA kernels share, compiled for the CPU and tried there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "csrc" / "tests" / "arithmetic.cpp"


@pytest.mark.skipif(not shutil.which("c++"), reason="no C++ compiler on this machine")
def test_moments_softmax_and_walks_hold_on_the_cpu(tmp_path: Path) -> None:
    program = tmp_path / "arithmetic"
    subprocess.run(
        ["c++", "-std=c++17", "-O1", "-Wall", "-Werror", str(SOURCE), "-o", str(program)], check=True
    )
    outcome = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout
