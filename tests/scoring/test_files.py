"""What is written can be read: no formulas, no NaN in JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dispr_cli.errors import StoreError
from dispr_cli.scoring.cells import score_samples
from dispr_cli.scoring.files import plain_content, scores_file
from tests.scoring.stores import ball


def test_names_are_no_formulas(tmp_path: Path) -> None:
    scores = score_samples(ball(8), ball(7)[None], 1.0)
    with scores_file(tmp_path) as table:
        table.write("=1+1", "-class", "@method", scores)
    rows = (tmp_path / "scores.csv").read_text().splitlines()
    assert rows[1].startswith("'=1+1,'-class,'@method,truth,volume,")


def test_json_holds_no_nan() -> None:
    nothing = float("nan")
    content = {"a": nothing, "b": [np.float64("inf"), np.int64(3)], "c": np.array([1.5, nothing])}
    plain = json.loads(json.dumps(plain_content(content | {"p": Path("x")})))
    assert plain == {"a": None, "b": [None, 3], "c": [1.5, None], "p": "x"}


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(StoreError, match="cannot write the evaluation"),
        scores_file(tmp_path / "file" / "sub"),
    ):
        pass
