"""``dispr classify`` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.classification.test_classify import CELLS, write_truth
from tests.commands.in_process import dispr_here as dispr
from tests.commands.test_reconstruct import assert_told


def test_a_table_becomes_a_page(tmp_path: Path) -> None:
    truth, out = write_truth(tmp_path), tmp_path / "study"
    options = ("--labels-from-name", "--repeats", 1, "--trees", 5, "--folds", 2, "--out", out)
    result = dispr("classify", truth, *options)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"page: {out / 'classification.md'}"
    assert "true shapes" in result.stdout
    found = json.loads(dispr("classify", truth, *options, "--json").stdout)
    assert found["cells"] == len(CELLS)


def test_bad_options_are_told(tmp_path: Path) -> None:
    truth = write_truth(tmp_path)
    assert_told(dispr("classify", truth), "--labels")
    assert_told(dispr("classify", truth, "--labels-from-name", "--augment-classes", ","), "--augment-classes")
    assert_told(dispr("classify", tmp_path / "none.parquet", "--labels-from-name"), "none.parquet")
    assert_told(dispr("classify", truth, "--labels-from-name", "--repeats", 0), "--repeats")
