"""Methods are compared on the cells they share; nothing is dropped without a word."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dispr_cli as dispr
from dispr_cli import evaluation
from dispr_cli.errors import ConfigError, DisprError, InputError, StoreError
from dispr_cli.evaluation import evaluate
from dispr_cli.scoring.result import Evaluation
from tests.scoring.stores import RADII, around, ball, make_store, write_truths

FIRST = next(iter(RADII))


@pytest.fixture(scope="module")
def truths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_truths(tmp_path_factory.mktemp("truths"))


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, truths: Path) -> Evaluation:
    """A good method with three samples against a deterministic one that is too small."""
    folder = tmp_path_factory.mktemp("stores")
    make_store(folder / "good.zarr", around(-0.5, 0.0, 0.5), method="good")
    make_store(folder / "small.zarr", around(-2.0), method="small")
    stores = [folder / "good.zarr", folder / "small.zarr"]
    return evaluate(stores, truths, classes_from_name=True, threads=1)


def read_scores(found: Evaluation) -> list[dict[str, str]]:
    with (found.folder / "scores.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def values_of(found: Evaluation, **wanted: str) -> list[float]:
    rows = [row for row in read_scores(found) if all(row[key] == value for key, value in wanted.items())]
    return [float(row["value"]) for row in rows]


def test_a_closer_method_scores_better(compared: Evaluation) -> None:
    good, small = compared.summaries["good"].summaries, compared.summaries["small"].summaries
    assert good["iou"]["all"].mean > small["iou"]["all"].mean + 0.2
    for score in ("volume_error", "surface_error", "surface_distance", "relative_fair_crps_volume"):
        assert good[score]["all"].mean < small[score]["all"].mean
    assert good["vote_iou"]["all"].mean == pytest.approx(1, abs=0.01)
    # The surfaces lie 2 voxels of 0.172 um apart everywhere.
    assert small["surface_distance"]["all"].mean == pytest.approx(2 * 0.172, rel=0.02)


def test_every_pair_is_tested_on_the_shared_cells(compared: Evaluation) -> None:
    (pair,) = compared.comparisons["iou"]
    assert (pair.first, pair.second, pair.count) == ("good", "small", 4)
    assert 0 < pair.low <= pair.difference <= pair.high
    assert pair.p_value == pytest.approx(0.125)


def test_the_tidy_table_holds_every_sample(compared: Evaluation) -> None:
    rows = read_scores(compared)
    assert list(rows[0]) == ["cell", "class", "method", "sample", "measure", "value"]
    samples = {row["sample"] for row in rows if row["method"] == "good"}
    assert samples == {"truth", "0", "1", "2", "vote", "medoid", "all"}
    assert {row["class"] for row in rows} == {"A_round", "B_large"}
    (volume,) = values_of(compared, cell=FIRST, method="good", sample="truth", measure="volume")
    assert volume == pytest.approx(np.count_nonzero(ball(RADII[FIRST]) > 127) * 0.172**3, rel=1e-6)
    assert len(values_of(compared, method="small", measure="iou")) == 4 * 3


def test_one_sample_has_its_absolute_error_as_crps(compared: Evaluation) -> None:
    (crps,) = values_of(compared, cell=FIRST, method="small", sample="all", measure="fair_crps_volume")
    (sample,) = values_of(compared, cell=FIRST, method="small", sample="0", measure="volume")
    (truth,) = values_of(compared, cell=FIRST, method="small", sample="truth", measure="volume")
    assert crps == pytest.approx(abs(sample - truth), rel=1e-6)


def test_the_summary_is_valid_json_with_classes_and_macro(compared: Evaluation) -> None:
    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is no JSON")

    content = json.loads((compared.folder / "summary.json").read_text(), parse_constant=refuse)
    assert content["format"] == "dispr-evaluation/1"
    assert content["unit"] == "um"
    assert content["classes"] == {"A_round": 2, "B_large": 2}
    scores = content["methods"]["good"]["scores"]["volume_error"]
    assert set(scores) == {"all", "A_round", "B_large", "macro"}
    ranks = content["methods"]["good"]["calibration"]["volume"]["ranks"]
    assert ranks[0] == ranks[3] == 0
    assert sum(ranks) == 4
    assert content["methods"]["small"]["scores"]["sample_iou"]["all"]["mean"] is None
    assert content["comparisons"]["volume_error"][0]["count"] == 4


def test_tables_and_figures_are_there(compared: Evaluation) -> None:
    names = {path.name for path in compared.folder.iterdir()}
    figures = {f"{name}.{kind}" for name in ("errors", "calibration", "cells") for kind in ("png", "svg")}
    assert names == {"scores.csv", "summary.json", "tables.md", *figures}
    assert {path.name for path in compared.files} == names
    text = (compared.folder / "tables.md").read_text(encoding="utf-8")
    for words in ("| good | 4 | 0 |", "macro", "good − small", "distance (µm)", "95 % interval"):
        assert words in text


def test_the_python_api_is_lazy_and_takes_one_store(tmp_path: Path, truths: Path) -> None:
    make_store(tmp_path / "one.zarr", around(0.0))
    found = dispr.evaluate(tmp_path / "one.zarr", truths, out=tmp_path / "results", figures=False)
    assert found.folder == tmp_path / "results"
    assert found.comparisons == {}
    assert not found.has_classes
    assert found.summaries["balls"].summaries["iou"]["all"].mean == pytest.approx(1)
    assert {path.name for path in found.folder.iterdir()} == {"scores.csv", "summary.json", "tables.md"}


def test_failed_cells_count_as_empty_shapes(tmp_path: Path, truths: Path) -> None:
    statuses = {FIRST: "failed: the image holds NaN"}
    make_store(tmp_path / "a.zarr", around(0.0, 0.0), method="a", statuses=statuses)
    make_store(tmp_path / "b.zarr", around(0.1, 0.0), method="b")
    found = evaluate([tmp_path / "a.zarr", tmp_path / "b.zarr"], truths, figures=False)
    assert found.failed == {"a": {FIRST: "failed: the image holds NaN"}, "b": {}}
    scores = found.scores["a"][FIRST]
    assert [sample["iou"] for sample in scores.samples] == [0, 0]
    assert [sample["volume_error"] for sample in scores.samples] == [1, 1]
    assert found.summaries["a"].failures == 2
    assert found.summaries["a"].summaries["iou"]["all"].mean == pytest.approx(0.75)
    assert "a failed on 1 cell, counted as empty shapes" in " ".join(found.facts())


def test_empty_predictions_count_as_failures(tmp_path: Path, truths: Path) -> None:
    radii = around(0.0, 0.0) | {FIRST: [0.0, 8.0]}
    make_store(tmp_path / "a.zarr", radii)
    found = evaluate(tmp_path / "a.zarr", truths, figures=False)
    assert found.summaries["balls"].failures == 1
    assert [sample["empty"] for sample in found.scores["balls"][FIRST].samples] == [1, 0]
    assert len(found.scores["balls"]) == 4


def test_cells_that_are_not_shared_are_listed(tmp_path: Path, truths: Path) -> None:
    first = {name: [radius] for name, radius in list(RADII.items())[:3]}
    second = {name: [radius] for name, radius in list(RADII.items())[1:]} | {"stranger5": [9.0]}
    statuses = {"B_large000003": "pending"}
    make_store(tmp_path / "a.zarr", first, method="a")
    make_store(tmp_path / "b.zarr", second, method="b", statuses=statuses)
    found = evaluate([tmp_path / "a.zarr", tmp_path / "b.zarr"], truths, figures=False)
    assert list(found.scores["a"]) == list(found.scores["b"]) == ["A_round000002"]
    reasons = {item.cell: item.reason for item in found.left_out}
    assert reasons == {
        "A_round000001": "not in the store of b",
        "B_large000003": "not reconstructed yet by b",
        "B_large000004": "not in the store of a",
        "stranger5": "not in the store of a",
    }
    assert found.unfinished
    assert json.loads((found.folder / "summary.json").read_text())["left_out"] == reasons


def test_threads_do_not_change_the_files(tmp_path: Path, truths: Path, compared: Evaluation) -> None:
    stores = [method.store.path for method in compared.match.methods]
    options: dict[str, Any] = {"classes_from_name": True, "figures": False}
    again = evaluate(stores, truths, threads=3, out=tmp_path / "again", **options)
    assert len(again.files) == 3
    for path in again.files:
        assert path.read_bytes() == (compared.folder / path.name).read_bytes(), path.name


def test_figures_of_an_earlier_evaluation_do_not_stay(tmp_path: Path, truths: Path) -> None:
    make_store(tmp_path / "a.zarr", around(0.0))
    (tmp_path / "evaluation").mkdir()
    for name in ("cells.png", "calibration.svg", "my_notes.txt"):
        (tmp_path / "evaluation" / name).write_text("old")
    found = evaluate(tmp_path / "a.zarr", truths, figures=False)
    left = {path.name for path in found.folder.iterdir()}
    assert left == {"scores.csv", "summary.json", "tables.md", "my_notes.txt"}


def test_an_interruption_leaves_the_old_results_and_no_scraps(
    tmp_path: Path, truths: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path / "a.zarr", around(0.0))
    found = evaluate(tmp_path / "a.zarr", truths, figures=False)
    before = {path.name: path.read_bytes() for path in found.folder.iterdir()}
    score_cells = evaluation.score_cells

    def interrupted(*arguments: Any) -> Iterator[Any]:
        yield next(score_cells(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "score_cells", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path / "a.zarr", truths)
    assert {path.name: path.read_bytes() for path in found.folder.iterdir()} == before


def test_events_follow_the_cells(tmp_path: Path, truths: Path) -> None:
    make_store(tmp_path / "a.zarr", around(0.0))
    heard: list[Any] = []

    class Listening(evaluation.Silence):
        def started(self, cells: int, methods: Sequence[str]) -> None:
            heard.append((cells, list(methods)))

        def scored(self, cell: str) -> None:
            heard.append(cell)

        def finishing(self) -> None:
            heard.append("finishing")

    evaluate(tmp_path / "a.zarr", truths, figures=False, threads=3, events=Listening())
    assert heard == [(4, ["balls"]), *RADII, "finishing"]


def test_what_makes_no_sense_is_refused(tmp_path: Path, truths: Path) -> None:
    path = tmp_path / "a.zarr"
    make_store(path, around(0.0))
    make_store(tmp_path / "many.zarr", around(0.0, 1.0))

    def refused(kind: type[DisprError], words: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(kind, match=words):
            evaluate(*arguments, **options)

    refused(InputError, "does not exist", path, tmp_path / "nowhere")
    refused(InputError, "holds no ground truth", path, path.parent / "a.zarr" / "dispr_rows")
    refused(StoreError, "has one", path, tmp_path / "many.zarr")
    refused(StoreError, "does not exist", tmp_path / "no.zarr", truths)
    refused(ConfigError, "no store was named", [], truths)
    refused(ConfigError, "2 names for 1 stores", path, truths, names=["a", "b"])
    refused(ConfigError, "inside the store", path, truths, out=path / "0" / "evaluation")
    refused(ConfigError, "choose one", path, truths, classes={}, classes_from_name=True)
    refused(ConfigError, "no class for cell", path, truths, classes={})
    refused(ConfigError, "three lengths", path, truths, truth_voxel_size_um=(1.0, 0.0, 1.0))
    other = write_truths(tmp_path / "other", {"other_name": 8.0})
    refused(InputError, "Names of cells and of ground truths must be equal", path, other)
