"""Parts, status, merged tables, verification and job scripts, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands.in_process import dispr_here as dispr
from tests.commands.test_reconstruct import assert_told


def reconstruct(source: Path, out: Path, weights: Path, *options: object) -> subprocess.CompletedProcess[str]:
    given = ("--samples", 1, "--steps", 1, "--weights", weights, "--threads", 1, *options)
    return dispr("reconstruct", source, out, *given)


def test_parts_fill_one_store_and_the_last_writes_the_table(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    first = reconstruct(phantom_folder, out, tiny_weights, "--part", "2/2")
    assert first.returncode == 0, first.stderr
    assert "part 2/2, as --part says" in first.stderr
    assert "Other parts are pending" in first.stderr
    assert not (out / "cells.csv").exists()
    assert "cells.csv" not in first.stdout

    told = dispr("status", out, "--json")
    assert (told.returncode, told.stderr) == (3, "")
    found = json.loads(told.stdout)
    assert (found["done"], found["pending"], found["is_complete"]) == (3, 4, False)
    assert found["pending_shards"] == [0]
    assert dispr("status", out).returncode == 3
    shown = dispr("status", out).stdout
    assert "cells:   3 done, 0 failed, 4 pending of 7" in shown
    assert "shards:  1 of 2 complete" in shown

    merged = dispr("merge-tables", out)
    assert merged.stdout == f"table:   {out / 'cells.csv'}\n"
    assert (out / "cells.csv").read_text().count(",pending,") == 4

    last = reconstruct(phantom_folder, out, tiny_weights, "--part", "1/2", "--json")
    assert json.loads(last.stdout)["part"] == "1/2"
    assert (out / "cells.csv").read_text().count(",done,") == 7
    assert json.loads(dispr("status", out, "--json").stdout)["is_complete"]
    assert dispr("status", out).returncode == 0


def test_a_part_that_a_job_array_decides_is_told_whatever_happens(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, all_cells = tmp_path / "out.zarr", tmp_path / "all.zarr"
    for name, value in (("ID", "2"), ("COUNT", "2"), ("MIN", "1")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    first = reconstruct(phantom_folder, out, tiny_weights, "--quiet")
    assert first.returncode == 0, first.stderr
    assert "SLURM_ARRAY_TASK_ID makes this part 2/2" in first.stderr
    assert "--part 1/1 does all cells" in first.stderr
    assert "Other parts are pending" in first.stderr.splitlines()[-1]
    assert "cells.csv" not in first.stdout
    again = reconstruct(phantom_folder, out, tiny_weights, "--json")
    assert (again.returncode, json.loads(again.stdout)["table"]) == (0, None)
    said = reconstruct(phantom_folder, all_cells, tiny_weights, "--part", "1/1")
    assert (said.returncode, json.loads(dispr("status", all_cells, "--json").stdout)["done"]) == (0, 7)
    assert "SLURM" not in said.stderr
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    last = reconstruct(phantom_folder, out, tiny_weights, "--quiet")
    assert last.returncode == 0, last.stderr
    assert f"table:   {out / 'cells.csv'}" in last.stdout


@pytest.mark.parametrize("begun", ["fp32", "bf16"])
@pytest.mark.parametrize("dask", [False, True])
def test_auto_goes_on_in_the_precision_of_the_store(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path, begun: str, dask: bool
) -> None:
    """Machines of one cluster differ in the precision that suits them best."""
    out, calm = tmp_path / "out.zarr", tmp_path / "calm.zarr"
    assert reconstruct(phantom_folder, calm, tiny_weights, "--precision", begun).returncode == 0
    reconstruct(phantom_folder, out, tiny_weights, "--part", "1/2", "--precision", begun)
    other = {"fp32": "bf16", "bf16": "fp32"}[begun]
    told = reconstruct(phantom_folder, out, tiny_weights, "--part", "2/2", "--precision", other)
    assert_told(told, f"precision: '{begun}' in the store, '{other}' now (--precision)", "removing the store")
    rest = reconstruct(
        *(phantom_folder, out, tiny_weights), *(("--dask", "local:1") if dask else ("--part", "2/2"))
    )
    assert rest.returncode == 0, rest.stderr
    assert (out / "cells.csv").read_bytes() == (calm / "cells.csv").read_bytes()


def test_parts_may_not_overwrite(phantom_folder: Path, tiny_weights: Path, tmp_path: Path) -> None:
    told = reconstruct(phantom_folder, tmp_path / "out.zarr", tiny_weights, "--part", "1/2", "--overwrite")
    assert_told(told, "--overwrite", "1/2")
    assert_told(reconstruct(phantom_folder, tmp_path / "out.zarr", tiny_weights, "--part", "3/2"), "3/2")


def test_verify_says_intact_or_names_the_file(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    reconstruct(phantom_folder, out, tiny_weights)
    intact = dispr("verify", out, "--weights", tiny_weights)
    assert intact.returncode == 0, intact.stderr
    assert intact.stdout.splitlines()[-1] == f"intact:  {out}"
    assert "not the shipped ones" in dispr("verify", out).stderr
    assert_told(dispr("verify", out, "--weights", phantom_folder / "phantoms.csv"), "cannot be read")

    shard = out / "0" / "c" / "0" / "0" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[99] ^= 4
    shard.write_bytes(content)
    damaged = dispr("verify", out)
    assert_told(damaged, str(shard), "checksum", "reconstruct command again")
    assert "shards:  0 of 1 written and read whole, 1 damaged" in damaged.stdout
    assert damaged.stdout.splitlines()[-1] == f"damaged:  {out}"
    found = json.loads(dispr("verify", out, "--json").stdout)
    assert (found["is_intact"], len(found["damages"])) == (False, 1)

    shard.unlink()
    again = reconstruct(phantom_folder, out, tiny_weights)
    assert again.returncode == 0, again.stderr
    assert dispr("verify", out).returncode == 0


def test_verify_compares_the_weights(phantom_folder: Path, tiny_weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    reconstruct(phantom_folder, out, tiny_weights)
    other = tmp_path / "other.safetensors"
    other.write_bytes(tiny_weights.read_bytes() + b" ")
    assert_told(
        dispr("verify", out, "--weights", other),
        "other.safetensors",
        "did not make this store",
        "Differs",
    )
    assert dispr("verify", out, "--weights", other).stdout.splitlines()[-1] == f"intact:  {out}"


def test_commands_on_what_is_no_store(tmp_path: Path) -> None:
    for command in ("status", "merge-tables", "verify"):
        assert_told(dispr(command, tmp_path / "nowhere.zarr"), "nowhere.zarr", "does not exist")
        assert_told(dispr(command, tmp_path), "not a store made by dispr")


def test_failed_cells_are_tried_again_on_request(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    import shutil

    source = tmp_path / "cells"
    shutil.copytree(phantom_folder, source)
    image = sorted((source / "image").iterdir())[1]
    content = image.read_bytes()
    image.write_bytes(content[:600])
    out = tmp_path / "out.zarr"
    assert reconstruct(source, out, tiny_weights).returncode == 1
    assert image.name in dispr("status", out).stdout
    assert dispr("status", out).returncode == 1
    image.write_bytes(content)
    assert reconstruct(source, out, tiny_weights).returncode == 1
    again = reconstruct(source, out, tiny_weights, "--retry-failed")
    assert again.returncode == 0, again.stderr
    assert json.loads(dispr("status", out, "--json").stdout)["done"] == 7
    reconstruct(source, tmp_path / "calm.zarr", tiny_weights)
    assert (out / "cells.csv").read_text() == (tmp_path / "calm.zarr" / "cells.csv").read_text()


def _run_script(script: str, folder: Path, **environment: str) -> Any:
    (folder / "job.sh").write_text(script)
    return subprocess.run(
        ["bash", "job.sh"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_job_script_is_bash_and_runs_its_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "a python"
    program.write_text('#!/bin/sh\nfor given; do printf "%s\\n" "$given"; done\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(here)
    name = "it's $(touch hacked) cells"
    options = ("--samples=3", "--weights", "w`touch hacked`", "-q")
    script = dispr("slurm", name, "out.zarr", "--parts", 4, "--gpus", 1, "--memory", "8GB", "--", *options)
    assert script.returncode == 0, script.stderr
    assert "is not there" in script.stderr
    for line in ("--array=1-4", "--gres=gpu:1", "--mem=8G"):
        assert f"#SBATCH {line}\n" in script.stdout
    run = _run_script(script.stdout, elsewhere, SLURM_ARRAY_TASK_ID="3", SLURM_CPUS_PER_TASK="2")
    assert run.stdout.splitlines() == [
        *("-m", "dispr_cli", "reconstruct", str(here / name), str(here / "out.zarr"), "--samples", "3"),
        *("--weights", str(here / "w`touch hacked`"), "--quiet", "--part", "3/4", "--threads", "2"),
    ]
    assert not [*tmp_path.rglob("hacked")]
    alone = _run_script(script.stdout, elsewhere)
    assert alone.returncode != 0
    assert "SLURM_ARRAY_TASK_ID: submit with sbatch" in alone.stderr


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--time", "1:00:00\nrm -rf"), "--time"),
        (("--memory", "lots"), "--memory"),
        (("--partition", "a b"), "--partition"),
        (("--job-name", "x\ny"), "--job-name"),
        (("--", "--part", "1/2"), "--part"),
        (("--", "--part=1/2"), "--part"),
        (("--", "--overwrite"), "--overwrite"),
        (("--", "--sampels", "3"), "--sampels"),
        (("--", "--samples", "three"), "--samples"),
        (("--", "--weights"), "--weights"),
        (("--", "more.tif"), "one source"),
        (("--memory", "8B"), "--memory"),
    ],
)
def test_job_scripts_that_make_no_sense(options: tuple[str, ...], word: str) -> None:
    told = dispr("slurm", "cells", "out.zarr", "--parts", 2, *options)
    assert_told(told, word)
    assert told.stdout == ""


@pytest.mark.parametrize("names", [("cells", "a\nrm -rf b"), ("a\rb", "out.zarr"), ("a\udcff", "out.zarr")])
def test_no_name_ends_a_line_of_a_job_script(names: tuple[str, str]) -> None:
    told = dispr("slurm", *names, "--parts", 2)
    assert_told(told, "line breaks")
    assert told.stdout == ""
