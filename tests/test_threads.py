"""Threads: as many as asked for, and waiting without standing in each other's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dispr_cli.threads import SPIN_COUNT, available_cores, available_threads, bound_spinning

ROOT = Path(__file__).resolve().parent.parent
OURS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "LOCAL_WORLD_SIZE")


@pytest.fixture(autouse=True)
def _nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OURS:
        monkeypatch.setenv(name, "")  # so that what is set here is undone
        monkeypatch.delenv(name)


@pytest.mark.parametrize(("asked", "found"), [("3", 3), ("1", 1), ("4,2", 4), (" 2 ", 2)])
def test_openmps_own_variable_is_heard(asked: str, found: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert available_threads() == found


@pytest.mark.parametrize("asked", ["", "0", "-2", "many"])
def test_what_says_nothing_is_passed_over(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert available_threads() == available_cores()


def test_processes_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = available_threads()
    for count in (1, 2, 10_000):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(count))
        assert available_threads() == max(1, alone // count)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as torchrun sets it by itself
    assert available_threads() == max(1, alone // 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert available_threads() == 7


def test_waiting_is_bounded_unless_somebody_has_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    bound_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == str(SPIN_COUNT)
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    bound_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == "5"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    bound_spinning()
    assert "GOMP_SPINCOUNT" not in os.environ


def test_the_command_bounds_it_before_torch_is_there() -> None:
    code = (
        "import os, sys\nfrom dispr_cli import __main__ as command\n"
        "command.app = lambda: print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)\n"
        "command.main()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.split() == [str(SPIN_COUNT), "False"]


def test_doctor_tells_what_reconstruct_would_use() -> None:
    command = [sys.executable, "-m", "dispr_cli", "doctor", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    found = json.loads(run.stdout)
    assert found["threads"] == 3
    assert found["cores"] == available_cores()
    assert found["device"].startswith("CPU, 3 threads") or "GPU" in found["device"]
