"""Tables of words: nothing missing, nothing broken by names."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.report.pair_table import pair_table
from dispr_cli.report.score_tables import (
    WordTable,
    class_table,
    further_table,
    score_table,
    spread_table,
)
from dispr_cli.shape.comparison import SCORES, compare, summarise_method
from dispr_cli.shape.measures import CellScores, measure_cell


def block(depth: int) -> np.ndarray:
    volume = np.zeros((16, 16, 16), np.uint8)
    volume[3 : 3 + depth, 4:12, 4:12] = 255
    return volume


@pytest.fixture(scope="module")
def methods() -> dict[str, dict[str, CellScores]]:
    truths = {"a1": 8, "a2": 7, "b1": 6}
    several = {
        name: measure_cell(block(depth), [block(depth - 1), block(depth + 2)])
        for name, depth in truths.items()
    }
    one = {name: measure_cell(block(depth), [block(0)]) for name, depth in truths.items()}
    return {"several": several, "x | y": one}


def test_markdown_and_plain_say_the_same(methods: dict[str, dict[str, CellScores]]) -> None:
    classes = {name: name[0] for name in methods["several"]}
    summaries = {name: summarise_method(cells, classes) for name, cells in methods.items()}
    failed = {"several": 0, "x | y": 3}
    tables = [score_table(summaries, failed, "µm"), further_table(summaries, "µm"), spread_table(summaries)]
    tables += [class_table(summaries, "µm"), pair_table(compare(methods), SCORES, "µm")]
    for table in tables:
        assert all(len(row) == len(table.header) for row in table.rows), table.title
        lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
        assert {line.replace("\\|", "").count("|") for line in lines} == {len(table.header) + 1}
        assert len(table.plain().splitlines()) == len(table.rows) + 2
    rows = dict(zip(tables[0].header, tables[0].rows[1], strict=True))
    assert rows["failed"] == "3"
    assert rows["IoU"] == "0.000 ± 0.000"
    assert rows["volume error"] == "100.0 ± 0.0 %"
    assert dict(zip(tables[2].header, tables[2].rows[1], strict=True))["coverage (nominal)"] == "–"
    assert [row[0] for row in tables[3].rows] == ["a", "a", "b", "b", "macro", "macro"]
    assert len(tables[4].rows) == len(SCORES)


def test_only_the_macro_averages_fit_the_screen(methods: dict[str, dict[str, CellScores]]) -> None:
    classes = {name: name[0] for name in methods["several"]}
    summaries = {name: summarise_method(cells, classes) for name, cells in methods.items()}
    table = class_table(summaries, "voxels", only_macro=True)
    assert [row[:3] for row in table.rows] == [("macro", "several", "2"), ("macro", "x | y", "2")]


def test_equal_samples_have_no_spread_to_judge(methods: dict[str, dict[str, CellScores]]) -> None:
    equal = {
        name: measure_cell(block(8), [block(depth), block(depth)]) for name, depth in (("a1", 7), ("a2", 5))
    }
    several = {name: methods["several"][name] for name in equal}
    summaries = {
        name: summarise_method(cells, dict.fromkeys(equal, ""))
        for name, cells in (("equal", equal), ("several", several))
    }
    table = spread_table(summaries)
    honesty = {row[0]: row[-2:] for row in table.rows}
    assert honesty["equal"] == ("–", "–")
    assert "–" not in honesty["several"]
    assert honesty["several"][0].endswith("(33 %)")


def test_differences_have_the_units_of_the_tables_and_say_what_is_better(
    methods: dict[str, dict[str, CellScores]],
) -> None:
    found = compare(methods, ("iou", "volume_error", "vote_surface_distance", "fair_brier"))
    rows = {row[1]: row for row in pair_table(found, tuple(found), "µm").rows}
    assert [row[5] for row in rows.values()] == ["> 0", "< 0", "< 0", "< 0"]
    percent = 100 * found["volume_error"][0].difference
    assert rows["volume error"][3] == f"{percent:+.1f} pp"
    assert abs(percent) > 10
    assert rows["surface distance of the vote"][3].endswith(" µm")
    assert rows["IoU"][3] == f"{found['iou'][0].difference:+.3f}"
    assert "within one score" in pair_table(found, ("iou",), "µm").note


def test_columns_are_aligned() -> None:
    table = WordTable("T", ("method", "IoU"), (("a", "0.5"), ("long name", "12.25")))
    assert table.plain().splitlines() == ["T:", "method       IoU", "a            0.5", "long name  12.25"]
    assert "| --- | ---: |" in table.markdown()
