"""Scores on cells that the weights were trained on are never taken for scores on new cells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dispr_cli.errors import ConfigError, InputError
from dispr_cli.evaluation import evaluate
from dispr_cli.inputs.plan import plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.pipeline import reconstruct_to_store
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.table import read_table
from tests.scoring.stores import RADII, around, make_store, write_truths
from tests.scripted_method import ScriptedMethod

FIRST, SECOND, THIRD, FOURTH = RADII


@pytest.fixture(scope="module")
def truths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_truths(tmp_path_factory.mktemp("truths"))


def test_scores_of_learned_and_new_cells_stand_apart(tmp_path: Path, truths: Path) -> None:
    # Cells it learned come out well, the others do not: all of them together say something in between.
    radii = {
        name: [radius if index < 2 else radius - 3] for index, (name, radius) in enumerate(RADII.items())
    }
    make_store(tmp_path / "a.zarr", radii, method="net", learned={FIRST: True, SECOND: True, FOURTH: None})
    make_store(tmp_path / "b.zarr", around(-1), method="rule")
    found = evaluate([tmp_path / "a.zarr", tmp_path / "b.zarr"], truths, figures=False)
    content = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    learning = content["methods"]["net"]["learning"]
    assert learning["cells"] == {"learned": [FIRST, SECOND], "new": [THIRD], "unknown": [FOURTH]}
    scores = {state: values["iou"]["mean"] for state, values in learning["scores"].items()}
    assert scores["learned"] > 0.99
    assert scores["new"] < 0.5
    assert scores["new"] < content["methods"]["net"]["scores"]["iou"]["all"]["mean"] < scores["learned"]
    assert content["methods"]["rule"]["learning"]["counts"] == {"learned": 0, "new": 4, "unknown": 0}
    assert found.short_content()["learning"]["net"]["means"]["new"]["iou"] == pytest.approx(scores["new"])
    (warning,) = found.warnings()
    assert warning.startswith("net: 2 of 4 cells were learned by these weights, of 1 it is not recorded")
    tables = (tmp_path / "evaluation" / "tables.md").read_text()
    assert warning in tables
    assert "| net | learned | 2 | 1.000" in tables


def test_only_held_out_cells_are_compared_if_asked(tmp_path: Path, truths: Path) -> None:
    make_store(tmp_path / "a.zarr", around(0), method="net", learned={FIRST: True, FOURTH: None})
    make_store(tmp_path / "b.zarr", around(-1), method="other", learned={SECOND: True})
    stores = [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    found = evaluate(stores, truths, figures=False, held_out_only=True)
    assert list(found.classes) == [THIRD]
    assert {item.cell: item.reason for item in found.left_out} == {
        FIRST: "learned by the weights of net",
        SECOND: "learned by the weights of other",
        FOURTH: "it is not recorded whether it was learned by net",
    }
    assert found.warnings() == []
    assert "No method's weights learned from any of these cells." in found.facts()
    said = evaluate(stores, truths, figures=False, held_out_only=True, never_seen=["net"])
    assert list(said.classes) == [FIRST, THIRD, FOURTH]
    with pytest.raises(
        ConfigError, match="--never-seen nobody: no method is called so; there are net, other"
    ):
        evaluate(stores, truths, figures=False, never_seen=["nobody"])


def test_nothing_is_held_out_from_weights_that_know_all(tmp_path: Path, truths: Path) -> None:
    make_store(tmp_path / "a.zarr", around(0), learned=dict.fromkeys(RADII, True))
    with pytest.raises(InputError, match=r"no cell is left that is surely held out.*learned by the weights"):
        evaluate(tmp_path / "a.zarr", truths, figures=False, held_out_only=True)
    (warning,) = evaluate(tmp_path / "a.zarr", truths, figures=False).warnings()
    assert warning.startswith(
        "balls: 4 of 4 cells were learned by these weights: scores of those say nothing"
    )
    assert "Take weights that kept cells out" in warning


def test_failures_and_rules_are_new_and_old_stores_do_not_know(tmp_path: Path, truths: Path) -> None:
    unknown = dict.fromkeys(RADII)
    make_store(
        tmp_path / "a.zarr", around(0), method="old", learned=unknown, statuses={FIRST: "failed: torn"}
    )
    found = evaluate(tmp_path / "a.zarr", truths, figures=False)
    assert found.learning["old"].counts() == {"learned": 0, "new": 1, "unknown": 3}
    (warning,) = found.warnings()
    assert "not recorded whether 3 of 4 cells were learned" in warning
    assert "--never-seen old" in warning
    store = create_or_resume(
        tmp_path / "rule.zarr",
        num_cells=1,
        num_samples=1,
        voxel_size_um=None,
        configuration={"method": "cylinder", "learns": False},
        cells=[FIRST],
    )
    store.write_shard(0, np.full((1, 1, 64, 64, 64), 255, np.uint8), [CellRow(FIRST)])
    assert evaluate(store.path, truths, figures=False).warnings() == []


def test_a_run_records_what_its_weights_learned(phantom_folder: Path, tmp_path: Path) -> None:
    plan = plan_cells(phantom_folder)
    first, *others = [ref.name for ref in plan.cells]
    options = {"inputs": InputSettings(), "num_samples": 1, "seed": 0, "cells_at_once": 4}
    for method, learned in (
        (ScriptedMethod(learned=(first,)), (True, False)),
        (ScriptedMethod(), (None, None)),
    ):
        out = tmp_path / f"{len(method.learned)}.zarr"
        store, _ = reconstruct_to_store(plan, out, method, **options)  # type: ignore[arg-type]
        assert [row.learned for row in store.cells] == [learned[0], *[learned[1]] * len(others)]
        column = [row["learned"] for row in read_table(out / "cells.csv")]
        words = {True: "true", False: "false", None: ""}
        assert column == [words[learned[0]], *[words[learned[1]]] * len(others)]
