"""dispr bench, as a user runs it; no test here asks how long anything takes."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dispr_cli.__main__ import app
from dispr_cli.errors import ConfigError
from tests.commands.test_reconstruct import assert_told, dispr

QUICK = ("--threads", 1, "--no-torch-compile", "--repeats", 1)


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def printed(*arguments: object) -> str:
    """What the command prints; in this process, where torch is loaded already."""
    # No CliRunner: that of click before 8.2 puts stderr among what was printed.
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        exit_code = app([*map(str, ("bench", *arguments, *QUICK))], standalone_mode=False)
    assert not exit_code, stdout.getvalue()
    return stdout.getvalue()


def bench(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed(*arguments, "--json"))
    return found


def test_everything_is_timed_and_drawn(tiny_weights: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "roofline.png"
    options = ("--weights", tiny_weights, "--steps", 2, "--sampler", "heun", "--batch-size", 2, "--no-peers")
    found = bench(*options, "--precision", "fp32", "--roofline", drawn)
    assert drawn.stat().st_size > 10_000
    assert found["machine"]["threads"] == 1
    assert found["machine"]["precision"] == "float32"
    assert all(limit > 0 for limit in found["limits"].values())
    assert {row["shape"][0] for row in found["operations"]} == {2}
    call, step, cells = found["denoiser_call"], found["sampler_step"], found["reconstruct"]
    assert (call["batch"], step["batch"], step["sampler"], step["steps"]) == (2, 2, "heun", 2)
    assert cells["cells_per_second"] == pytest.approx(1 / cells["seconds_per_cell"])
    # A step calls the network, and a cell takes several steps; both are longer by far than what they hold.
    assert step["step_ms"] > 0.5 * call["call_ms"]
    assert cells["seconds_per_cell"] > 1e-3 * step["step_ms"]
    assert found["peers"] == []


def test_operations_alone_in_a_table(tiny_weights: Path) -> None:
    options = ("--ops", "--weights", tiny_weights, "--batch-size", 2, "--precision", "bf16")
    table = printed(*options)
    for words in ("bfloat16", "group_norm_silu + FiLM", "attention_3d", "2x16x8x8x8", "GFLOP/s"):
        assert words in table
    assert "denoiser call" not in table


def test_more_steps_take_longer_and_the_ratio_says_so(tiny_weights: Path) -> None:
    given = ("--weights", tiny_weights, "--batch-size", 2)
    found = bench("--compare", "steps=6,sampler=ddpm", "steps=1", *given)
    assert (found["a"]["steps"], found["a"]["sampler"], found["b"]["steps"]) == (6, "ddpm", 1)
    _, sample, cell = found["rows"]
    for row in (sample, cell):
        assert row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]
    assert sample["ratio"]["median"] > 2
    assert cell["ratio"]["median"] > 1


def test_the_comparison_prints_what_differs(tiny_weights: Path, tmp_path: Path) -> None:
    other = shutil.copy(tiny_weights, tmp_path / "other.safetensors")
    given = ("--weights", tiny_weights, "--steps", 1, "--batch-size", 2)
    told = dispr("bench", "--compare", other, "ops=plain", *given, *QUICK)
    assert told.returncode == 0, told.stderr
    assert f"A: weights={other}, ops=compiled" in told.stdout
    assert f"B: weights={tiny_weights}, ops=plain" in told.stdout
    assert "A : B" in told.stdout


def test_what_cannot_be_timed_is_told_in_a_sentence(tiny_weights: Path, tmp_path: Path) -> None:
    assert_told(dispr("bench", "--compare", "steps=1", "stepz=2"), "'stepz=2'", "steps")
    told = dispr("bench", "--compare", "steps=1", "steps=2", "--roofline", tmp_path / "a.png")
    assert_told(told, "--compare", "leave out")
    with pytest.raises(ConfigError, match="'abacus' here: expected plain"):
        printed("--compare", "steps=1", "ops=abacus", "--weights", tiny_weights)
