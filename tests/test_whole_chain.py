"""The commands one after another, as a method paper would use them, each called from another folder.

Rooms are tested by themselves elsewhere; here what one leaves must be enough for the next.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.in_process import dispr_here
from tests.diffusion.tiny import TINY


def dispr(*arguments: object) -> str:
    result = dispr_here(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture
def data(tmp_path: Path) -> Path:
    dispr("phantom", tmp_path / "data", "--cells", 8, "--classes", "discocyte,knizocyte", "--seed", 5)
    return tmp_path / "data"


def test_from_training_in_folds_to_classes_from_anywhere(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispr_cli.training.DenoiserConfig", lambda: TINY)
    config = tmp_path / "short.toml"
    config.write_text("[dispr]\nnum_examples = 4\nbatch_size = 2\n")
    monkeypatch.chdir(tmp_path)
    peers = ("benchmark-peers", "data", "peers", "--methods", "dispr,inflate", "--folds", 2, "-n", 2)
    dispr(*peers, "--config", config, "--quiet")
    compared = json.loads((tmp_path / "peers/evaluation/summary.json").read_text())

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    dispr("evaluate", "../peers/inflate.zarr", "--truth", "../data", "--out", "scores", "--quiet")
    alone = json.loads(Path("scores/summary.json").read_text())
    scores = (found["methods"]["inflate"]["scores"] for found in (alone, compared))
    here, there = ({measure: of["all"] for measure, of in one.items()} for one in scores)
    assert here == there

    dispr("features", "../data", "--out", "truth.parquet", "--quiet")
    monkeypatch.chdir(tmp_path)
    for method in ("dispr", "inflate"):
        made = ("features", f"peers/{method}.zarr", "--images", "data", "--out", f"{method}.parquet")
        weights = ("--weights", "peers/weights/dispr") if method == "dispr" else ()
        dispr(*made, *weights, "--quiet")
    added = ("--augment", "dispr.parquet", "--augment", "inflate.parquet")
    forests = ("--labels-from-name", "--folds", 2, "--repeats", 1, "--trees", 5)
    dispr("classify", "elsewhere/truth.parquet", *added, *forests, "--out", "classes", "--quiet")
    assert (tmp_path / "classes" / "classification.md").exists()
