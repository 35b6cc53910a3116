"""One command from a folder to a summary: what it leaves, how it goes on, what it refuses."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tifffile

from dispr_cli.classification.classify import ClassifyConfig
from dispr_cli.diffusion.checkpoint import save_denoiser
from dispr_cli.diffusion.training_facts import read_training_facts
from dispr_cli.errors import ConfigError, InputError, WeightsError
from dispr_cli.inputs.phantoms import generate_phantoms
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.morphology import measure
from dispr_cli.morphology.table import read_table
from dispr_cli.shape.features.registry import measure_shape
from dispr_cli.study.folds import assign_folds
from dispr_cli.study.forest import ForestConfig
from dispr_cli.whole_study import run as whole_study
from dispr_cli.whole_study.run import run_study
from dispr_cli.whole_study.settings import Machine, StudyConfig
from tests.diffusion.tiny import make_denoiser

CONFIG = StudyConfig(
    num_folds=2,
    num_examples=2,
    num_samples=1,
    num_steps=1,
    classify=ClassifyConfig(num_repeats=1, forest=ForestConfig(5, 5)),
)
MACHINE = Machine("cpu", "fp32", 1)


class Silence:
    """Hears everything, and counts what was done."""

    def __init__(self) -> None:
        self.trained = self.reconstructed = self.measured_shapes = self.grown = 0
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    @contextmanager
    def training(self) -> Iterator[Any]:
        self.trained += 1
        yield _Watcher(self)

    @contextmanager
    def reconstruction(self) -> Iterator[Any]:
        yield _Watcher(self, "reconstructed")

    @contextmanager
    def features(self) -> Iterator[Any]:
        yield _Watcher(self, "measured_shapes")

    @contextmanager
    def classification(self) -> Iterator[Any]:
        yield _Watcher(self, "grown")


class _Watcher:
    def __init__(self, heard: Silence, counted: str = "") -> None:
        self._heard, self._counted = heard, counted
        self.message = heard.message

    def progress(self, *_: object) -> None:
        pass

    held_out = started = progress

    def reconstructed(self, done: int, failed: object) -> None:
        self._heard.reconstructed += done

    def measured(self, name: str, problem: str | None) -> None:
        setattr(self._heard, self._counted, getattr(self._heard, self._counted) + 1)


@pytest.fixture(autouse=True)
def _small_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure a coarse part of each shape: what untrained networks draw is noise, all surface, and slow."""
    monkeypatch.setattr(
        measure, "measure_shape", lambda volume, _: measure_shape(volume[24:40, 16:48:2, 16:48:2])
    )


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    for part in ("image", "mask", "obj"):
        (folder / part).mkdir()
    for phantom in generate_phantoms(8, ["discocyte", "spherocyte"], seed=2):
        for part, pixels in (("image", phantom.image), ("mask", phantom.mask), ("obj", phantom.volume)):
            tifffile.imwrite(folder / part / f"{phantom.name}.tif", pixels)
    return folder


def names_of(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "obj").iterdir())


