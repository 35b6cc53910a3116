from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from dispr_cli.commands.phantom import CLASSES


def dispr(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dispr_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_command_writes_the_layout_and_ends_with_the_folder(tmp_path: Path):
    out = tmp_path / "cells"
    run = dispr("phantom", out, "--cells", 2, "--classes", "spherocyte, discocyte", "--seed", 5)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == str(out)
    for folder in ("image", "mask", "obj"):
        names = sorted(path.name for path in (out / folder).iterdir())
        assert names == ["discocyte_000001.tif", "spherocyte_000000.tif"]
    assert (out / "phantoms.csv").read_text().count("\n") == 3


def test_quiet_prints_the_folder_only_and_json_one_object(tmp_path: Path):
    quiet = dispr("phantom", tmp_path / "q", "--cells", 1, "--classes", "spherocyte", "--quiet")
    assert (quiet.stdout, quiet.stderr) == (f"{tmp_path / 'q'}\n", "")
    as_json = dispr("phantom", tmp_path / "j", "--cells", 1, "--classes", "spherocyte", "--json")
    assert json.loads(as_json.stdout) == {
        "folder": str(tmp_path / "j"),
        "table": str(tmp_path / "j" / "phantoms.csv"),
        "cells": 1,
        "classes": ["spherocyte"],
    }


def test_unknown_classes_end_in_one_sentence_with_the_known_ones(tmp_path: Path):
    run = dispr("phantom", tmp_path / "out", "--classes", "discocyte,disk")
    assert run.returncode == 2
    assert "'disk'" in run.stderr
    assert "stomatocyte" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "out").exists()


def test_help_names_the_classes_there_are():
    from dispr_cli.inputs.phantoms import PHANTOM_CLASSES

    assert tuple(CLASSES.split(", ")) == PHANTOM_CLASSES
