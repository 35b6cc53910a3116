"""From tables and labels to a page, figures and numbers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from dispr_cli.classification.classify import ClassifyConfig, classify_tables
from dispr_cli.classification.findings import findings, regained
from dispr_cli.classification.labels import read_labels, readable
from dispr_cli.classification.report import write_classification
from dispr_cli.errors import ConfigError, InputError
from dispr_cli.morphology.table import (
    FAILED,
    MEASURED,
    FeatureRow,
    TableFacts,
    as_batch,
    schema_of,
    write_table,
)
from dispr_cli.shape.features.planar import PLANAR_FEATURES
from dispr_cli.shape.features.registry import SHAPE_FEATURES
from dispr_cli.study.folds import assign_folds
from dispr_cli.study.forest import ForestConfig
from dispr_cli.study.networks import NetworkRecord

SHAPES = [feature.name for feature in SHAPE_FEATURES][:12]
PLANES = [feature.name for feature in PLANAR_FEATURES][:4]
COUNTS = {"A_round": 12, "B_flat_ones": 8, "C_odd": 6}
CELLS = [f"{name}{number:06d}" for name, count in COUNTS.items() for number in range(count)]
QUICK = ForestConfig(num_trees=10, num_selection_trees=5)


class Listener:
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.total = self.done = 0

    def message(self, text: str) -> None:
        self.messages.append(text)

    def started(self, total: int, finished: int) -> None:
        self.total = total

    def measured(self, name: str, problem: str | None) -> None:
        self.done += 1


def values_of(cell: str, random: np.random.Generator) -> dict[str, float]:
    place = sorted(COUNTS).index(cell[:-6])
    return {name: place + random.normal(0, 0.5) for name in (*SHAPES, *PLANES)}


def write(path: Path, rows: list[FeatureRow], facts: TableFacts, features: list[str]) -> Path:
    schema = schema_of(features, facts)
    write_table(path, schema, iter([as_batch(rows, schema)]))
    return path


def write_truth(folder: Path) -> Path:
    """A table of true shapes, with a cell that failed and one that is alone in its class."""
    random = np.random.default_rng(0)
    rows = [FeatureRow(cell, 0, "truth", "", MEASURED, 0.2, values_of(cell, random)) for cell in CELLS]
    rows.append(FeatureRow("A_round999999", 0, "truth", "", f"{FAILED}dark", 0.2))
    rows.append(FeatureRow("Z_lonely000001", 0, "truth", "", MEASURED, 0.2, values_of(CELLS[0], random)))
    return write(folder / "truth.parquet", rows, TableFacts("cells", "um"), [*SHAPES, *PLANES])


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return write_truth(tmp_path)


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    fold_of = assign_folds(tuple(CELLS), 2)
    names = np.array(CELLS)
    networks = {f"net{fold}": NetworkRecord(frozenset(names[fold_of == fold].tolist())) for fold in (0, 1)}
    rows = [
        FeatureRow(cell, sample, "predicted", network, MEASURED, 0.2, values_of(cell, random))
        for network in networks
        for cell in CELLS
        for sample in range(2)
    ]
    facts = TableFacts("out.zarr", "um", networks)
    return write(tmp_path / "predicted.csv", rows, facts, SHAPES)


def test_everything_is_written(truth: Path, predicted: Path, tmp_path: Path) -> None:
    events, config = Listener(), ClassifyConfig(num_repeats=2, as_published=True, forest=QUICK)
    found = classify_tables(truth, [predicted], None, config, events)
    assert events.done == events.total
    assert any("could not be measured" in text and "A_round999999" in text for text in events.messages)
    assert any("Z_lonely" in text for text in events.messages)
    assert len(found.data.truth) == len(CELLS)
    assert found.data.minorities == ("C_odd",)
    assert found.folds_from == "the cells each network was kept from"
    assert len(found.splits) == 4
    files = write_classification(found, config, tmp_path / "out")
    assert {file.name for file in files} >= {"scores.png", "scores.svg", "confusions.png", "answers.csv"}
    numbers = json.loads((tmp_path / "out" / "classification.json").read_text(encoding="utf-8"))
    assert set(numbers["variants"]) == set(found.scores)
    assert numbers["classes"] == COUNTS
    assert numbers["as_published"]["as published, + predicted shapes"]["copied_share"] > 0
    page = files[-1].read_text(encoding="utf-8")
    assert "round 12, flat ones 8, odd 6" in page
    assert "predicted + 2D against 2D only" in page
    said, rest = page.split("## What was found")[1].split("## All classes")
    for name in ("predicted only", "2D only", "+ predicted shapes", "+ SMOTE", "class weights"):
        assert f"{found.scores[name].macro_f1.mean():.2f}" in said
    test = found.tests["predicted only", "2D only"]
    assert f"{test.low:+.2f} to {test.high:+.2f}; p = {test.adjusted_p_value:.3f} corrected" in said
    assert "Few cells: round (12), flat ones (8), odd (6)" in said
    legend = rest.split("## What each row is")[1]
    assert all(f"| {name} |" in legend for name in found.scores)
    with (tmp_path / "out" / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(CELLS) * 2 * len(found.scores)
    right = np.mean([row["class"] == row["answer"] for row in rows if row["variant"] == "true shapes"])
    assert right == pytest.approx(found.scores["true shapes"].confusion[:, :3].trace() / len(CELLS))


def test_true_shapes_alone(truth: Path) -> None:
    config = ClassifyConfig(num_folds=2, num_repeats=1, forest=QUICK)
    found = classify_tables(truth, [], None, config, Listener())
    assert found.folds_from == "stratified by class"
    assert "2D only" in found.scores
    assert not any("predicted" in name for name in found.scores)
    said = findings(found).splitlines()
    assert [line.split(":")[0] for line in said] == ["- Hardest class, even by true shapes", "- Few cells"]


def test_predicted_shapes_worse_than_2d_regain_nothing() -> None:
    assert regained(0.80, 0.60, 0.85) == "80 %"
    assert regained(0.46, 0.59, 0.86) == "nothing"


def test_labels_from_a_file_and_chosen_classes(truth: Path, predicted: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    lines = [f"{cell}.tif,{'odd' if cell.startswith('C') else 'even'}" for cell in CELLS]
    labels.write_text("\n".join(["Filename,Class", *lines]) + "\n")
    config = ClassifyConfig(2, 1, ("odd",), forest=QUICK)
    found = classify_tables(truth, [predicted], labels, config, Listener())
    assert found.data.classes == ["even", "odd"]
    assert any("have no class" in reason for reason in found.left_out)
    with pytest.raises(ConfigError, match="no class 'blue'"):
        classify_tables(truth, [predicted], labels, ClassifyConfig(2, 1, ("blue",)), Listener())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has the columns none; expected 'cell' and 'class'"),
        ("a, b\n1,2\n", "has the columns a, b; expected 'cell' and 'class'"),
        ("cell,colour\n1,2\n", "has the columns cell, colour; expected"),
        ("cell,class\na,1\na.tif,2\n", "expected one"),
    ],
)
def test_bad_labels(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_labels(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "none.csv")


def test_bad_tables(truth: Path, predicted: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no truth shapes"):
        classify_tables(predicted, [], None, ClassifyConfig(), Listener())
    with pytest.raises(InputError, match="holds no predicted shapes"):
        classify_tables(truth, [truth], None, ClassifyConfig(), Listener())
    rows = [FeatureRow(CELLS[0], 0, "predicted", "net", MEASURED, None, dict.fromkeys(SHAPES, 1.0))]
    record = {"net": NetworkRecord(None)}
    voxels = write(tmp_path / "v.parquet", rows, TableFacts("v", "voxel", record), SHAPES)
    with pytest.raises(ConfigError, match="--voxel-size"):
        classify_tables(truth, [voxels], None, ClassifyConfig(), Listener())
    unknown = write(tmp_path / "u.parquet", rows, TableFacts("u", "um", record), SHAPES)
    with pytest.raises(ConfigError, match="would leak"):
        classify_tables(truth, [unknown], None, ClassifyConfig(forest=QUICK), Listener())
    lone = write(
        tmp_path / "l.parquet", [FeatureRow("a1", 0, "truth", "", MEASURED, None)], TableFacts("l", "um"), []
    )
    with pytest.raises(InputError, match="needs two"):
        classify_tables(lone, [], None, ClassifyConfig(), Listener())


def test_readable_names() -> None:
    assert readable("D_multilobate_cells") == "multilobate cells"
    assert readable("cell_cluster") == "cell cluster"
    assert readable("discocyte") == "discocyte"