@pytest.fixture(scope="module")
def weights(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    names = names_of(cells)
    fold_of = assign_folds(tuple(names), 2)
    for fold in range(2):
        held = [name for name, own in zip(names, fold_of, strict=True) if own == fold]
        save_denoiser(folder / f"fold{fold}.safetensors", make_denoiser(), {"held_out": held})
    return folder


def run(cells: Path, out: Path, events: Silence, config: StudyConfig = CONFIG, **options: Any) -> Path:
    return run_study(cells, out, config, MACHINE, events, inputs=InputSettings(), **options)


def test_a_study_says_what_has_changed_since_it_was_begun(
    cells: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No stage may be skipped whose answer would be another."""

    class BegunError(Exception):
        pass

    def begin(*_: object) -> None:
        raise BegunError

    monkeypatch.setattr(whole_study, "_measured", begin)
    out, labels = tmp_path / "study", tmp_path / "labels.csv"

    def start(inputs: InputSettings, **options: Any) -> None:
        run_study(cells, out, CONFIG, MACHINE, Silence(), inputs=inputs, weights=weights, **options)

    for _ in range(2):
        with pytest.raises(BegunError):
            start(InputSettings())
    with pytest.raises(ConfigError, match="study of other inputs"):
        start(InputSettings(scale="fit"))
    names = names_of(cells)
    labels.write_text("cell,class\n" + "".join(f"{name},{number % 2}\n" for number, name in enumerate(names)))
    with pytest.raises(ConfigError, match="study of other classes"):
        start(InputSettings(), labels=labels)
    (out / "study.json").write_text("{")
    with pytest.raises(ConfigError, match=r"study\.json: is no record of a study"):
        start(InputSettings())


def test_given_networks_make_a_study_that_goes_on(cells: Path, weights: Path, tmp_path: Path) -> None:
    events = Silence()
    summary = run(cells, tmp_path / "study", events, weights=weights)
    assert (events.trained, events.reconstructed, events.measured_shapes) == (0, 16, 24)
    text = summary.read_text(encoding="utf-8")
    assert text.index("## What was found") < text.index("scores.png") < text.index("## All classes")
    assert "rehearsal" not in text
    for picture in ("classification/scores.png", "classification/confusions.png"):
        assert picture in text
        assert (tmp_path / "study" / picture).stat().st_size > 10_000
    facts = read_training_facts(weights / "fold1.safetensors")
    unseen, known = (
        read_table(tmp_path / "study" / f"predicted.fold1{part}.parquet") for part in ("", ".known")
    )
    assert set(unseen.networks.tolist()) == set(known.networks.tolist()) == {facts.sha256}
    assert set(unseen.cells.tolist()) == facts.held_out
    assert set(known.cells.tolist()) == set(names_of(cells)) - facts.held_out
    (tmp_path / "study" / "predicted.fold1.parquet").unlink()
    (tmp_path / "study" / "classification" / "classification.md").unlink()
    again = Silence()
    assert run(cells, tmp_path / "study", again, weights=weights).read_text(encoding="utf-8") == text
    assert (again.reconstructed, again.measured_shapes) == (0, 4)
    with pytest.raises(ConfigError, match="study of other settings"):
        run(cells, tmp_path / "study", Silence(), dataclasses.replace(CONFIG, num_samples=2), weights=weights)


def test_networks_are_trained_and_never_see_their_fold(cells: Path, tmp_path: Path) -> None:
    events = Silence()
    summary = run(cells, tmp_path, events)
    assert "trained here on 2 examples each, too few" in summary.read_text(encoding="utf-8")
    assert events.trained == 2
    folds = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))["folds"]
    for fold, tested in enumerate(folds):
        facts = read_training_facts(tmp_path / "weights" / f"fold{fold}.safetensors")
        assert facts.held_out == set(tested)
    assert sorted(cell for tested in folds for cell in tested) == names_of(cells)


def test_weights_that_would_leak_are_refused(cells: Path, weights: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / "fold0.safetensors").write_bytes((weights / "fold0.safetensors").read_bytes())
    with pytest.raises(ConfigError, match="would leak"):
        run(cells, tmp_path / "a", Silence(), weights=half)
    with pytest.raises(WeightsError, match="without weights of folds; expected fold0"):
        run(cells, tmp_path / "b", Silence(), weights=cells)
    with pytest.raises(WeightsError, match="--never-seen"):
        run(cells, tmp_path / "c", Silence(), init=weights / "fold0.safetensors")


def test_a_folder_without_truth_is_told(cells: Path, tmp_path: Path) -> None:
    for part in ("image", "mask"):
        (tmp_path / part).symlink_to(cells / part)
    with pytest.raises(InputError, match="none of its cells has a ground truth"):
        run(tmp_path, tmp_path / "study", Silence())
    with pytest.raises(ConfigError, match="--folds"):
        StudyConfig(num_folds=1)
    with pytest.raises(ConfigError, match="--known-samples"):
        StudyConfig(num_known_samples=0)


PUBLIC_PREFIXES = {
    "-1.00_spherocyte": "spherocyte",
    "-0.67_stomatocyte_II": "stomatocyte",
    "0.00_discocyte": "discocyte",
    "1.00_echinocyte_III": "echinocyte",
    "A_cell_clusters": "cell_cluster",
    "B_keratocytes": "keratocyte",
    "C_knizocytes": "knizocyte",
    "D_multilobate_cells": "multilobate",
    "E_acanthocytes": "acanthocyte",
}
"""Nine classes as the public set of red blood cells names its files, and the phantoms that stand for them."""


def test_the_names_of_the_full_public_set_are_its_classes(tmp_path: Path) -> None:
    """Signs, points and numbers in the names neither hide a file nor join or part classes."""
    data, names = tmp_path / "public", []
    for part in ("image", "mask", "obj"):
        (data / part).mkdir(parents=True)
    for place, (prefix, kind) in enumerate(PUBLIC_PREFIXES.items()):
        for number, phantom in enumerate(generate_phantoms(4, [kind], seed=3)):
            names.append(f"{prefix}{100 * place + number:06d}")
            for part, pixels in (("image", phantom.image), ("mask", phantom.mask), ("obj", phantom.volume)):
                tifffile.imwrite(data / part / f"{names[-1]}.tif", pixels)
    weights = tmp_path / "weights"
    weights.mkdir()
    fold_of = assign_folds(tuple(names), 2)
    for fold in range(2):
        held = [name for name, own in zip(names, fold_of, strict=True) if own == fold]
        save_denoiser(weights / f"fold{fold}.safetensors", make_denoiser(), {"held_out": held})
    summary = run(data, tmp_path / "study", Silence(), weights=weights)
    found = json.loads((tmp_path / "study" / "classification" / "classification.json").read_text())
    assert found["classes"] == dict.fromkeys(PUBLIC_PREFIXES, 4)
    assert (found["cells"], found["left_out"]) == (36, [])
    assert "stomatocyte II 4" in summary.read_text(encoding="utf-8")


def test_classes_that_cannot_be_told_apart_are_refused_before_anything_is_trained(
    cells: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("cell,class\n" + "".join(f"{name},one\n" for name in names_of(cells)))
    events = Silence()
    with pytest.raises(InputError, match=r"of 1 class\(es\) of 4 cells or more"):
        run(cells, tmp_path / "study", events, labels=labels)
    assert events.trained == 0
    assert not (tmp_path / "study").exists()
