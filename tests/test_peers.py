from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dispr_cli.baselines.shapr.method import load_shapr
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.folder import read_training_cells
from dispr_cli.diffusion.training_facts import read_training_facts
from dispr_cli.errors import ConfigError, InputError
from dispr_cli.peers import PeerStudy, _weights, compare_peers, parse_folders
from dispr_cli.volumes.store import open_store
from tests.diffusion.tiny import TINY


class Listener:
    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    def progress(self, step: Any) -> None: ...

    def held_out(self, step: Any, metrics: Any) -> None: ...


def test_every_cell_is_tried_once_by_a_network_that_never_saw_it(
    phantom_folder: Path, tmp_path: Path
) -> None:
    short = {"num_examples": 2, "batch_size": 2}
    study = PeerStudy(
        methods=("cylinder:full", "inflate", "shapr"), num_folds=2, num_samples=1, settings={"shapr": short}
    )
    listener = Listener()
    found = compare_peers(phantom_folder, tmp_path, study, listener)
    assert sum("training fold" in text for text in listener.said) == 2
    held = [
        set(load_shapr(tmp_path / "weights" / "shapr" / f"fold{k}.safetensors").provenance["held_out"])
        for k in range(2)
    ]
    assert not held[0] & held[1]
    assert held[0] | held[1] == set(found.classes)
    assert {method.name for method in found.match.methods} == {"cylinder full", "inflate", "shapr"}
    summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    assert "shapr" in json.dumps(summary)

    # With the weights of one fold alone, only the cells it never saw are compared.
    part = tmp_path / "part"
    part.mkdir()
    (part / "fold1.safetensors").write_bytes((tmp_path / "weights/shapr/fold1.safetensors").read_bytes())
    fewer = replace(study, methods=("inflate", "shapr"), weights={"shapr": part})
    assert set(compare_peers(phantom_folder, tmp_path / "fewer", fewer, Listener()).classes) == held[1]

    # The same method stands beside itself under a label.
    twice = replace(study, methods=("shapr", "shapr:again"), weights={"shapr": part, "shapr:again": part})
    both = compare_peers(phantom_folder, tmp_path / "twice", twice, Listener())
    assert [method.name for method in both.match.methods] == ["shapr", "shapr again"]
    assert set(both.classes) == held[1]

    before = np.stack([open_store(tmp_path / "shapr.zarr").read(name) for name in sorted(found.classes)])
    again = Listener()
    compare_peers(phantom_folder, tmp_path, study, again)
    assert not any("training fold" in text for text in again.said)
    after = np.stack([open_store(tmp_path / "shapr.zarr").read(name) for name in sorted(found.classes)])
    np.testing.assert_array_equal(before, after)


def test_our_own_folds_stand_beside_the_files_that_lie_with_them(
    phantom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispr_cli.training.DenoiserConfig", lambda: TINY)
    short = {"num_examples": 2, "batch_size": 2}
    study = PeerStudy(methods=("inflate", "dispr"), num_folds=2, num_samples=1, settings={"dispr": short})
    found = compare_peers(phantom_folder, tmp_path, study, Listener())
    assert (tmp_path / "weights/dispr/fold0.trust.json").exists()
    assert len(found.classes) == 7
    held = [read_training_facts(tmp_path / f"weights/dispr/fold{k}.safetensors").held_out for k in range(2)]
    assert held[0] | held[1] == set(found.classes)


def test_weights_of_another_training_are_not_taken_for_this_one(
    phantom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispr_cli.training.DenoiserConfig", lambda: TINY)
    cells = read_training_cells(phantom_folder)
    short = {"num_examples": 2, "batch_size": 2}
    for method in ("dispr", "nearest"):
        study = PeerStudy(methods=(method,), num_folds=2, settings={"dispr": short})

        def again(study: PeerStudy, cells: TrainingCells = cells, method: str = method) -> list[str]:
            listener = Listener()
            _weights(method, cells, tmp_path, study, listener)
            return [text for text in listener.said if "training fold" in text]

        assert len(again(study)) == 2
        # What only says where it runs does not matter.
        assert again(replace(study, device="cpu")) == []
        with pytest.raises(ConfigError, match=r"fold0\.safetensors: was trained with other cells to learn"):
            again(replace(study, num_folds=3))
        changed = dataclasses.replace(cells, image=cells.image // 2)
        with pytest.raises(ConfigError, match="with other cells to learn from; give the same"):
            again(study, changed)
    other = {"dispr": {**short, "num_examples": 4, "learning_rate": 0.1}}
    with pytest.raises(ConfigError, match="with other num_examples, learning_rate; give the same"):
        _weights("dispr", cells, tmp_path, replace(study, settings=other), Listener())


def test_volumes_drawn_elsewhere_stand_beside_the_others(phantom_folder: Path, tmp_path: Path) -> None:
    names = sorted(path.stem for path in (phantom_folder / "obj").iterdir())
    drawn = np.zeros((len(names), 2, 64, 64, 64), np.uint8)
    drawn[:, :, 20:40, 20:40, 20:40] = 255
    facts = {"method": "dispr2022", "training": {"held_out": names}, "num_steps": 7}
    np.savez(tmp_path / "dispr2022.fold0.samples.npz", names=names, volumes=drawn, facts=json.dumps(facts))
    study = PeerStudy(methods=("inflate", "dispr2022"), num_samples=2, volumes={"dispr2022": tmp_path})
    listener = Listener()
    found = compare_peers(phantom_folder, tmp_path / "out", study, listener)
    assert len(found.classes) == len(names)
    assert not any("training fold" in text for text in listener.said)
    store = open_store(tmp_path / "out" / "dispr2022.zarr")
    assert store.configuration["num_steps"] == 7
    np.testing.assert_array_equal(store.read(names[0]), drawn[0])


def test_predictions_of_another_program_are_compared_too(phantom_folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    study = PeerStudy(methods=("inflate",), num_samples=1, volumes={"mine": mine}, never_seen=("mine",))
    listener = Listener()
    mine.mkdir()
    with pytest.raises(InputError, match="mine: holds no prediction"):
        compare_peers(phantom_folder, tmp_path / "out", study, listener)
    assert listener.said == []
    for path in (phantom_folder / "obj").iterdir():
        shutil.copy(path, mine)
    found = compare_peers(phantom_folder, tmp_path / "out", study, listener)
    assert [method.name for method in found.match.methods] == ["inflate", "mine"]
    assert found.summaries["mine"].summaries["iou"]["all"].mean == 1.0
    assert found.warnings() == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"methods": ("sphere",)}, "no method 'sphere'"),
        ({"num_folds": 1}, "--folds is 1"),
        ({"settings": {"spahr": {}}}, "no method 'spahr'"),
    ],
)
def test_impossible_studies_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PeerStudy(**wrong)


def test_folders_are_given_as_pairs(tmp_path: Path) -> None:
    assert parse_folders([f"shapr={tmp_path}"], "--weights") == {"shapr": tmp_path}
    for text in ("shapr", f"shapr={tmp_path / 'missing'}"):
        with pytest.raises(ConfigError, match=r"--volumes is .*METHOD=FOLDER"):
            parse_folders([text], "--volumes")
