"""What kernels_status tells in each state the installation can be in."""

from __future__ import annotations

import _ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dispr_cli.diffusion.ops import kernels_status, library

ROOT = Path(__file__).parents[3]
STATUS = (
    "import json; from dispr_cli.diffusion.ops import kernels_status; print(json.dumps(kernels_status()))"
)


def status_with(kernels: str, folder: Path = ROOT) -> dict[str, object]:
    answer = subprocess.run(
        [sys.executable, "-c", STATUS],
        env=os.environ | {library.KERNELS_VARIABLE: kernels, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        text=True,
        capture_output=True,
        check=True,
    )
    return json.loads(answer.stdout)


def test_switched_off_kernels_say_how() -> None:
    status = status_with("off")
    assert (status["built"], status["path"], status["instruction_set"]) == (False, None, "torch")
    assert status["reason"] == "the compiled kernels are switched off by DISPR_KERNELS=off"


def test_a_damaged_library_is_a_reason_and_not_a_traceback(tmp_path: Path) -> None:
    damaged = tmp_path / "_kernels.so"
    damaged.write_bytes(b"no library")
    status = status_with(str(damaged))
    assert status["built"] is False
    assert str(damaged) in str(status["reason"])
    assert str(status["reason"]).endswith("reinstall dispr")


def test_a_library_of_somebody_else_is_not_loaded() -> None:
    other = _ctypes.__file__
    assert str(status_with(other)["reason"]) == f"{other} holds no kernels of dispr; reinstall dispr"


def test_a_library_beside_the_caller_goes_by_its_name(tmp_path: Path) -> None:
    status = kernels_status()
    if not status["built"]:
        pytest.skip("the kernels are not built")
    (tmp_path / "k.so").write_bytes(Path(str(status["path"])).read_bytes())
    assert status_with("k.so", tmp_path)["built"] is True


def test_kernels_of_another_version_are_not_loaded(tmp_path: Path) -> None:
    status = kernels_status()
    if not status["built"]:
        pytest.skip("the kernels are not built")
    other = tmp_path / "_kernels.so"
    built = Path(str(status["path"])).read_bytes()
    other.write_bytes(built.replace(b"dispr_schemas_", b"dispr_anything"))
    status = status_with(str(other))
    assert status["built"] is False
    assert status["reason"] == f"{other} was built for another version of dispr; reinstall dispr"


def test_loaded_kernels_name_their_file_and_instruction_set() -> None:
    status = kernels_status()
    if not status["built"]:
        pytest.skip("the kernels are not built")
    assert Path(str(status["path"])).exists()
    assert status["instruction_set"] in library.INSTRUCTION_SETS
    assert status["reason"] is None


def test_an_unknown_instruction_set_changes_nothing() -> None:
    before = kernels_status()
    assert library.choose_instruction_set("abacus") is False
    assert kernels_status() == before
